import { loads, lookups } from '../cache/stats.ts'
import { limitDegradedEvents, limitEvents } from '../limit/events.ts'
import { lockEvents } from '../lock/events.ts'
import { queueBatchEvents, queueBeginEvents } from '../queue/events.ts'
import type { LatencyHistogram } from './latency-histogram.ts'
import { hear, type Stop, stopAll } from './part.ts'

/** Limiters whose outage policy decided, that are remembered at once. */
const MOST_LIMITERS = 100

/** Where times of the current slot go; exchanged when the slot ends. */
export interface Times {
  ops: LatencyHistogram
  loads: LatencyHistogram
}

/**
 * What only events say: times, decisions, locks. They are those of the whole process, of every
 * instance in it. An event costs an addition: no object, no clock.
 */
export class RollingEar {
  allowed = 0
  denied = 0
  lost = 0
  /** Locks that were taken since the listening began. */
  held = 0
  waiting = 0
  inHand = 0
  /** Limiter and policy, with the tick of the last decision without Redis. */
  readonly blindLimiters = new Map<string, number>()
  #tick = 0
  readonly #stop: Stop
  readonly #times: Times
  #stopLookups: Stop | undefined

  constructor(times: Times) {
    this.#times = times
    this.#stop = stopAll([
      hear(limitEvents, ({ outcome }) => {
        if (outcome === 'denied') this.denied++
        else this.allowed++
      }),
      hear(limitDegradedEvents, ({ limiter, policy }) => this.#blind(`limiter ${limiter} (${policy})`)),
      hear(lockEvents, ({ event }) => {
        if (event === 'acquired') this.held++
        else if (event === 'queued') this.waiting++
        else if (event === 'unqueued') this.waiting = Math.max(0, this.waiting - 1)
        else if (event === 'released' || event === 'lost') this.held = Math.max(0, this.held - 1)
        if (event === 'lost') this.lost++
      }),
      hear(queueBeginEvents, ({ messages }) => {
        this.inHand += messages
      }),
      hear(queueBatchEvents, ({ messages }) => {
        this.inHand = Math.max(0, this.inHand - messages)
      }),
      hear(loads, ({ ms }) => times.loads.add(ms)),
    ])
  }

  /** Starts or ends hearing the time of each look-up: the one event that is as frequent as hits. */
  hearLookups(wanted: boolean): void {
    if (!wanted) {
      this.#stopLookups?.()
      this.#stopLookups = undefined
      return
    }
    this.#stopLookups ??= hear(lookups, ({ outcome, ms }) => {
      if (outcome !== 'miss' && outcome !== 'error') this.#times.ops.add(ms)
    })
  }

  /** Forgets limiters that have asked Redis again, or nobody, for `ticks`. */
  tick(now: number, ticks: number): void {
    this.#tick = now
    for (const [what, last] of this.blindLimiters) {
      if (now - last > ticks) this.blindLimiters.delete(what)
    }
  }

  close(): void {
    this.hearLookups(false)
    this.#stop()
  }

  #blind(what: string): void {
    if (this.blindLimiters.size >= MOST_LIMITERS && !this.blindLimiters.has(what)) return
    this.blindLimiters.set(what, this.#tick)
  }
}
