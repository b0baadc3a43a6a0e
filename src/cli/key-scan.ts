import { encodeGlob, encodePart } from '../base/key.ts'
import type { Reply } from '../redis/link.ts'
import type { RedisNode } from '../redis/port.ts'
import type { Session } from './session.ts'

/** Measured: above 1,000 other clients' p99 suffers. */
const COUNT = '750'
export const DEADLINE = { deadline: 5_000 } as const

export interface Found {
  readonly node: RedisNode
  readonly names: readonly string[]
}

export interface Scope {
  readonly raw?: true | undefined
  readonly foreign?: true | undefined
}

/** Every master of every role, once. */
export function allNodes({ hf }: Session): RedisNode[] {
  const { redis } = hf
  if (redis === undefined) return []
  const byAddress = new Map<string, RedisNode>()
  for (const role of ['cache', 'data'] as const) {
    for (const node of redis.port(role).nodes()) byAddress.set(node.address, node)
  }
  return [...byAddress.values()]
}

/** Names in Redis that match, in batches, by SCAN over all masters. Stops when Ctrl-C says so. */
export async function* scanNames(session: Session, pattern: string, scope: Scope): AsyncGenerator<Found> {
  const { hf, io } = session
  const space = encodePart(hf.namespace, 'namespace')
  const match = scope.raw ? pattern : `hf:{${space}:*}:e:${encodeGlob(pattern)}`
  for (const node of allNodes(session)) {
    let cursor = '0'
    do {
      if (io.signal.aborted) return
      const reply = await node.send(['SCAN', cursor, 'MATCH', match, 'COUNT', COUNT], DEADLINE)
      const [next, names] = reply as [string, Reply[]]
      cursor = next
      const own = (names as string[]).filter((name) => scope.foreign || isOwn(name, space))
      if (own.length > 0) yield { node, names: own }
    } while (cursor !== '0')
  }
}

export const isOwn = (name: string, space: string): boolean =>
  name.startsWith(`hf:${space}:`) || name.startsWith(`hf:{${space}:`)
