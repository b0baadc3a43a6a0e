import { encodeName, encodePart } from '../base/key.ts'
import { firstConnection } from './first-connection.ts'
import type { Arg, Reply } from './link.ts'
import type { RedisPort } from './port.ts'

/** How long a raw command waits for its answer, ms. */
const DEADLINE_MS = 1_000

/**
 * One command on one key of your own, for what no capability covers: hashes, sorted sets, counters.
 * The key is prefixed `hf:<namespace>:raw:{<key>}`, so it meets nobody else's and may be used under
 * an ACL that allows our prefix alone. Supervised like every other call: own deadline (1 s), no
 * retry. Text in, text out; numbers come back as numbers.
 * @throws InvalidKey, RedisUnavailable (not sent), RedisTimeout (may have taken effect), RedisReplyError
 */
export async function rawCommand(
  port: RedisPort,
  namespace: string,
  command: string,
  key: string,
  args: readonly Arg[],
): Promise<Reply> {
  const full = rawKey(namespace, key)
  await firstConnection(port)
  return port.nodeFor(full).send([command, full, ...args], { deadline: DEADLINE_MS })
}

export function rawKey(namespace: string, key: string): string {
  return `hf:${encodePart(namespace, 'namespace')}:raw:{${encodeName(key, 'key')}}`
}
