import type { HeldParcel, PartitionLease, Settlement } from './backend.ts'
import { QueueUnavailable } from './errors.ts'
import type { SpillEntry } from './spill-entries.ts'
import type { SpillLog } from './spill-log.ts'

/** Parcels of one partition that nobody holds, oldest first. */
export class WaitingLine {
  #entries: SpillEntry[] = []
  #head = 0

  get length(): number {
    return this.#entries.length - this.#head
  }

  push(entry: SpillEntry): void {
    this.#entries.push(entry)
  }

  shift(most: number): SpillEntry[] {
    const taken = this.#entries.slice(this.#head, this.#head + most)
    this.#head += taken.length
    if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) this.#settleHead()
    return taken
  }

  /** Back in front, in their order: they were taken before everything that waits now. */
  unshift(entries: readonly SpillEntry[]): void {
    const ordered = [...entries].sort((a, b) => a.seq - b.seq)
    this.#settleHead()
    this.#entries = [...ordered, ...this.#entries]
  }

  #settleHead(): void {
    this.#entries.splice(0, this.#head)
    this.#head = 0
  }
}

export interface LeaseOptions {
  readonly log: SpillLog
  readonly line: WaitingLine
  readonly partition: number
  readonly fence: number
  readonly paused: () => boolean
  /** The partition is free again. */
  readonly released: () => void
}

/** The right to a partition within one process: nobody can take it away but the closing of the queue. */
export class EmbeddedLease implements PartitionLease {
  readonly partition: number
  readonly fence: number
  readonly #options: LeaseOptions
  readonly #held = new Map<string, SpillEntry>()
  readonly #lost = new AbortController()
  #released = false

  constructor(options: LeaseOptions) {
    this.#options = options
    this.partition = options.partition
    this.fence = options.fence
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async take(most: number): Promise<readonly HeldParcel[]> {
    this.#check()
    const { log, line, paused } = this.#options
    if (paused()) return []
    const entries = line.shift(most)
    if (entries.length === 0) return []
    for (const entry of entries) this.#held.set(String(entry.seq), entry)
    let texts: (string | undefined)[]
    try {
      await log.taken(entries)
      texts = await log.read(entries)
    } catch (cause) {
      for (const entry of entries) this.#held.delete(String(entry.seq))
      if (!this.#released) line.unshift(entries)
      throw new QueueUnavailable('the local file could not be read', { cause, mend: 'look at the disk' })
    }
    this.#check()
    return entries.flatMap((entry, index) => {
      const text = texts[index]
      const handle = String(entry.seq)
      // Its bytes had rotted: counted and told by the log, and nothing can be done with it.
      if (text === undefined) this.#held.delete(handle)
      const { seq: position, count, deliveries, note } = entry
      return text === undefined ? [] : [{ handle, position, text, count, deliveries, note }]
    })
  }

  async settle(parcels: readonly Settlement[], done: readonly string[]): Promise<void> {
    this.#check()
    const entries = parcels.flatMap(({ handle }) => this.#held.get(handle) ?? [])
    for (const { handle } of parcels) this.#held.delete(handle)
    await this.#options.log.settle(entries, done)
  }

  async seen(ids: readonly string[]): Promise<ReadonlySet<string>> {
    this.#check()
    return new Set(ids.filter((id) => this.#options.log.seen(id)))
  }

  async note(handle: string, note: string): Promise<void> {
    this.#check()
    const entry = this.#held.get(handle)
    if (entry) await this.#options.log.note(entry, note)
  }

  async release(): Promise<void> {
    if (this.#released) return
    this.#released = true
    this.#options.line.unshift([...this.#held.values()])
    this.#held.clear()
    this.#options.released()
  }

  /** The queue closes: whoever still holds something must stop. */
  lose(): void {
    if (this.#released) return
    this.#lost.abort(new QueueUnavailable('the queue was closed', { mend: 'create a new instance' }))
    void this.release()
  }

  #check(): void {
    if (this.#released) {
      throw new QueueUnavailable('this process no longer owns the partition', { mend: 'lease it again' })
    }
  }
}
