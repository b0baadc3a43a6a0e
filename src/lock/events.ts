import { eventChannel } from '../base/events.ts'
import type { LossCause } from './errors.ts'
import type { Target } from './store.ts'

/** A lock was taken, refused, lost or given back, or a renewal failed. Never a name, an owner or a token. */
export type LockEvent = {
  readonly kind: Target['kind']
} /** Somebody else holds it and a wait began; and that wait is over, whatever it came to. */ & (
  | { readonly event: 'queued' }
  | { readonly event: 'unqueued' }
  | { readonly event: 'acquired'; readonly waitedMs: number }
  /** Nobody was let in: the wait was over, Redis was away, or the caller gave up. */
  | {
      readonly event: 'refused'
      readonly reason: 'timeout' | 'unavailable' | 'aborted'
      readonly waitedMs: number
    }
  | { readonly event: 'renewal-failed' }
  | { readonly event: 'lost'; readonly cause: LossCause; readonly heldMs: number }
  | { readonly event: 'released'; readonly heldMs: number }
)

export const lockEvents = eventChannel<LockEvent>('holdfast:lock:event')
