import { eventChannel } from '../base/events.ts'

/** Counters of one engine since it was made. */
export interface HttpCounts {
  /** Answered without asking, fresh. */
  readonly hits: number
  /** Answered stale: while refreshing, on request, or because the application failed. */
  readonly stale: number
  /** Asked the application for the cache. */
  readonly misses: number
  /** Answered by a load that another request had begun. */
  readonly collapsed: number
  /** Passed by the cache: methods, cookies, and what else bypasses. */
  readonly bypassed: number
  readonly stored: number
  readonly unstored: number
  /** Stale responses confirmed by 304. */
  readonly validated: number
  readonly staleIfError: number
  /** Bodies that broke off; none was stored. */
  readonly cut: number
  /** Bodies over the bound; passed through, not stored. */
  readonly tooLarge: number
  readonly invalidations: number
  /** Invalidations that the store did not confirm in time. */
  readonly unconfirmed: number
}

export type MutableCounts = { -readonly [Name in keyof HttpCounts]: number }

export function newCounts(): MutableCounts {
  return {
    hits: 0,
    stale: 0,
    misses: 0,
    collapsed: 0,
    bypassed: 0,
    stored: 0,
    unstored: 0,
    validated: 0,
    staleIfError: 0,
    cut: 0,
    tooLarge: 0,
    invalidations: 0,
    unconfirmed: 0,
  }
}

/** `holdfast:http:reply`: one per request, when its reply is known. Never a URL or a key. */
export interface HttpReplyEvent {
  readonly outcome: 'hit' | 'stale' | 'miss' | 'collapsed' | 'bypass'
  /** The `fwd` reason or detail of Cache-Status. */
  readonly reason: string
  readonly status: number
  readonly ms: number
}
export const replies = eventChannel<HttpReplyEvent>('holdfast:http:reply')

/** `holdfast:http:degraded`: an answer that is less than what was promised. */
export interface HttpDegradedEvent {
  readonly what: 'invalidation-unconfirmed' | 'staleIfError' | 'cut'
  readonly error: unknown
}
export const degraded = eventChannel<HttpDegradedEvent>('holdfast:http:degraded')
