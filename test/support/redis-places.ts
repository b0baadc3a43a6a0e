/**
 * The kinds of Redis over which contract suites run: each gives what `connectRedis` takes.
 *
 *   for (const [name, open] of REDIS_PLACES) contract(api, name, async () => { const place = await open() … })
 */
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startCluster } from './cluster.ts'
import { LEAST_PRIVILEGE, leastPrivilegeUrl } from './least-privilege.ts'
import { PATIENT } from './patience.ts'
import { startRedis } from './redis-server.ts'

export interface RedisPlace {
  readonly source: RedisSource
  stop(): Promise<void>
}

export const REDIS_PLACES: readonly (readonly [name: string, open: () => Promise<RedisPlace>])[] = [
  [
    'Redis by node-redis, as a user of least privilege, without the dangerous commands',
    () => single('redis'),
  ],
  ['Redis by ioredis', () => single('ioredis')],
  ['Redis Cluster by node-redis', () => cluster('redis')],
  ['Redis Cluster by ioredis', () => cluster('ioredis')],
]

async function single(library: 'redis' | 'ioredis'): Promise<RedisPlace> {
  if (library === 'ioredis') {
    const server = await startRedis()
    return { source: { url: server.url, library }, stop: () => server.stop() }
  }
  const server = await startRedis(LEAST_PRIVILEGE)
  return { source: { url: leastPrivilegeUrl(server.port), library }, stop: () => server.stop() }
}

async function cluster(library: 'redis' | 'ioredis'): Promise<RedisPlace> {
  const nodes = await startCluster()
  return { source: { cluster: nodes.urls, library }, stop: () => nodes.stop() }
}

/** Two connections to one place, as two processes have them, and what is made on each. */
export async function twoViews<View extends { close(): unknown }>(
  open: () => Promise<RedisPlace>,
  make: (redis: RedisPort) => View,
): Promise<{ first: View; second: View; close(): Promise<void> }> {
  const place = await open()
  const ports = [connectRedis(place.source, PATIENT), connectRedis(place.source, PATIENT)] as const
  await Promise.all(ports.map((port) => port.ready(10_000)))
  const [first, second] = [make(ports[0]), make(ports[1])]
  return {
    first,
    second,
    async close() {
      await first.close()
      await second.close()
      await Promise.all(ports.map((port) => port.close()))
      await place.stop()
    },
  }
}
