import type { Clock, Timer } from '../base/clock.ts'
import { QueueUnavailable } from './errors.ts'

export interface LeaseClockSetup {
  readonly clock: Clock
  /** Life of the lease unless renewed, ms. */
  readonly ttl: number
  /** Monotonic time before the command that won the lease was sent. */
  readonly since: number
  /** False: somebody else has it. Rejects where nobody can tell. */
  renew(deadline: number): Promise<boolean>
  /** Called once, when it is lost. */
  ended(): void
}

/** Part of the lease's life that may pass before it counts as lost here: slack for clocks that run unevenly. */
const TRUST = 0.9

/**
 * The life of a lease as its holder knows it: renewed at thirds, and lost without a renewal in time,
 * whatever the cause. The end does not rest on the server: a timer of this process brings it.
 */
export class LeaseClock {
  readonly #setup: LeaseClockSetup
  readonly #lost = new AbortController()
  #goodUntil: number
  #renewal: Timer | undefined
  #end: Timer | undefined
  #isStopped = false

  constructor(setup: LeaseClockSetup) {
    this.#setup = setup
    this.#goodUntil = setup.since + setup.ttl * TRUST
    this.#watch()
    this.#renewLater(setup.ttl / 3)
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  get isHeld(): boolean {
    return !this.#isStopped && !this.lost.aborted && this.#setup.clock.mono() < this.#goodUntil
  }

  /** @throws QueueUnavailable */
  assertHeld(): void {
    if (!this.isHeld) throw new QueueUnavailable('this process does not own the partition any more')
  }

  /** No more renewals, and no loss either: it is given back. */
  stop(): void {
    this.#isStopped = true
    this.#renewal?.cancel()
    this.#end?.cancel()
  }

  #renewLater(ms: number): void {
    if (this.lost.aborted || this.#isStopped) return
    this.#renewal = this.#setup.clock.after(ms, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, ttl, renew } = this.#setup
    const sentAt = clock.mono()
    try {
      const isOurs = await renew(Math.max(50, Math.min(ttl / 3, this.#goodUntil - sentAt)))
      if (!isOurs) return this.#lose('somebody else owns the partition')
      this.#goodUntil = sentAt + ttl * TRUST
      this.#renewLater(ttl / 3)
    } catch {
      // Tried again until it can no longer be proven.
      this.#renewLater(Math.min(200, ttl / 10))
    }
  }

  #watch(): void {
    const { clock } = this.#setup
    this.#end = clock.after(Math.max(1, this.#goodUntil - clock.mono()), () => {
      if (clock.mono() >= this.#goodUntil)
        this.#lose('the lease of the partition could not be renewed in time')
      else this.#watch()
    })
  }

  #lose(why: string): void {
    if (this.lost.aborted || this.#isStopped) return
    this.stop()
    this.#lost.abort(new QueueUnavailable(why))
    this.#setup.ended()
  }
}
