import type { Clock } from '../base/clock.ts'
import { itemRecord, noteRecord } from './spill-body.ts'
import type { SpillDisk } from './spill-disk.ts'
import type { Segment, SpillEntry, SpillIndex } from './spill-entries.ts'
import { KINDS } from './spill-record.ts'
import type { SpillWriter } from './spill-writer.ts'

export interface TidierOptions {
  readonly disk: SpillDisk
  readonly clock: Clock
  readonly segmentBytes: number
  readonly index: SpillIndex
  /** Shared with the writer, which adds to them; oldest first. */
  readonly segments: Segment[]
  readonly writer: SpillWriter
  read(entries: readonly SpillEntry[]): Promise<readonly (string | undefined)[]>
  failed(error: unknown): void
}

/** So many segments of waste are not worth copying for. */
const SPARED_SEGMENTS = 4

/** Removes segments that are spent, oldest first, and copies forward what keeps a wasteful one. */
export class SpillTidier {
  readonly #options: TidierOptions
  #tidying: Promise<void> | undefined

  constructor(options: TidierOptions) {
    this.#options = options
  }

  get diskBytes(): number {
    return this.#options.segments.reduce((sum, segment) => sum + segment.size, 0)
  }

  /** In the background, one at a time. */
  tidy(): void {
    if (this.#tidying) return
    this.#tidying = this.#tidy()
      .catch((error: unknown) => this.#options.failed(error))
      .then(() => {
        this.#tidying = undefined
      })
  }

  async end(): Promise<void> {
    await this.#tidying
  }

  /** Writes what is wanted of a segment anew at the end of the log. */
  async rewrite(segment: Segment): Promise<void> {
    const { index, writer } = this.#options
    const wanted = [...index.parcels.values(), ...index.letters.values()].filter(
      (entry) => entry.segment === segment,
    )
    const read = await this.#options.read(wanted)
    const texts = new Map(wanted.map((entry, n) => [entry, read[n]]))
    let written: SpillEntry[] = []
    await writer.write({
      encode: (salt) => {
        // Looked at when it is written: a copy behind the mark that settles it would revive it.
        written = wanted.filter((entry) => index.has(entry) && texts.get(entry) !== undefined)
        const copies = written.map((entry) => {
          const kind = entry.kind === 'letter' ? KINDS.letter : KINDS.parcel
          return itemRecord(kind, { ...entry, text: texts.get(entry) ?? '' }, salt)
        })
        const notes = written.flatMap(({ seq, note }) =>
          note === undefined ? [] : noteRecord(seq, note, salt),
        )
        return [...copies, ...notes]
      },
      placed: (target, offsets) => {
        written.forEach((entry, n) => {
          if (index.has(entry)) index.move(entry, target, offsets[n]!)
        })
      },
      durable: true,
      stubborn: false,
    })
  }

  async #tidy(): Promise<void> {
    const { segments, writer, index, clock } = this.#options
    for (;;) {
      const oldest = segments[0]
      if (!oldest || oldest === writer.current) return
      if (index.isSpent(oldest, clock.wall())) await this.#remove(oldest)
      else if (oldest.live > 0 && this.#isWasteful()) await this.rewrite(oldest)
      else return
    }
  }

  async #remove(segment: Segment): Promise<void> {
    const { disk, segments } = this.#options
    const file = await segment.file?.catch(() => undefined)
    await file?.close()
    segment.file = undefined
    // The marks in a later segment are about parcels in earlier ones: gone means gone, in order.
    await disk.remove(segment.name)
    segments.shift()
  }

  #isWasteful(): boolean {
    const { index, segmentBytes } = this.#options
    return this.diskBytes - index.bytes > Math.max(index.bytes, SPARED_SEGMENTS * segmentBytes)
  }
}
