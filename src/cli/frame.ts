import type { Overview } from '../observe/rolling-shapes.ts'
import { parseInfo } from '../redis/identity.ts'
import type { ServerInfo } from '../redis/info.ts'
import { allNodes, DEADLINE } from './key-scan.ts'
import type { Session } from './session.ts'

/** One look at the servers. */
export interface Look {
  /** ms on the monotonic clock. */
  readonly at: number
  readonly infos: readonly ServerInfo[]
  readonly pingMs: number
}

/** What `top` shows: rates between two looks, and what the application shares of itself. */
export interface Frame {
  readonly at: string
  readonly version: string
  readonly uptimeSeconds: number
  readonly pingMs: number
  readonly opsPerSecond: number
  readonly hitsPerSecond: number
  readonly missesPerSecond: number
  readonly evictedPerSecond: number
  readonly expiredPerSecond: number
  readonly clients: number
  readonly blockedClients: number
  readonly usedMemory: number
  readonly maxMemory: number
  readonly keys: number
  readonly commands: readonly {
    readonly command: string
    readonly perSecond: number
    readonly averageUs: number
  }[]
  /** Of the processes that share their figures; null where none does. */
  readonly application: Pick<
    Overview,
    'cache' | 'limits' | 'locks' | 'queues' | 'namespaces' | 'processes'
  > | null
}

const COMMANDS = 8

/** INFO and PING: no MONITOR, and nothing that grows with the number of keys. */
export async function lookAt(session: Session): Promise<Look> {
  const nodes = allNodes(session)
  const sent = performance.now()
  await Promise.all(nodes.map((node) => node.send(['PING'], DEADLINE)))
  const pingMs = performance.now() - sent
  const texts = await Promise.all(nodes.map((node) => node.send(['INFO', 'all'], DEADLINE)))
  return { at: performance.now(), infos: texts.map((text) => Object.fromEntries(parseInfo(text))), pingMs }
}

export function frameOf(before: Look, now: Look, overview: Overview | undefined): Frame {
  const seconds = Math.max(0.001, (now.at - before.at) / 1_000)
  const sum = ({ infos }: Look, field: string) =>
    infos.reduce((total, info) => total + (Number(info[field]) || 0), 0)
  // A restart begins to count anew.
  const rate = (field: string) => round(Math.max(0, sum(now, field) - sum(before, field)) / seconds)
  const shared = overview && overview.processes > 1 ? overview : undefined
  return {
    at: new Date().toISOString(),
    version: now.infos[0]?.redis_version ?? '',
    uptimeSeconds: Number(now.infos[0]?.uptime_in_seconds ?? 0),
    pingMs: round(now.pingMs),
    opsPerSecond: rate('total_commands_processed'),
    hitsPerSecond: rate('keyspace_hits'),
    missesPerSecond: rate('keyspace_misses'),
    evictedPerSecond: rate('evicted_keys'),
    expiredPerSecond: rate('expired_keys'),
    clients: sum(now, 'connected_clients'),
    blockedClients: sum(now, 'blocked_clients'),
    usedMemory: sum(now, 'used_memory'),
    maxMemory: sum(now, 'maxmemory'),
    keys: now.infos.reduce((total, info) => total + keysOf(info), 0),
    commands: commandsOf(before, now, seconds),
    application: shared
      ? {
          cache: shared.cache,
          limits: shared.limits,
          locks: shared.locks,
          queues: shared.queues,
          namespaces: shared.namespaces,
          // This command is one of them.
          processes: shared.processes - 1,
        }
      : null,
  }
}

function commandsOf(before: Look, now: Look, seconds: number): Frame['commands'] {
  const then = countsOf(before)
  return [...countsOf(now)]
    .map(([command, { calls, us }]) => {
      const old = then.get(command) ?? { calls: 0, us: 0 }
      const fresh = Math.max(0, calls - old.calls)
      return {
        command,
        perSecond: round(fresh / seconds),
        averageUs: fresh === 0 ? 0 : round((us - old.us) / fresh),
      }
    })
    .filter(({ perSecond }) => perSecond > 0)
    .sort((a, b) => b.perSecond - a.perSecond)
    .slice(0, COMMANDS)
}

function countsOf({ infos }: Look): Map<string, { calls: number; us: number }> {
  const counts = new Map<string, { calls: number; us: number }>()
  for (const info of infos) {
    for (const [name, text] of Object.entries(info)) {
      const command = /^cmdstat_(.+)$/.exec(name)?.[1]
      if (command === undefined) continue
      const known = counts.get(command) ?? { calls: 0, us: 0 }
      const calls = Number(/calls=(\d+)/.exec(text)?.[1] ?? 0)
      const us = Number(/usec=(\d+)/.exec(text)?.[1] ?? 0)
      counts.set(command, { calls: known.calls + calls, us: known.us + us })
    }
  }
  return counts
}

const keysOf = (info: ServerInfo): number =>
  Object.entries(info).reduce(
    (total, [name, text]) =>
      /^db\d+$/.test(name) ? total + (Number(/keys=(\d+)/.exec(text)?.[1]) || 0) : total,
    0,
  )

const round = (value: number): number => Math.round(value * 10) / 10
