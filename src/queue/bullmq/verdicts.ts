import { RedisReplyError, RedisTimeout } from '../../base/errors.ts'
import { QueueUnavailable, QueueUncertain } from '../errors.ts'

/** What an error of an add says about the message. */
export function verdictOf(error: unknown): Error {
  return error instanceof RedisTimeout ? uncertain(error) : refused(error)
}

export function uncertain(error: unknown): Error {
  return new QueueUncertain('Redis did not confirm the message in time', { cause: error })
}

function refused(error: unknown): Error {
  const why =
    error instanceof RedisReplyError ? `Redis refused it (${error.prefix})` : 'Redis is not reachable'
  return new QueueUnavailable(why, { cause: error })
}
