import { RedisReplyError, RedisTimeout, RedisUnavailable } from '../../base/errors.ts'

/** Counts of what the layers above cannot see. */
export class Tally {
  corrupt = 0
  bypassedFills = 0
  refusedFills = 0
  timeouts = 0
  invalidationsUnacknowledged = 0

  /** Counts a failed command and hands the error back as an Error. */
  failed(error: unknown): Error {
    if (error instanceof RedisTimeout) this.timeouts++
    return error instanceof Error ? error : new RedisUnavailable('Redis failed without an error')
  }

  bypassed(error: unknown): Error {
    this.bypassedFills++
    return typeof error === 'string' ? new RedisReplyError(error) : this.failed(error)
  }

  journalled(): Error {
    return new RedisUnavailable('an invalidation of this name waits to be replayed')
  }
}
