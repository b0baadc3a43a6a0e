import { eventChannel } from '../base/events.ts'
import type { FailureKind } from './outbound-failure.ts'

/** How one request ended. `bypass`: nothing was asked of the cache. `failure`: no answer but the upstream's fault. */
export type OutboundOutcome = 'hit' | 'stale' | 'stale-error' | 'miss' | 'collapsed' | 'bypass' | 'failure'

/** `holdfast:http:outbound`: one per request to a route. */
export interface OutboundEvent {
  readonly route: string
  readonly method: string
  /** Without credentials and without the values of its parameters. */
  readonly url: string
  readonly outcome: OutboundOutcome
  readonly status: number | undefined
  /** What failed, or why the cache was passed by. */
  readonly detail: string | undefined
  readonly ms: number
}
export const outboundEvents = eventChannel<OutboundEvent>('holdfast:http:outbound')

/** `holdfast:http:upstream-failure`: one per failed fetch, background reloads included. */
export interface UpstreamFailureEvent {
  readonly route: string
  readonly kind: FailureKind
  readonly status: number | undefined
}
export const upstreamFailureEvents = eventChannel<UpstreamFailureEvent>('holdfast:http:upstream-failure')

/** Counters of one route since its creation. The outcomes add up to the requests. */
export interface OutboundStats {
  readonly requests: number
  readonly hits: number
  /** Served stale while a reload ran; and because one failed. */
  readonly stale: number
  readonly staleOnError: number
  readonly misses: number
  /** Shared the fetch of another caller. */
  readonly collapsed: number
  readonly bypassed: number
  /** Answered with the upstream's own failure, for want of anything better. */
  readonly failures: number
  /** Requests that reached the upstream. */
  readonly fetches: number
  /** Fetches that failed, whatever was answered. */
  readonly upstreamFailures: number
  /** Bodies over `maxBodyBytes`. */
  readonly tooLarge: number
  /** Invalidations after a write that were not acknowledged; the cache replays them. */
  readonly unacknowledged: number
}

type Counts = { -readonly [Name in keyof OutboundStats]: number }

const COUNTER: Readonly<Record<OutboundOutcome, keyof OutboundStats>> = {
  hit: 'hits',
  stale: 'stale',
  'stale-error': 'staleOnError',
  miss: 'misses',
  collapsed: 'collapsed',
  bypass: 'bypassed',
  failure: 'failures',
}

export class OutboundCounters {
  readonly counts: Counts = {
    requests: 0,
    hits: 0,
    stale: 0,
    staleOnError: 0,
    misses: 0,
    collapsed: 0,
    bypassed: 0,
    failures: 0,
    fetches: 0,
    upstreamFailures: 0,
    tooLarge: 0,
    unacknowledged: 0,
  }

  ended(outcome: OutboundOutcome): void {
    this.counts.requests++
    this.counts[COUNTER[outcome]]++
  }
}
