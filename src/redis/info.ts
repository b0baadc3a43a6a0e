import { firstConnection } from './first-connection.ts'
import { parseInfo } from './identity.ts'
import type { RedisPort } from './port.ts'

/** INFO of one server as it stands: field to text. */
export type ServerInfo = Readonly<Record<string, string>>

const DEADLINE_MS = 2_000

/**
 * INFO of every master. Needs no CONFIG and nothing that an ACL of least privilege denies.
 * @throws RedisUnavailable, RedisTimeout, RedisReplyError
 */
export async function serverInfo(port: RedisPort): Promise<readonly ServerInfo[]> {
  await firstConnection(port)
  return Promise.all(
    port.nodes().map(async (node) => {
      return Object.fromEntries(parseInfo(await node.send(['INFO'], { deadline: DEADLINE_MS })))
    }),
  )
}

/** Keys in all databases: `db0` → `keys=5,expires=3,avg_ttl=1000`. */
export function keysOf(info: ServerInfo): number {
  let keys = 0
  for (const [field, text] of Object.entries(info)) {
    if (/^db\d+$/.test(field)) keys += Number(/^keys=(\d+)/.exec(text)?.[1] ?? 0)
  }
  return keys
}
