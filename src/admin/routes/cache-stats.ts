import { totalmem } from 'node:os'
import type { CacheStatsAnswer } from '../answers/cache.ts'
import type { RouteContext } from '../route.ts'

/** As the seed writes it: human strings; the numbers stand beside them in bytes. */
export async function cacheStats(context: RouteContext): Promise<CacheStatsAnswer> {
  const { hf, cache, principal, uptimeSeconds } = context
  const counted = cache.stats()
  const info = (await hf.redis?.info('cache')) ?? []
  const keys = await cache.keys('*', { limit: 1 })
  const server = info[0]
  const used = server === undefined ? counted.store.l1Bytes : sum(info, 'used_memory')
  const peak = server === undefined ? process.memoryUsage().rss : sum(info, 'used_memory_peak')
  const total = server === undefined ? totalmem() : sum(info, 'total_system_memory')
  return {
    status: hf.health().cache.enabled ? 'enabled' : 'disabled',
    driver: hf.health().driver,
    namespace: principal.namespace ?? hf.namespace,
    server: {
      version: server?.redis_version ?? 'embedded',
      uptime_seconds: server === undefined ? uptimeSeconds : Number(server.uptime_in_seconds),
      connected_clients: server === undefined ? 1 : sum(info, 'connected_clients'),
    },
    memory: {
      used_memory: human(used),
      peak_memory: human(peak),
      total_system_memory: human(total),
      used_memory_bytes: used,
      peak_memory_bytes: peak,
      total_system_memory_bytes: total,
      maxmemory_bytes: server === undefined ? null : sum(info, 'maxmemory'),
      eviction_policy: server?.maxmemory_policy ?? null,
    },
    stats: {
      total_keys: keys.found,
      // With more keys than a look of a quarter second sees, the number is a lower bound.
      total_keys_exact: !keys.truncated,
      hits: counted.hits.l1 + counted.hits.l2 + counted.hits.stale,
      misses: counted.misses,
      hit_rate: counted.hitRate,
      errors: counted.errors,
      scope: 'process',
    },
  }
}

type Info = Readonly<Record<string, string>>

function sum(info: readonly Info[], field: string): number {
  return info.reduce((total, node) => total + (Number(node[field]) || 0), 0)
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB']

/** `2.5MB`, `16GB`. */
export function human(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024
    unit++
  }
  return `${Math.round(value * 10) / 10}${UNITS[unit]}`
}
