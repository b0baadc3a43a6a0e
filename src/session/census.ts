import type { Clock } from '../base/clock.ts'
import { decodeName, encodePart } from '../base/key.ts'
import { firstConnection } from '../redis/first-connection.ts'
import { scanNodes } from '../redis/name-scan.ts'
import type { RedisPort } from '../redis/port.ts'

/** How many sessions of each kind there are, as far as a look came. */
export interface SessionCensus {
  readonly counts: ReadonlyMap<string, number>
  /** Time was over: there are at least so many. */
  readonly truncated: boolean
}

const SCAN_MS = 2_000

/** Counts all sessions of a namespace in Redis by kind, whoever opened them. */
export async function countSessions(
  port: RedisPort,
  namespace: string,
  clock: Clock,
  budgetMs: number,
): Promise<SessionCensus> {
  await firstConnection(port)
  const prefix = `hf:${encodePart(namespace, 'namespace')}:session:{`
  const end = clock.mono() + budgetMs
  const counts = new Map<string, number>()
  const pick = (key: string): string => decodeName(key.slice(prefix.length, key.indexOf('~', prefix.length)))
  for await (const { keys, next } of scanNodes(port.nodes(), `${prefix}*`, SCAN_MS, pick)) {
    for (const name of keys) counts.set(name, (counts.get(name) ?? 0) + 1)
    if (next !== undefined && clock.mono() >= end) return { counts, truncated: true }
  }
  return { counts, truncated: false }
}
