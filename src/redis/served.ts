import { sleep } from '../base/clock.ts'
import { RedisReplyError } from '../base/errors.ts'
import { firstConnection } from './first-connection.ts'
import type { RedisNode, RedisPort } from './port.ts'

/** Answers by which the server did nothing and which pass: the slot moves, or the node is not up yet. */
const PASSING: ReadonlySet<string> = new Set(['MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'LOADING'])
const PAUSE_MS = 25

/** A script looked at a second key of its slot that is on its way already; scripts look before they write. */
const ON_ITS_WAY = 'non local key'

const isPassing = (error: RedisReplyError): boolean =>
  PASSING.has(error.prefix) || error.message.includes(ON_ITS_WAY)

/**
 * Calls the owner of a key, and again while slots move, all within one deadline. Only what certainly
 * had no effect is tried again, so that any script may be sent this way. The deadline begins when the
 * first connection of the process is there.
 */
export async function served<T>(
  redis: RedisPort,
  key: string,
  deadlineMs: number,
  call: (node: RedisNode, deadlineMs: number) => Promise<T>,
): Promise<T> {
  const { clock } = redis
  const opening = firstConnection(redis)
  if (opening) await opening
  const end = clock.mono() + deadlineMs
  for (let left = deadlineMs; ; left = end - clock.mono()) {
    try {
      return await call(redis.nodeFor(key), left)
    } catch (error) {
      if (!(error instanceof RedisReplyError) || !isPassing(error) || clock.mono() + PAUSE_MS >= end)
        throw error
      await sleep(clock, PAUSE_MS)
    }
  }
}
