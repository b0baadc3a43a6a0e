import type { Clock } from '../base/clock.ts'
import type { Answer } from './outbound-answer.ts'
import { type OutboundCounters, type OutboundOutcome, outboundEvents } from './outbound-events.ts'
import type { OutboundLoad } from './outbound-load.ts'
import { type RequestHead, redactUrl } from './outbound-request.ts'
import type { Route } from './outbound-routes.ts'

/** One request on its way, for counters and events. */
export class Trip {
  readonly counters: OutboundCounters
  readonly #route: Route
  readonly #head: RequestHead
  readonly #clock: Clock
  readonly #began: number
  #isEnded = false

  constructor(route: Route, counters: OutboundCounters, head: RequestHead, clock: Clock) {
    this.#route = route
    this.counters = counters
    this.#head = head
    this.#clock = clock
    this.#began = clock.mono()
  }

  end(outcome: OutboundOutcome, status: number | undefined, detail: string | undefined): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.counters.ended(outcome)
    if (!outboundEvents.active) return
    const { method, url } = this.#head
    const ms = this.#clock.mono() - this.#began
    outboundEvents.publish({
      route: this.#route.name,
      method,
      url: redactUrl(url),
      outcome,
      status,
      detail,
      ms,
    })
  }
}

/** Where an answer came from, and RFC 9211's words for it. */
export function told(
  answer: Answer,
  load: OutboundLoad,
  { ageMs, begun, isStale }: { ageMs: number; begun: number; isStale: boolean },
): { outcome: OutboundOutcome; status: string } {
  const remaining = Math.round((answer.ttl - ageMs) / 1_000)
  // `expire` and `expireTag` end its life before its time.
  const left = isStale ? Math.min(0, remaining) : remaining
  const fetched = load.status === undefined ? '' : `; fwd-status=${load.status}`
  if (answer.id === load.id) {
    const kept = answer.ttl > 0 ? `; stored; ttl=${left}` : ''
    return {
      outcome: 'miss',
      status: `holdfast; fwd=${load.status === 304 ? 'stale' : 'miss'}${fetched}${kept}`,
    }
  }
  if (load.failure) {
    const status = load.failure.status === undefined ? '' : `; fwd-status=${load.failure.status}`
    return {
      outcome: 'stale-error',
      status: `holdfast; fwd=stale${status}; ttl=${left}; detail=${load.failure.kind}`,
    }
  }
  if (answer.at > begun) return { outcome: 'collapsed', status: 'holdfast; fwd=miss; collapsed' }
  if (isStale || ageMs > answer.ttl)
    return { outcome: 'stale', status: `holdfast; hit; ttl=${left}; detail=stale` }
  return { outcome: 'hit', status: `holdfast; hit; ttl=${left}` }
}
