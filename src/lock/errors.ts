import { HoldfastError } from '../base/errors.ts'

/** The lock could not be asked for: Redis is away, full, or answered too late. Nobody was let in. */
export class LockUnavailable extends HoldfastError {
  constructor(what: string, options?: ErrorOptions) {
    super('LOCK_UNAVAILABLE', what, 'try again when Redis answers; see health() for the cause', options)
  }
}

/** Somebody else holds it and the time to wait is over. */
export class LockTimeout extends HoldfastError {
  /** How long this call waited, in ms. */
  readonly waited: number
  /** When the present holder's lease ends unless it is renewed, in ms from now. */
  readonly retryAfter: number

  constructor(waited: number, retryAfter: number) {
    super(
      'LOCK_TIMEOUT',
      `the lock was still held by others after ${Math.round(waited)} ms`,
      'wait longer (wait), hold it shorter, or refuse the work',
    )
    this.waited = waited
    this.retryAfter = retryAfter
  }
}

/**
 * Why a lock ended early.
 * `expired`: it was not renewed in time, because this process stood still or renewal was off.
 * `unreachable`: Redis could not be reached to renew it.
 * `stolen`: somebody else has it now. `vanished`: Redis knows nothing of it (flushed, evicted, lost in a failover).
 * `released`: it was given back already.
 */
export type LossCause = 'expired' | 'unreachable' | 'stolen' | 'vanished' | 'released'

const LOSSES: Record<LossCause, [what: string, mend: string]> = {
  expired: ['the lease ended unrenewed', 'keep the event loop free, or set a longer ttl'],
  unreachable: [
    'Redis could not be reached to renew the lease',
    'see health() for the cause, or set a longer ttl',
  ],
  stolen: ['somebody else holds the lock now', 'check the fencing token where you write'],
  vanished: [
    'Redis no longer knows of the lock',
    'keep locks on a server that does not evict, and check the fencing token where you write',
  ],
  released: ['the lock was given back already', 'use a lease only before its release()'],
}

/** The lock ended before its holder gave it back. The reason of `lease.signal`. */
export class LockLost extends HoldfastError {
  readonly reason: LossCause
  /**
   * What the routine of `run()` returned, when it ended all the same: its work is done and only the
   * guarantee of having been alone is not. `undefined` where there was no routine or it did not end.
   */
  readonly outcome: { readonly value: unknown } | undefined

  constructor(reason: LossCause, outcome?: { readonly value: unknown }) {
    const [what, mend] = LOSSES[reason]
    super('LOCK_LOST', what, mend)
    this.reason = reason
    this.outcome = outcome
  }
}
