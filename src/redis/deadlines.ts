import type { Clock, Timer } from '../base/clock.ts'

export interface Waiting {
  /** On the monotonic clock. */
  readonly due: number
}

/**
 * Many deadlines over one timer, armed for the earliest. It is not moved when calls settle: it then
 * fires in vain once per deadline's length, which is cheaper than a timer for each call.
 */
export class Deadlines<W extends Waiting> {
  #clock: Clock
  #overdue: (call: W, lateMs: number) => void
  #waiting = new Set<W>()
  #timer: Timer | undefined
  #armedFor = Number.POSITIVE_INFINITY

  /** @param overdue called for each call that is still waiting after its time, with the delay of our timer */
  constructor(clock: Clock, overdue: (call: W, lateMs: number) => void) {
    this.#clock = clock
    this.#overdue = overdue
  }

  add(call: W, now: number): void {
    this.#waiting.add(call)
    if (call.due < this.#armedFor) this.#arm(call.due, now)
  }

  delete(call: W): boolean {
    return this.#waiting.delete(call)
  }

  /** Ends all waiting and hands out who still waited. */
  clear(): W[] {
    const left = [...this.#waiting]
    this.#waiting.clear()
    this.#timer?.cancel()
    this.#armedFor = Number.POSITIVE_INFINITY
    return left
  }

  #arm(due: number, now: number): void {
    this.#timer?.cancel()
    this.#armedFor = due
    this.#timer = this.#clock.after(Math.max(0, due - now), () => this.#fire(due))
  }

  #fire(due: number): void {
    const now = this.#clock.mono()
    // Timers may fire a fraction of a millisecond before their time.
    const overdue = [...this.#waiting].filter((call) => call.due <= now + 1)
    if (overdue.length > 0) {
      // The answers may lie unread in the socket because our own event loop was busy.
      this.#clock.afterInput(() => {
        for (const call of overdue) if (this.#waiting.delete(call)) this.#overdue(call, now - due)
      })
    }
    let next = Number.POSITIVE_INFINITY
    for (const call of this.#waiting) if (call.due > now + 1 && call.due < next) next = call.due
    this.#armedFor = next
    if (next < Number.POSITIVE_INFINITY) this.#arm(next, now)
  }
}
