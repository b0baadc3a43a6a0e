import { RedisReplyError } from '../../base/errors.ts'
import type { Reply } from '../../redis/link.ts'
import type { RedisNode, RedisPort } from '../../redis/port.ts'
import { QueueMismatch } from '../errors.ts'
import type { Durability } from '../options.ts'

/** Makes sure that what was sent before it on a node is as durable as promised. Rejects where it is not. */
export type Barrier = ((node: RedisNode) => Promise<void>) | undefined

/**
 * How a level is kept on these servers, found out once at start.
 * @throws QueueMismatch where it cannot be kept
 */
export async function barrierFor(
  port: RedisPort,
  level: Durability,
  replicas: number,
  deadline: number,
): Promise<Barrier> {
  if (level === 'memory' || level === 'outbox') return undefined
  const modes = await Promise.all(port.nodes().map((node) => modeOf(node, level, deadline)))
  // One command for all that the flush sent: both commands hold up the connection they are sent on.
  const patience = String(Math.max(1, Math.floor(deadline * 0.8)))
  if (level === 'replicated') {
    return async (node) =>
      enough(await node.send(['WAIT', String(replicas), patience], { deadline }), replicas)
  }
  if (modes.every((mode) => mode === 'always')) return undefined
  return async (node) => {
    const reply = await node.send(['WAITAOF', '1', '0', patience], { deadline })
    enough(Array.isArray(reply) ? (reply[0] ?? 0) : 0, 1)
  }
}

function enough(reply: Reply, wanted: number): void {
  if (Number(reply) >= wanted) return
  throw new Error(`${Number(reply)} of ${wanted} copies confirmed in time`)
}

/** `always`: every reply is fsynced before it is sent. `wait`: WAITAOF or WAIT does it. */
async function modeOf(node: RedisNode, level: Durability, deadline: number): Promise<'always' | 'wait'> {
  const info = String(await node.send(['INFO'], { deadline }))
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  if (field('maxmemory_policy').startsWith('allkeys')) {
    throw new QueueMismatch(
      `${node.address} evicts any key when it is full (${field('maxmemory_policy')}), so nothing in it is durable`,
      'give the data role a server with maxmemory-policy noeviction',
    )
  }
  if (level === 'replicated') return 'wait'
  if (field('aof_enabled') !== '1') {
    throw new QueueMismatch(`${node.address} keeps no append-only file`, 'set appendonly yes')
  }
  // WAITAOF came with Redis 7.2; Valkey has had it from its beginning, under the number 7.2.4.
  const [major = 0, minor = 0] = field('redis_version').split('.').map(Number)
  if (major > 7 || (major === 7 && minor >= 2)) return 'wait'
  return appendfsync(node, deadline)
}

async function appendfsync(node: RedisNode, deadline: number): Promise<'always'> {
  let reply: Reply
  try {
    reply = await node.send(['CONFIG', 'GET', 'appendfsync'], { deadline })
  } catch (error) {
    if (!(error instanceof RedisReplyError)) throw error
    throw new QueueMismatch(
      `${node.address} has no WAITAOF and does not show its setting of appendfsync`,
      'use Redis 7.2 or later, or allow the user +config|get',
      { cause: error },
    )
  }
  if (Array.isArray(reply) && reply[1] === 'always') return 'always'
  throw new QueueMismatch(
    `${node.address} has no WAITAOF, and appendfsync is not always`,
    "use Redis 7.2 or later, set appendfsync always, or ask for durability 'memory'",
  )
}
