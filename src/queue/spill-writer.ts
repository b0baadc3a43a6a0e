import type { Clock, Timer } from '../base/clock.ts'
import { Closed } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { QueueUnavailable, QueueUncertain } from './errors.ts'
import { codeOf } from './node-error.ts'
import type { SpillDisk, SpillFile } from './spill-disk.ts'
import type { Segment } from './spill-entries.ts'
import { createSegment } from './spill-segments.ts'

/** `always`: whoever waits is answered after fsync. A number: fsync at most so many ms after a write. */
export type Fsync = 'always' | 'os' | number

/** Records that are written together: all of them, or none. */
export interface WriteGroup {
  /** Called at the moment of writing; empty when there is nothing left to write. */
  encode(salt: number): readonly Buffer[]
  /** Where they lie. Called before the promise resolves, in the order of the file. */
  placed?(segment: Segment, offsets: readonly number[]): void
  /** Its promise means fsynced, where the policy is `always`. */
  readonly durable: boolean
  /** Kept and tried again while the disk refuses; else the promise rejects. */
  readonly stubborn: boolean
}

export interface WriterOptions {
  readonly disk: SpillDisk
  readonly clock: Clock
  readonly random: Random
  readonly fsync: Fsync
  readonly segmentBytes: number
  /** The segments as loaded, oldest first; the writer adds to them. */
  readonly segments: Segment[]
  /** Whether the last of them may be written on. */
  readonly writable: boolean
  /** The first record of a new segment. */
  head(salt: number): Buffer
  nextSeq(): number
  /** The disk refused a write; or an fsync in the background, and what was acknowledged is in doubt. */
  failed(kind: 'refused' | 'unsynced', segment: Segment | undefined, bytes: number, error: unknown): void
}

interface Waiting {
  readonly group: WriteGroup
  resolve(): void
  reject(error: Error): void
}

/** Groups that wait are written and fsynced together, up to so many bytes. */
const MOST_BYTES = 4 * 1024 * 1024
const RETRY_MS = 1_000

/**
 * Group commit: while one write is on its way to the disk, the next ones gather, and share one
 * fsync. A write that failed is cut off again before anything is written behind it, so that the
 * file holds whole records only; where even that fails, a new file is begun.
 */
export class SpillWriter {
  readonly #options: WriterOptions
  #current: Segment | undefined
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #retry: Timer | undefined
  #syncTimer: Timer | undefined
  #dirty = false
  #closed = false

  constructor(options: WriterOptions) {
    this.#options = options
    this.#current = options.writable ? options.segments.at(-1) : undefined
  }

  /** The segment that may still grow. */
  get current(): Segment | undefined {
    return this.#current
  }

  /** @throws QueueUnavailable, QueueUncertain unless the group is stubborn */
  write(group: WriteGroup): Promise<void> {
    if (this.#closed) return Promise.reject(new Closed('the local file of this queue is closed'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ group, resolve, reject })
      if (!this.#running) this.#running = this.#run()
    })
  }

