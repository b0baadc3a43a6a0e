import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { BackendStats, Letter, Parcel, PartitionLease, QueueBackend } from './backend.ts'
import { EmbeddedLease, WaitingLine } from './embedded-lease.ts'
import { QueueMismatch, QueueUnavailable } from './errors.ts'
import { type LocalLog, openLocalLog } from './local-log.ts'
import type { Durability } from './options.ts'
import type { SpillLog } from './spill-log.ts'
import type { Fsync } from './spill-writer.ts'

export interface EmbeddedOptions {
  readonly queue: string
  readonly partitions: number
  /** Where the file lives. Undefined: in the memory of this process, and everything ends with it. */
  readonly directory: string | undefined
  /** `memory` leaves the fsync to the system, everything above waits for it, unless `fsync` says otherwise. */
  readonly durability: Durability
  readonly fsync?: Fsync | undefined
  readonly maxBytes?: number | undefined
  readonly dedupeMs: number
  readonly clock: Clock
  readonly random: Random
}

/** A queue within one process: a local file, the workers beside it. */
export class EmbeddedBackend implements QueueBackend {
  readonly kind = 'embedded'
  readonly #options: EmbeddedOptions
  readonly #lines: readonly WaitingLine[]
  readonly #leases = new Map<number, EmbeddedLease>()
  readonly #sleepers = new Set<{ readonly partitions: ReadonlySet<number>; wake(): void }>()
  #local: LocalLog | undefined
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #works = false

  constructor(options: EmbeddedOptions) {
    this.#options = options
    this.#lines = Array.from({ length: options.partitions }, () => new WaitingLine())
  }

  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  async put(parcels: readonly Parcel[]): Promise<readonly (Error | undefined)[]> {
    try {
      for (const { partition } of parcels) this.#line(partition)
      const entries = await this.#log().append(parcels)
      for (const entry of entries) this.#line(entry.partition).push(entry)
      this.#wake(new Set(entries.map(({ partition }) => partition)))
      return parcels.map(() => undefined)
    } catch (error) {
      const verdict =
        error instanceof Error ? error : new QueueUnavailable('the local file could not be written')
      return parcels.map(() => verdict)
    }
  }

  async lease(partition: number): Promise<PartitionLease | undefined> {
    const log = this.#log()
    if (this.#leases.has(partition)) return undefined
    const fence = log.state.fence + 1
    const lease = new EmbeddedLease({
      ...{ log, partition, fence },
      line: this.#line(partition),
      paused: () => log.state.paused,
      released: () => {
        this.#leases.delete(partition)
        this.#wake(new Set([partition]))
      },
    })
    this.#leases.set(partition, lease)
    // Before anything is written under it: a number that was given once must not be given again.
    await log.setState({ fence })
    return lease
  }

  async beat(): Promise<number> {
    this.#works = true
    return 1
  }

  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void> {
    const paused = this.#local?.log.state.paused
    if (signal.aborted || (!paused && partitions.some((partition) => this.#line(partition).length > 0))) {
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(sleeper)
        signal.removeEventListener('abort', wake)
        timer.cancel()
        resolve()
      }
      const sleeper = { partitions: new Set(partitions), wake }
      const timer = this.#options.clock.after(ms, wake)
      this.#sleepers.add(sleeper)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  bury(letters: readonly Letter[]): Promise<void> {
    return this.#log().bury(letters)
  }

  async letters(offset: number, count: number): Promise<readonly Letter[]> {
    return this.#readLetters([...this.#log().letters.keys()].slice(offset, offset + count))
  }

  async letter(id: string): Promise<Letter | undefined> {
    return (await this.#readLetters([id]))[0]
  }

  async unbury(ids: readonly string[]): Promise<readonly boolean[]> {
    const log = this.#log()
    const entries = ids.map((id) => log.letters.get(id))
    await log.settle(
      entries.flatMap((entry) => entry ?? []),
      [],
      true,
    )
    return entries.map((entry) => entry !== undefined)
  }

  pause(): Promise<void> {
    return this.#log().setState({ paused: true })
  }

  async resume(): Promise<void> {
    await this.#log().setState({ paused: false })
    this.#wake(new Set(this.#lines.keys()))
  }

  async stats(): Promise<BackendStats> {
    const log = this.#log()
    const [oldest] = log.parcels.values()
    const { paused } = log.state
    const workers = this.#works ? 1 : 0
    return { depth: log.messages, oldestAt: oldest?.at, dead: log.letters.size, paused, workers }
  }

  async drop(): Promise<number> {
    const entries = this.#lines.flatMap((line) => line.shift(Number.POSITIVE_INFINITY))
    await this.#log().settle(entries, [], true)
    return entries.reduce((sum, { count }) => sum + count, 0)
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      // An opening that is under way must not leave the directory owned.
      await this.#opening?.catch(() => {})
      for (const lease of this.#leases.values()) lease.lose()
      for (const sleeper of this.#sleepers) sleeper.wake()
      // A disk that fails now has kept what it acknowledged; there is nobody left to tell.
      await this.#local?.close().catch(() => {})
    })()
    return this.#closing
  }

  async #open(): Promise<void> {
    const { durability, fsync = durability === 'memory' ? 'os' : 'always', partitions } = this.#options
    const local = await openLocalLog({ ...this.#options, fsync })
    const known = local.log.state.partitions ?? partitions
    if (known !== partitions) {
      await local.close()
      throw new QueueMismatch(
        `the local file was made for ${known} partitions and is opened with ${partitions}`,
        'give the number it was made with, or drain it and use a new directory',
      )
    }
    if (local.log.state.partitions === undefined) await local.log.setState({ partitions })
    for (const entry of local.log.parcels.values()) this.#line(entry.partition).push(entry)
    this.#local = local
  }

  async #readLetters(ids: readonly string[]): Promise<Letter[]> {
    const log = this.#log()
    const entries = ids.flatMap((id) => log.letters.get(id) ?? [])
    const texts = await log.read(entries)
    return entries.flatMap(({ id, partition, at }, index) => {
      const text = texts[index]
      return text === undefined ? [] : [{ id, partition, text, diedAt: at }]
    })
  }

  #log(): SpillLog {
    if (!this.#local || this.#closing) {
      throw new QueueUnavailable('the queue is not open', { mend: 'await open() first; close() is final' })
    }
    return this.#local.log
  }

  #line(partition: number): WaitingLine {
    const line = this.#lines[partition]
    if (!line)
      throw new QueueUnavailable(`there is no partition ${partition}`, { mend: 'use one that exists' })
    return line
  }

  #wake(partitions: ReadonlySet<number>): void {
    for (const sleeper of this.#sleepers) {
      if ([...partitions].some((partition) => sleeper.partitions.has(partition))) sleeper.wake()
    }
  }
}
