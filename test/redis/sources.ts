/**
 * Every kind of source that `connectRedis` takes, by topology: two majors of two libraries, and
 * none (a URL or options). The clients are unconnected unless said otherwise.
 */
import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5'
import * as redis6 from 'redis'
import * as redis5 from 'redis5'
import type { RedisSource } from '../../src/redis/connect.ts'

export interface Address {
  readonly host: string
  readonly port: number
  /** `user:password`, for the kinds that are made from a URL. */
  readonly login?: string
}

export interface SourceKind {
  readonly name: string
  single(at: Address): RedisSource
  cluster(nodes: readonly Address[]): RedisSource
  /** Undefined where the client keeps its options to itself (redis 5). */
  sentinel(name: string, sentinels: readonly Address[]): RedisSource | undefined
}

const url = ({ host, port, login }: Address) => `redis://${login ? `${login}@` : ''}${host}:${port}`
const lazy = { lazyConnect: true } as const

export const SOURCES: readonly SourceKind[] = [
  {
    name: 'redis 6',
    single: (at) => redis6.createClient({ url: url(at) }),
    cluster: (nodes) => redis6.createCluster({ rootNodes: nodes.map((at) => ({ url: url(at) })) }),
    sentinel: (name, sentinels) => redis6.createSentinel({ name, sentinelRootNodes: [...sentinels] }),
  },
  {
    name: 'redis 5',
    single: (at) => redis5.createClient({ socket: { ...at } }),
    cluster: (nodes) => redis5.createCluster({ rootNodes: nodes.map((at) => ({ socket: { ...at } })) }),
    sentinel: () => undefined,
  },
  {
    name: 'ioredis 6',
    single: (at) => new Redis6(url(at), lazy),
    cluster: (nodes) => new Cluster6(nodes.map(url), lazy),
    sentinel: (name, sentinels) => new Redis6({ name, sentinels: [...sentinels], ...lazy }),
  },
  {
    name: 'ioredis 5',
    single: (at) => new Redis5({ ...at, ...lazy }),
    cluster: (nodes) => new Cluster5([...nodes], lazy),
    sentinel: (name, sentinels) => new Redis5({ name, sentinels: [...sentinels], ...lazy }),
  },
  {
    name: 'no client, redis loaded',
    single: (at) => url(at),
    cluster: (nodes) => ({ cluster: nodes.map(url) }),
    sentinel: (name, sentinels) => ({ name, sentinels: sentinels.map((at) => `${at.host}:${at.port}`) }),
  },
  {
    name: 'no client, ioredis loaded',
    single: (at) => ({ ...at, library: 'ioredis' }),
    cluster: (nodes) => ({ cluster: nodes.map(url), library: 'ioredis' }),
    sentinel: (name, sentinels) => ({ name, sentinels: sentinels.map(url), library: 'ioredis' }),
  },
]