  /** Writes what waits, once more where it was refused, and fsyncs. The writer must not be used after. */
  async close(): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    while (this.#running) await this.#running
    if (this.#waiting.length > 0) await this.#run()
    this.#retry?.cancel()
    this.#syncTimer?.cancel()
    for (const { resolve } of this.#waiting.splice(0)) resolve()
    if (this.#options.fsync !== 'os') await this.#syncQuietly()
  }

  async #run(): Promise<void> {
    this.#retry?.cancel()
    // All adds of one tick share the first write too.
    await new Promise<void>((resolve) => this.#options.clock.endOfTick(resolve))
    while (this.#waiting.length > 0 && (await this.#writeSome()));
    this.#running = undefined
  }

  /** False when the disk refused and only those are left that wait for it. */
  async #writeSome(): Promise<boolean> {
    let segment: Segment
    let file: SpillFile
    try {
      segment = await this.#roomy()
      file = await openFile(this.#options.disk, segment)
    } catch (error) {
      return this.#refuse(this.#waiting.splice(0), error, true, undefined, 0)
    }
    const { taken, bytes, offsets } = this.#encode(segment)
    let phase: 'write' | 'sync' = 'write'
    try {
      if (bytes.length > 0) await file.write(bytes, segment.size)
      this.#dirty = true
      phase = 'sync'
      if (this.#options.fsync === 'always' && taken.some(({ group }) => group.durable)) await this.#sync(file)
    } catch (error) {
      const gone = await this.#cutOff(segment, file)
      if (!gone || phase === 'sync') this.#current = undefined
      if (!gone && typeof this.#options.fsync === 'number')
        this.#options.failed('unsynced', segment, segment.size, error)
      return this.#refuse(taken, error, gone, segment, bytes.length)
    }
    segment.size += bytes.length
    taken.forEach(({ group, resolve }, index) => {
      group.placed?.(segment, offsets[index]!)
      resolve()
    })
    this.#syncLater()
    return true
  }

  #encode(segment: Segment) {
    const taken: Waiting[] = []
    const offsets: number[][] = []
    const chunks: Buffer[] = []
    let length = 0
    while (this.#waiting.length > taken.length && length < MOST_BYTES) {
      const waiting = this.#waiting[taken.length]!
      taken.push(waiting)
      const own: number[] = []
      for (const record of waiting.group.encode(segment.salt)) {
        own.push(segment.size + length)
        chunks.push(record)
        length += record.length
      }
      offsets.push(own)
    }
    this.#waiting.splice(0, taken.length)
    return { taken, offsets, bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length) }
  }

  async #roomy(): Promise<Segment> {
    const { disk, random, segments, fsync, segmentBytes, head, nextSeq } = this.#options
    if (this.#current && this.#current.size < segmentBytes) return this.#current
    // Marks of the last one may not be on the disk yet; the new one must not be there without them.
    if (this.#current?.file && this.#dirty && fsync !== 'os') await this.#sync(await this.#current.file)
    const salt = Math.floor(random.float() * 2 ** 32)
    const segment = await createSegment(disk, (segments.at(-1)?.number ?? 0) + 1, salt, nextSeq(), head(salt))
    segments.push(segment)
    this.#current = segment
    return segment
  }

  /** True when the file is again as before the write, for certain. */
  async #cutOff(segment: Segment, file: SpillFile): Promise<boolean> {
    try {
      await file.truncate(segment.size)
      await file.sync()
      return true
    } catch {
      return false
    }
  }

  #refuse(
    taken: readonly Waiting[],
    cause: unknown,
    gone: boolean,
    segment: Segment | undefined,
    bytes: number,
  ): boolean {
    const code = codeOf(cause) ?? 'unknown error'
    for (const waiting of taken.filter(({ group }) => !group.stubborn)) {
      waiting.reject(
        gone
          ? new QueueUnavailable(`the spill file could not be written (${code})`, {
              cause,
              mend: 'look at the disk: space, permissions, health',
            })
          : new QueueUncertain(`the disk failed while the spill file was written (${code})`, { cause }),
      )
    }
    this.#waiting.unshift(...taken.filter(({ group }) => group.stubborn))
    this.#options.failed('refused', segment, bytes, cause)
    if (this.#waiting.some(({ group }) => !group.stubborn)) return true
    this.#retry = this.#options.clock.after(RETRY_MS, () => {
      if (!this.#running && this.#waiting.length > 0) this.#running = this.#run()
    })
    return false
  }

  async #sync(file: SpillFile): Promise<void> {
    await file.sync()
    this.#dirty = false
  }

  #syncLater(): void {
    const { fsync, clock } = this.#options
    if (typeof fsync !== 'number' || this.#syncTimer || !this.#dirty) return
    this.#syncTimer = clock.after(fsync, () => {
      this.#syncTimer = undefined
      void this.#syncQuietly()
    })
  }

  async #syncQuietly(): Promise<void> {
    const segment = this.#current
    if (!segment?.file || !this.#dirty) return
    try {
      await this.#sync(await segment.file)
    } catch (error) {
      // The system may have dropped what it could not write: a second fsync would prove nothing.
      this.#current = undefined
      this.#options.failed('unsynced', segment, segment.size, error)
    }
  }
}

/** The handle of a segment; opened once, however many ask. */
export function openFile(disk: SpillDisk, segment: Segment): Promise<SpillFile> {
  segment.file ??= disk.open(segment.name).catch((error: unknown) => {
    segment.file = undefined
    throw error
  })
  return segment.file
}
