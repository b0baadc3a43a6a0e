import type { Clock, Timer } from '../base/clock.ts'
import type { LossCause } from './errors.ts'
import type { RenewReply } from './store.ts'

/** A single renewal may take this long before it is given up and tried again. */
const ATTEMPT_MS = 500

/**
 * How much earlier than the server a holder considers its lease over: 1 % for clocks that run at
 * different speeds, and 2 ms for rounding.
 */
export const safetyMargin = (ttlMs: number): number => ttlMs * 0.01 + 2

export interface WatchdogOptions {
  readonly clock: Clock
  readonly ttlMs: number
  /** Monotonic time before the send that won the lease: the lease cannot have begun earlier. */
  readonly sentAt: number
  /** False: the lease is held for one ttl at most. */
  readonly renews: boolean
  renew(deadlineMs: number): Promise<RenewReply>
  onLost(cause: LossCause): void
}

/**
 * Keeps a lease alive by renewing it every third of its ttl, and knows when it is over. The end is
 * a time on our own monotonic clock, counted from before the send: it needs no answer from Redis,
 * so a holder cut off from Redis is told before anyone else can get in.
 */
export class Watchdog {
  #options: WatchdogOptions
  #deadline: number
  #renewAt: number
  #timer: Timer | undefined
  #renewing = false
  #unreachable = false
  #lost: LossCause | undefined
  #stopped = false

  constructor(options: WatchdogOptions) {
    this.#options = options
    this.#deadline = options.sentAt + options.ttlMs - safetyMargin(options.ttlMs)
    this.#renewAt = options.renews ? options.sentAt + options.ttlMs / 3 : Number.POSITIVE_INFINITY
    this.#arm()
  }

  /** Why it ended early, also when the timer that should say so is late because the loop stood still. */
  get lost(): LossCause | undefined {
    if (!this.#lost && !this.#stopped && this.#options.clock.mono() >= this.#deadline) this.#overdue()
    return this.#lost
  }

  /** Milliseconds until the lease is over unless it is renewed. */
  get remaining(): number {
    return Math.max(0, this.#deadline - this.#options.clock.mono())
  }

  /** Gives the lease up without a word: it was released. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  lose(cause: LossCause): void {
    if (this.#lost || this.#stopped) return
    this.#lost = cause
    this.stop()
    this.#options.onLost(cause)
  }

  #overdue(): void {
    this.lose(this.#unreachable ? 'unreachable' : 'expired')
  }

  #arm(): void {
    const { clock } = this.#options
    this.#timer?.cancel()
    const next = this.#renewing ? this.#deadline : Math.min(this.#renewAt, this.#deadline)
    this.#timer = clock.after(Math.max(0, next - clock.mono()), () => this.#due())
  }

  #due(): void {
    if (this.#stopped || this.lost) return
    const now = this.#options.clock.mono()
    if (!this.#renewing && now >= this.#renewAt) void this.#renew(now)
    this.#arm()
  }

  async #renew(sentAt: number): Promise<void> {
    const { clock, ttlMs } = this.#options
    this.#renewing = true
    // No answer by the deadline means that Redis could not be reached, whatever the call says later.
    this.#unreachable = true
    try {
      const reply = await this.#options.renew(Math.min(ATTEMPT_MS, this.#deadline - sentAt))
      this.#unreachable = false
      if (this.#stopped || this.lost) return
      if (reply !== 'held') return this.lose(reply)
      this.#deadline = sentAt + ttlMs - safetyMargin(ttlMs)
      this.#renewAt = sentAt + ttlMs / 3
    } catch {
      // Unknown outcome: the old deadline stands. Again soon, but never in a tight loop.
      this.#renewAt = clock.mono() + Math.max(10, Math.min(250, ttlMs / 20))
    } finally {
      this.#renewing = false
      if (!this.#stopped) this.#arm()
    }
  }
}
