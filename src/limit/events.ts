import { eventChannel } from '../base/events.ts'

/** One decision. Holds no identity: names and counts only. */
export interface LimitEvent {
  readonly namespace: string
  readonly limiter: string
  readonly outcome: 'allowed' | 'denied' | 'shadow'
  readonly degraded: false | 'allow' | 'deny' | 'local'
  readonly cached: boolean
}

/** Redis could not be asked; the limiter's outage policy decided. */
export interface LimitDegradedEvent {
  readonly namespace: string
  readonly limiter: string
  readonly policy: 'allow' | 'deny' | 'local'
  /** Code of the error. */
  readonly cause: string
}

export const limitEvents = eventChannel<LimitEvent>('holdfast:limit:decision')
export const limitDegradedEvents = eventChannel<LimitDegradedEvent>('holdfast:limit:degraded')
