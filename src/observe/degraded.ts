import type { Clock } from '../base/clock.ts'
import type { Holdfast } from '../holdfast.ts'
import type { DegradedPart } from './rolling-shapes.ts'

/** What does less than it should at the moment, and since when. */
export class Degraded {
  readonly #hf: Holdfast
  readonly #clock: Clock
  /** Wall clock by what it is. */
  readonly #since = new Map<string, number>()

  constructor(hf: Holdfast, clock: Clock) {
    this.#hf = hf
    this.#clock = clock
  }

  /** Once a second, so that an outage between two readings keeps its beginning. */
  look(blindLimiters: Iterable<string>): void {
    const now = new Map<string, number | undefined>()
    const { roles, queues } = this.#hf.health()
    // Both roles may stand on one server.
    for (const { nodes } of Object.values(roles)) {
      for (const { address, state, since } of nodes) {
        if (state !== 'ready') now.set(`redis ${address}`, since)
      }
    }
    for (const { queue, spilled } of queues)
      if (spilled > 0) now.set(`queue ${queue} spills to disk`, undefined)
    for (const limiter of blindLimiters) now.set(limiter, undefined)
    for (const what of this.#since.keys()) if (!now.has(what)) this.#since.delete(what)
    for (const [what, since] of now) {
      if (!this.#since.has(what)) this.#since.set(what, since ?? this.#clock.wall())
    }
  }

  parts(blindLimiters: Iterable<string>): readonly DegradedPart[] {
    this.look(blindLimiters)
    return [...this.#since].map(([what, since]) => ({ what, since: new Date(since).toISOString() }))
  }
}
