import type { CacheStats } from '../../src/cache/stats.ts'
import type { Evidence, KeySample, ServerEvidence } from '../../src/doctor/evidence.ts'
import type { QueueStats } from '../../src/queue/options.ts'

const GB = 1_024 ** 3

/** INFO of a server with nothing to find fault with. */
export const HEALTHY_INFO = {
  redis_version: '7.2.5',
  run_id: 'a',
  role: 'master',
  uptime_in_seconds: '86400',
  maxmemory: String(GB),
  total_system_memory: String(16 * GB),
  used_memory: String(0.4 * GB),
  maxmemory_policy: 'noeviction',
  mem_fragmentation_ratio: '1.1',
  evicted_keys: '0',
  aof_enabled: '1',
  aof_last_write_status: 'ok',
  rdb_last_bgsave_status: 'ok',
  connected_clients: '10',
  maxclients: '10000',
  rejected_connections: '0',
  connected_slaves: '0',
  latency_percentiles_usec_get: 'p50=1.0,p99=90.0,p99.9=200.0',
  db0: 'keys=5000,expires=5000,avg_ttl=1000',
}

export function server(
  change: Partial<Omit<ServerEvidence, 'info'>> & { info?: Record<string, string> } = {},
): ServerEvidence {
  return {
    address: '127.0.0.1:6379',
    roles: ['cache', 'data'],
    topology: 'single',
    vendor: undefined,
    reach: 'loopback',
    tls: false,
    door: 'password',
    db: 0,
    pings: [0.2, 0.3],
    burst: [1, 1],
    skewMs: 2,
    slow: [],
    denied: {},
    refusesWrites: undefined,
    config: { bind: '127.0.0.1', save: '' },
    echo: 1,
    ...change,
    info: { ...HEALTHY_INFO, ...change.info },
  }
}

export const SAMPLE: KeySample = {
  own: 1_000,
  complete: true,
  endless: {},
  biggest: { key: 'a:#1', bytes: 1_000 },
  longest: { key: 'b:#1', items: 10 },
  secretNames: {},
  plainSecrets: {},
  formats: { hf1: 200 },
}

export const NOW = 1_800_000_000_000

export function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    driver: 'redis',
    servers: [server()],
    troubles: [],
    sample: SAMPLE,
    namespaces: { '': lookups(950, 50) },
    queues: [queue()],
    processes: 1,
    nodeVersion: '22.11.0',
    warnings: [],
    refused: undefined,
    admin: undefined,
    last: undefined,
    publicNamespaces: [],
    writeTest: undefined,
    now: NOW,
    ...change,
  }
}

export function lookups(hits: number, misses: number): CacheStats {
  return {
    hits: { l1: 0, l2: hits, stale: 0 },
    misses,
    errors: 0,
    hitRate: Math.round((hits / (hits + misses)) * 1_000) / 10,
    loads: misses,
    loadErrors: 0,
    joined: 0,
    sets: 0,
    deletes: 0,
    invalidations: 0,
    bypassed: 0,
    corrupt: 0,
    staleServed: 0,
    refreshes: 0,
    refreshesSkipped: 0,
  }
}

export function queue(change: Partial<QueueStats> = {}): QueueStats {
  return {
    queue: 'messages',
    backend: 'bullmq',
    depth: 3,
    dead: 0,
    oldestMs: 200,
    spilled: 0,
    paused: false,
    workers: 2,
    owned: 0,
    asOf: NOW,
    ...change,
  }
}
