import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Parcel } from './backend.ts'
import type { Checked } from './intake.ts'
import { parcelText } from './parcel-text.ts'
import { partitionOf } from './partition.ts'

/** Stores parcels; one verdict per parcel, `undefined` is stored. Never rejects. */
export type Outlet = (parcels: readonly Parcel[]) => Promise<readonly (Error | undefined)[]>

export interface GroupCommitSetup {
  readonly clock: Clock
  readonly random: Random
  readonly partitions: number
  readonly parcel: { readonly size: number; readonly bytes: number; readonly wait: number }
  readonly outlet: Outlet
}

/** Told once for each message: with nothing when it is durable. */
export type Settle = (error: Error | undefined) => void

interface Draft {
  readonly partition: number
  readonly entries: Entry[]
  bytes: number
  at: number
}

interface Entry {
  readonly text: string
  readonly settles: Settle[]
}

/**
 * Adds of the same moment travel together. Whatever is added while a flush is under way makes up the
 * next one, so the busier the queue, the larger its parcels, and nobody waits for a timer. One flush
 * at a time: the parcels of a partition leave in the order of their adds.
 */
export class GroupCommit {
  readonly #setup: GroupCommitSetup
  /** The draft of each partition that still takes messages, and those that are full, in order. */
  #open = new Map<number, Draft>()
  #drafts: Draft[] = []
  /** The newest waiting state of each coalescing key. */
  #states = new Map<string, { draft: Draft; index: number }>()
  #isScheduled = false
  #isFlushing = false
  #turn = 0
  #waiting = 0
  #idle: (() => void)[] = []

  constructor(setup: GroupCommitSetup) {
    this.#setup = setup
  }

  /** Messages whose verdict is not known. */
  get waiting(): number {
    return this.#waiting
  }

  add(message: Checked, settle: Settle): void {
    const { partitions, parcel } = this.#setup
    const { key, coalesce, text, bytes, at } = message
    const partition = key === undefined ? this.#turn % partitions : partitionOf(key, partitions)
    let settles = [settle]
    this.#waiting++
    if (coalesce !== undefined) settles = [...this.#supersede(coalesce), settle]
    let draft = this.#open.get(partition)
    if (!draft || draft.entries.length >= parcel.size || draft.bytes + bytes > parcel.bytes) {
      draft = { partition, entries: [], bytes: 0, at }
      this.#open.set(partition, draft)
      this.#drafts.push(draft)
    }
    draft.bytes += bytes
    draft.at = Math.min(draft.at, at)
    if (coalesce !== undefined) this.#states.set(coalesce, { draft, index: draft.entries.length })
    draft.entries.push({ text, settles })
    this.#schedule()
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (!this.#isFlushing && this.#drafts.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Takes an older state of the same key out of its draft; whoever added it waits for the newer one. */
  #supersede(coalesce: string): Settle[] {
    const older = this.#states.get(coalesce)
    const entry = older?.draft.entries[older.index]
    if (!older || !entry) return []
    older.draft.entries[older.index] = { text: '', settles: [] }
    older.draft.bytes -= entry.text.length
    return entry.settles
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFlushing) return
    this.#isScheduled = true
    const { clock, parcel } = this.#setup
    if (parcel.wait === 0) clock.endOfTick(this.#flush)
    else clock.after(parcel.wait, this.#flush, true)
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    const drafts = this.#drafts
    this.#drafts = []
    this.#open = new Map()
    this.#states = new Map()
    this.#turn++
    const sent = drafts.map((draft) => draft.entries.filter(({ text }) => text !== ''))
    const parcels = drafts.map((draft, i) => this.#seal(draft, sent[i]!)).filter(({ count }) => count > 0)
    this.#isFlushing = true
    void this.#setup.outlet(parcels).then((verdicts) => {
      this.#isFlushing = false
      let next = 0
      for (const entries of sent) {
        if (entries.length === 0) continue
        const verdict = verdicts[next++]
        for (const { settles } of entries) {
          this.#waiting -= settles.length
          for (const settle of settles) settle(verdict)
        }
      }
      if (this.#drafts.length > 0) return this.#schedule()
      const idle = this.#idle
      this.#idle = []
      for (const resolve of idle) resolve()
    })
  }

  #seal(draft: Draft, entries: readonly Entry[]): Parcel {
    const { partition, at } = draft
    const id = `p${this.#setup.random.id()}`
    return { id, partition, text: parcelText(entries.map(({ text }) => text)), count: entries.length, at }
  }
}
