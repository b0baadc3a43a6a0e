import type { ServerInfo } from '../redis/info.ts'

export interface Vendor {
  readonly name: string
  /** Somebody else sets limits, persistence and bind address: CONFIG is not ours to ask. */
  readonly managed: boolean
  /** What to watch there. */
  readonly note: string
}

const HOSTS: readonly (readonly [RegExp, Vendor])[] = [
  [
    /\.upstash\.io$/,
    {
      name: 'Upstash',
      managed: true,
      note: 'each command is billed and crosses a network: keep the L1 on; use the rediss:// URL, not the REST one',
    },
  ],
  [
    /\.(?:cache|memorydb|serverless)\.[\w-]*\.?amazonaws\.com$|\.cache\.amazonaws\.com/,
    {
      name: 'Amazon ElastiCache',
      managed: true,
      note: 'set eviction policy and maxmemory reserve in the parameter group; in-transit encryption needs rediss://',
    },
  ],
  [
    /\.redis(?:enterprise)?\.cache\.windows\.net$|\.redis\.azure\.net$/,
    {
      name: 'Azure Cache for Redis',
      managed: true,
      note: 'the TLS port is 6380; idle connections are cut after 10 minutes, which Holdfast mends by itself',
    },
  ],
  [
    /\.(?:redislabs|redis-cloud)\.com$|\.rlrcp\.com$/,
    {
      name: 'Redis Cloud',
      managed: true,
      note: 'the free plan is 30 MB and 30 connections: set a byte budget and the eviction policy in its console',
    },
  ],
  [
    /\.aivencloud\.com$/,
    { name: 'Aiven', managed: true, note: 'eviction policy and persistence are service settings' },
  ],
]

const MEMURAI: Vendor = {
  name: 'Memurai',
  managed: false,
  note: 'a maintained Redis for Windows; its developer edition ends after 10 days of uptime',
}
const ARCHIVE: Vendor = {
  name: 'the MicrosoftArchive build for Windows (choco redis-64)',
  managed: false,
  note: 'it is of 2016, of the Redis 3 line, and nobody mends it',
}
/** CONFIG does not exist there, and it is somewhere else: what Memorystore and many others have in common. */
const SOMEBODYS: Vendor = {
  name: 'a managed service',
  managed: true,
  note: 'policy, limits and persistence are settings of the instance (Google Memorystore and others)',
}

/** Which product answers: by host name, and by what only that product says in INFO. */
export function recogniseVendor(host: string, info: ServerInfo, hasConfig = true): Vendor | undefined {
  const name = host.toLowerCase()
  for (const [pattern, vendor] of HOSTS) if (pattern.test(name)) return vendor
  if (info.memurai_version || info.memurai_edition) return MEMURAI
  if (info.upstash_version) return HOSTS[0]![1]
  if (/amazon elasticache/i.test(info.os ?? '')) return HOSTS[1]![1]
  if (info.rlec_version) return HOSTS[3]![1]
  const major = Number(info.redis_version?.split('.')[0])
  if (/^windows/i.test(info.os ?? '') && major > 0 && major <= 3) return ARCHIVE
  return hasConfig ? undefined : SOMEBODYS
}

export const isWindowsArchive = (vendor: Vendor | undefined): boolean => vendor === ARCHIVE
