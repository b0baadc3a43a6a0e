import type { Clock } from '../base/clock.ts'
import { Closed } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Letter, Parcel } from './backend.ts'
import { QueueFull } from './errors.ts'
import { codeOf } from './node-error.ts'
import {
  doneRecord,
  itemBytes,
  itemRecord,
  marksRecord,
  noteRecord,
  type SpillItem,
  type SpillState,
  stateRecord,
} from './spill-body.ts'
import type { SpillDisk } from './spill-disk.ts'
import { type Segment, type SpillEntry, SpillIndex } from './spill-entries.ts'
import { type SpillEvent, spillEvents } from './spill-events.ts'
import { readEntries } from './spill-reader.ts'
import { KINDS } from './spill-record.ts'
import { loadSegments, type SpillFound } from './spill-segments.ts'
import { SpillTidier } from './spill-tidier.ts'
import { type Fsync, SpillWriter } from './spill-writer.ts'

export interface SpillLogOptions {
  readonly disk: SpillDisk
  readonly clock: Clock
  readonly random: Random
  /** Name of the queue, for events. */
  readonly queue: string
  readonly fsync: Fsync
  /** Bound on what is not settled. */
  readonly maxBytes: number
  /** How long message ids are remembered after they were handled, ms. */
  readonly dedupeMs: number
  /** A segment that is longer gets a successor. @default 8 MiB */
  readonly segmentBytes?: number | undefined
  /** Texts of so many bytes are kept in memory too, so that they need not be read. @default 16 MiB */
  readonly memoryBytes?: number | undefined
}

const SEGMENT_BYTES = 8 * 1024 * 1024
const MEMORY_BYTES = 16 * 1024 * 1024

/**
 * An append-only log of parcels and dead letters in one directory: checksummed records, group
 * commit, marks for what was taken and settled. What is settled is never rewritten; a segment goes
 * when nothing before it and nothing in it is wanted, and what keeps an old one alive is copied
 * forward once more than half of the disk space is waste.
 *
 * Written by one process. What `load` finds after a crash is everything that was acknowledged and
 * not settled, in order; a parcel whose append never resolved may be there as a whole, never a part.
 */
export class SpillLog {
  readonly found: SpillFound
  readonly #options: SpillLogOptions
  readonly #index: SpillIndex
  readonly #segments: Segment[]
  readonly #writer: SpillWriter
  #pendingBytes = 0
  #textBytes = 0
  readonly #tidier: SpillTidier
  #burying: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined
  /** Parcels and letters whose bytes had rotted when they were read. */
  damagedEntries = 0

  static async load(options: SpillLogOptions): Promise<SpillLog> {
    const index = new SpillIndex(options.dedupeMs)
    const { segments, writable, found } = await loadSegments(options.disk, index)
    return new SpillLog(options, index, segments, writable, found)
  }

