import type { TimeSample } from './identity.ts'

/**
 * The server's clock by ours. Leans low on purpose: scripts refuse to run after a deadline in
 * server time, and "refused a little early" is safe where "ran after we gave up" is not.
 */
export class ServerClock {
  #offset: number | undefined

  add(sample: TimeSample): void {
    const low = sample.server - sample.to
    const high = sample.server - sample.from
    // Keep a tighter earlier reading while the new one does not contradict it (drift, a step).
    if (this.#offset !== undefined && this.#offset >= low && this.#offset <= high) return
    this.#offset = low
  }

  /** Server ms when our monotonic clock shows `mono`; `wall` before the first reading. */
  now(mono: number, wall: number): number {
    return this.#offset === undefined ? wall : mono + this.#offset
  }

  reset(): void {
    this.#offset = undefined
  }
}
