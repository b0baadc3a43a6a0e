import { Gauge } from 'prom-client'
import type { Holdfast } from '../holdfast.ts'
import { keysOf, type ServerInfo } from '../redis/info.ts'
import type { PartSetup, Stop } from './part.ts'

/** Answers of INFO are used by all scrapes of so many ms. */
const FRESH_MS = 2_000

interface Look {
  readonly at: number
  readonly infos: Promise<readonly (readonly [role: string, infos: readonly ServerInfo[]])[]>
}

/** The servers themselves, by one INFO each per scrape; a server that does not answer has no series. */
export function serverMetrics({ register, instances, clock }: PartSetup): Stop {
  let last: Look | undefined
  const look = (): Look['infos'] => {
    const now = clock.mono()
    if (last === undefined || now - last.at > FRESH_MS) last = { at: now, infos: ask(instances) }
    return last.infos
  }
  for (const { name, help, label, read } of FAMILIES) {
    new Gauge({
      name,
      help,
      labelNames: label === undefined ? ['role'] : ['role', label],
      registers: [register],
      async collect() {
        const found = await look()
        this.reset()
        for (const [role, infos] of found) {
          for (const info of infos) {
            const value = read(info)
            if (typeof value === 'number') this.inc({ role }, value)
            else for (const [word, one] of Object.entries(value)) this.inc({ role, [label ?? '']: word }, one)
          }
        }
      },
    })
  }
  return () => {
    last = undefined
  }
}

interface Family {
  readonly name: string
  readonly help: string
  readonly label?: string
  read(info: ServerInfo): number | Readonly<Record<string, number>>
}

const field =
  (name: string) =>
  (info: ServerInfo): number =>
    Number(info[name]) || 0

/** Gauges, also where the server counts up: they fall to zero when it starts anew. */
const FAMILIES: readonly Family[] = [
  {
    name: 'holdfast_redis_memory_bytes',
    help: 'Memory of the masters of a role: used, and the bound (0: none).',
    label: 'kind',
    read: (info) => ({ used: field('used_memory')(info), max: field('maxmemory')(info) }),
  },
  { name: 'holdfast_redis_keys', help: 'Keys in all databases, of anybody.', read: keysOf },
  {
    name: 'holdfast_redis_clients',
    help: 'Connections of anybody.',
    label: 'state',
    read: (info) => ({
      connected: field('connected_clients')(info),
      blocked: field('blocked_clients')(info),
    }),
  },
  {
    name: 'holdfast_redis_removed_keys',
    help: 'Keys that the server removed since it started: evicted for memory, or expired.',
    label: 'why',
    read: (info) => ({ evicted: field('evicted_keys')(info), expired: field('expired_keys')(info) }),
  },
]

/** Roles that are in use; asking another would open a connection for it. Never rejects. */
async function ask(instances: ReadonlySet<Holdfast>): Look['infos'] {
  const asked: Promise<readonly [string, readonly ServerInfo[]] | undefined>[] = []
  const seen = new Set<string>()
  for (const { redis } of instances) {
    if (redis === undefined) continue
    for (const role of ['cache', 'data'] as const) {
      const health = redis.health()[role]
      const place = `${role} ${health?.nodes.map(({ address }) => address).join()}`
      if (health === undefined || seen.has(place)) continue
      seen.add(place)
      asked.push(
        redis.info(role).then(
          (infos) => [role, infos] as const,
          () => undefined,
        ),
      )
    }
  }
  return (await Promise.all(asked)).filter((found) => found !== undefined)
}