  private constructor(
    options: SpillLogOptions,
    index: SpillIndex,
    segments: Segment[],
    writable: boolean,
    found: SpillFound,
  ) {
    this.found = found
    this.#options = options
    this.#index = index
    this.#segments = segments
    this.#writer = new SpillWriter({
      ...options,
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
      segments,
      writable,
      head: (salt) => stateRecord(index.state, salt),
      nextSeq: () => index.nextSeq,
      failed: (kind, segment, bytes, error) => {
        this.#tell(kind, bytes, codeOf(error))
        if (kind === 'unsynced' && segment) void this.#tidier.rewrite(segment).catch(() => {})
      },
    })
    this.#tidier = new SpillTidier({
      ...options,
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
      index,
      segments,
      writer: this.#writer,
      read: (entries) => this.read(entries),
      failed: (error) => this.#tell('refused', 0, codeOf(error)),
    })
    if (found.tornBytes > 0) this.#tell('torn', found.tornBytes, undefined)
    for (const { bytes } of found.damage) this.#tell('damage', bytes, undefined)
  }

  /** What is not settled, by sequence number, in order. */
  get parcels(): ReadonlyMap<number, SpillEntry> {
    return this.#index.parcels
  }

  /** By message id, oldest first. */
  get letters(): ReadonlyMap<string, SpillEntry> {
    return this.#index.letters
  }

  get messages(): number {
    return this.#index.messages
  }

  /** Bytes of what is not settled. */
  get bytes(): number {
    return this.#index.bytes
  }

  get diskBytes(): number {
    return this.#tidier.diskBytes
  }

  get state(): SpillState {
    return this.#index.state
  }

  /**
   * Keeps parcels, all or none, behind everything appended before.
   * @throws QueueFull, QueueUnavailable (nothing is kept), QueueUncertain (it may turn up after a restart)
   */
  append(parcels: readonly Parcel[]): Promise<SpillEntry[]> {
    return this.#appendItems(KINDS.parcel, parcels)
  }

  /** Keeps letters; one that is known by its id stays as it is. */
  bury(letters: readonly Letter[]): Promise<void> {
    const buried = this.#burying.then(async () => {
      const fresh = letters.filter(({ id }) => !this.letters.has(id))
      const items = fresh.map(({ id, partition, text, diedAt }) => ({
        id,
        partition,
        text,
        at: diedAt,
        count: 1,
      }))
      if (items.length > 0) await this.#appendItems(KINDS.letter, items)
    })
    this.#burying = buried.catch(() => {})
    return buried
  }

  /** Notes that these are about to be handled; resolves when written. */
  async taken(entries: readonly SpillEntry[]): Promise<void> {
    this.#refuseClosed()
    for (const entry of entries) entry.deliveries++
    await this.#mark(KINDS.taken, entries, false)
  }

  /** Nothing is left to do for these. `done`: ids to remember. Resolves when written; never rejects. */
  async settle(entries: readonly SpillEntry[], done: readonly string[] = [], durable = false): Promise<void> {
    this.#refuseClosed()
    const now = this.#options.clock.wall()
    this.#index.prune(now)
    this.#index.remember(done, now)
    const settled = entries.filter((entry) => this.#forget(entry))
    await Promise.all([
      done.length > 0 ? this.#writeDone(done, now) : undefined,
      settled.length > 0 ? this.#mark(KINDS.settled, settled, durable) : undefined,
    ])
    if (!this.#closing) this.#tidier.tidy()
  }

  /** A few words about a parcel, for who takes it next. */
  async note(entry: SpillEntry, note: string): Promise<void> {
    this.#refuseClosed()
    entry.note = note
    const encode = (salt: number) => (this.#index.has(entry) ? [noteRecord(entry.seq, note, salt)] : [])
    await this.#writer.write({ encode, durable: false, stubborn: true })
  }

  seen(id: string): boolean {
    return this.#index.seen(id, this.#options.clock.wall())
  }

  /** Resolves when it is as durable as a parcel. */
  async setState(change: Partial<SpillState>): Promise<void> {
    this.#refuseClosed()
    this.#index.state = { ...this.#index.state, ...change }
    const encode = (salt: number) => [stateRecord(this.#index.state, salt)]
    await this.#writer.write({ encode, durable: true, stubborn: true })
  }

  /** The texts, in order; undefined for one whose bytes had rotted: it is settled, counted and told. */
  async read(entries: readonly SpillEntry[]): Promise<(string | undefined)[]> {
    const texts = await readEntries(this.#options.disk, entries)
    const rotten = entries.filter((_, index) => texts[index] === undefined)
    for (const entry of rotten) this.#tell('damage', entry.bytes, undefined)
    this.damagedEntries += rotten.length
    if (rotten.length > 0 && !this.#closing) await this.settle(rotten)
    return texts
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#tidier.end()
      await this.#writer.close()
      for (const segment of this.#segments) {
        const file = await segment.file?.catch(() => undefined)
        await file?.close()
      }
    })()
    return this.#closing
  }

  async #appendItems(
    kind: 1 | 4,
    parcels: readonly Omit<SpillItem, 'seq' | 'deliveries'>[],
  ): Promise<SpillEntry[]> {
    this.#refuseClosed()
    const { maxBytes } = this.#options
    const bytes = parcels.reduce((sum, item) => sum + itemBytes(item), 0)
    // Letters were parcels before: to refuse them would keep a hopeless parcel for ever.
    if (kind === KINDS.parcel && this.#index.bytes + this.#pendingBytes + bytes > maxBytes) {
      throw new QueueFull('spill', `the local file holds its ${maxBytes} bytes of unsettled messages`)
    }
    const items = parcels.map(({ id, partition, count, at, text }) => ({
      ...{ id, partition, count, at, text },
      seq: this.#index.nextSeq++,
      deliveries: 0,
    }))
    const placed: SpillEntry[] = []
    this.#pendingBytes += bytes
    try {
      await this.#writer.write({
        encode: (salt) => items.map((item) => itemRecord(kind, item, salt)),
        placed: (segment, offsets) => {
          items.forEach((item, index) => {
            const entry = this.#index.place(kind, item, segment, offsets[index]!, itemBytes(item))
            this.#keepText(entry, item.text)
            placed.push(entry)
          })
        },
        durable: true,
        stubborn: false,
      })
    } finally {
      this.#pendingBytes -= bytes
    }
    return placed
  }

  #mark(kind: 2 | 3, entries: readonly SpillEntry[], durable: boolean): Promise<void> {
    const seqs = entries.map(({ seq }) => seq)
    return this.#writer.write({ encode: (salt) => [marksRecord(kind, seqs, salt)], durable, stubborn: true })
  }

  #writeDone(ids: readonly string[], at: number): Promise<void> {
    return this.#writer.write({
      encode: (salt) => [doneRecord(at, ids, salt)],
      placed: (segment) => {
        segment.doneAt = Math.max(segment.doneAt, at)
      },
      durable: false,
      stubborn: true,
    })
  }

  #keepText(entry: SpillEntry, text: string): void {
    const limit = this.#options.memoryBytes ?? MEMORY_BYTES
    if (entry.text !== undefined || this.#textBytes + entry.bytes > limit) return
    entry.text = text
    this.#textBytes += entry.bytes
  }

  #forget(entry: SpillEntry): boolean {
    if (!this.#index.remove(entry)) return false
    if (entry.text !== undefined) this.#textBytes -= entry.bytes
    return true
  }

  #tell(kind: SpillEvent['kind'], bytes: number, code: string | undefined): void {
    if (spillEvents.active) spillEvents.publish({ queue: this.#options.queue, kind, bytes, code })
  }

  #refuseClosed(): void {
    if (this.#closing) throw new Closed('the local file of this queue is closed')
  }
}
