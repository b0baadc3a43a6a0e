import { type Clock, sleep } from '../base/clock.ts'
import type { PartitionLease, Settlement } from './backend.ts'
import { tellFault } from './events.ts'
import type { Holding } from './line.ts'

export interface SettlementsSetup {
  readonly clock: Clock
  readonly namespace: string
  readonly queue: string
  readonly lease: PartitionLease
  /** Aborts a pause after a fault. */
  readonly stop: AbortSignal
}

/** Pause after a fault, ms. */
const FAULT_PAUSE = 100

/** The parcels of one partition that are over, on their way to being forgotten by the backend. */
export class Settlements {
  readonly #setup: SettlementsSetup
  #over: Settlement[] = []
  /** Ids to be remembered. */
  #done: string[] = []
  /** Their settling failed once: if one comes again it is settled again, not handled again. */
  readonly #doubtful = new Set<string>()
  #running: Promise<void> = Promise.resolve()

  constructor(setup: SettlementsSetup) {
    this.#setup = setup
  }

  /** Whether all of a parcel was done before, and only its settling did not get through. */
  wasDone(handle: string): boolean {
    return this.#doubtful.has(handle)
  }

  remember(id: string): void {
    this.#done.push(id)
  }

  /** One message of a parcel is over; with the last one the parcel is. */
  leave(holding: Holding): void {
    if (--holding.left > 0) return
    const { handle, count } = holding.parcel
    this.add({ handle, count })
  }

  add(settlement: Settlement): void {
    this.#over.push(settlement)
  }

  /** Begins to settle what there is, behind what is being settled. Never rejects. */
  soon(): void {
    this.#running = this.#running.then(() => this.#settle())
  }

  /** Resolves when nothing is being settled. */
  idle(): Promise<void> {
    return this.#running
  }

  async #settle(): Promise<void> {
    const over = this.#over
    const done = this.#done
    if (over.length === 0 && done.length === 0) return
    this.#over = []
    this.#done = []
    const { lease, clock, stop } = this.#setup
    if (lease.lost.aborted) return
    try {
      await lease.settle(over, done)
    } catch (error) {
      for (const { handle } of over) this.#doubtful.add(handle)
      this.#over = [...over, ...this.#over]
      this.#done = [...done, ...this.#done]
      tellFault(this.#setup, 'settle', error)
      await sleep(clock, FAULT_PAUSE, stop).catch(() => {})
    }
  }
}
