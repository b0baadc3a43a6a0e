import {
  readDone,
  readItem,
  readMarks,
  readNote,
  readState,
  type SpillItem,
  type SpillState,
} from './spill-body.ts'
import type { SpillFile } from './spill-disk.ts'
import { KINDS, type SpillRecord } from './spill-record.ts'

/** One file of the log. */
export interface Segment {
  readonly number: number
  readonly name: string
  readonly salt: number
  /** Bytes of the header and of whole records; a write begins here. */
  size: number
  /** How many entries have their record in it. */
  live: number
  /** The newest `done` record in it, ms since 1970: until that one is out of the window, it is needed. */
  doneAt: number
  /** Its handle, once somebody asked for it. */
  file: Promise<SpillFile> | undefined
}

/** A parcel or letter that is not settled: where it lies, and what is known without reading it. */
export interface SpillEntry {
  readonly kind: 'parcel' | 'letter'
  readonly seq: number
  readonly id: string
  readonly partition: number
  readonly count: number
  readonly at: number
  /** Bytes of its record. */
  readonly bytes: number
  deliveries: number
  note: string | undefined
  segment: Segment
  offset: number
  /** Kept while there is memory for it. */
  text: string | undefined
}

/**
 * What the records of a log come to. The same rules replay a log at its opening and follow it while
 * it is written.
 */
export class SpillIndex {
  #parcels = new Map<number, SpillEntry>()
  #letters = new Map<string, SpillEntry>()
  readonly #letterBySeq = new Map<number, SpillEntry>()
  /** Message id and when it was handled, oldest first. */
  readonly #done = new Map<string, number>()
  readonly #dedupeMs: number
  state: SpillState = { partitions: undefined, paused: false, fence: 0 }
  nextSeq = 1
  /** Bytes of the records of all entries. */
  bytes = 0
  /** Messages in all parcels. */
  messages = 0

  constructor(dedupeMs: number) {
    this.#dedupeMs = dedupeMs
  }

  get parcels(): ReadonlyMap<number, SpillEntry> {
    return this.#parcels
  }

  /** By message id, oldest first. */
  get letters(): ReadonlyMap<string, SpillEntry> {
    return this.#letters
  }

  /** A record of an entry that lies at `offset`: new, or a copy of one that is known. */
  place(kind: 1 | 4, item: SpillItem, segment: Segment, offset: number, bytes: number): SpillEntry {
    this.nextSeq = Math.max(this.nextSeq, item.seq + 1)
    const { seq, id, partition, count, at, deliveries } = item
    const known = kind === KINDS.parcel ? this.#parcels.get(seq) : this.#letters.get(id)
    if (known) {
      this.move(known, segment, offset)
      return known
    }
    const entry: SpillEntry = {
      kind: kind === KINDS.parcel ? 'parcel' : 'letter',
      ...{ seq, id, partition, count, at, deliveries, bytes, segment, offset },
      note: undefined,
      text: undefined,
    }
    segment.live++
    this.bytes += bytes
    if (entry.kind === 'letter') {
      this.#letters.set(id, entry)
      this.#letterBySeq.set(seq, entry)
    } else {
      this.#parcels.set(seq, entry)
      this.messages += count
    }
    return entry
  }

  move(entry: SpillEntry, segment: Segment, offset: number): void {
    entry.segment.live--
    segment.live++
    entry.segment = segment
    entry.offset = offset
  }

  /** False: it was settled before. */
  remove(entry: SpillEntry): boolean {
    if (entry.kind === 'letter') {
      if (this.#letters.get(entry.id) !== entry) return false
      this.#letters.delete(entry.id)
      this.#letterBySeq.delete(entry.seq)
    } else {
      if (!this.#parcels.delete(entry.seq)) return false
      this.messages -= entry.count
    }
    entry.segment.live--
    this.bytes -= entry.bytes
    return true
  }

  has(entry: SpillEntry): boolean {
    return entry.kind === 'letter' ? this.#letters.get(entry.id) === entry : this.#parcels.has(entry.seq)
  }

  remember(ids: readonly string[], at: number): void {
    for (const id of ids) {
      this.#done.delete(id)
      this.#done.set(id, at)
    }
  }

  seen(id: string, now: number): boolean {
    const at = this.#done.get(id)
    return at !== undefined && now - at < this.#dedupeMs
  }

  /** Forgets ids that left the window. */
  prune(now: number): void {
    for (const [id, at] of this.#done) {
      if (now - at < this.#dedupeMs) return
      this.#done.delete(id)
    }
  }

  /** Whether nothing in the segment is wanted any more. */
  isSpent(segment: Segment, now: number): boolean {
    return segment.live === 0 && now - segment.doneAt >= this.#dedupeMs
  }

  /** A record as it was read from the disk. */
  replay(record: SpillRecord, segment: Segment): void {
    const { kind, body, offset, end } = record
    switch (kind) {
      case KINDS.parcel:
      case KINDS.letter:
        this.place(kind, readItem(body), segment, offset, end - offset)
        return
      case KINDS.taken:
        for (const entry of this.#marked(body)) entry.deliveries++
        return
      case KINDS.settled:
        for (const entry of this.#marked(body)) this.remove(entry)
        return
      case KINDS.note: {
        const [seq, note] = readNote(body)
        const entry = this.#parcels.get(seq)
        if (entry) entry.note = note
        return
      }
      case KINDS.done: {
        const [at, ids] = readDone(body)
        segment.doneAt = Math.max(segment.doneAt, at)
        this.remember(ids, at)
        return
      }
      case KINDS.state:
        this.state = readState(body)
    }
  }

  /** Copies of old entries come late in a log: back into the order of their numbers. */
  loaded(): void {
    this.#parcels = new Map([...this.#parcels].sort(([a], [b]) => a - b))
    this.#letters = new Map([...this.#letters].sort(([, a], [, b]) => a.seq - b.seq))
  }

  *#marked(body: Buffer): Generator<SpillEntry> {
    for (const seq of readMarks(body)) {
      this.nextSeq = Math.max(this.nextSeq, seq + 1)
      const entry = this.#parcels.get(seq) ?? this.#letterBySeq.get(seq)
      if (entry) yield entry
    }
  }
}
