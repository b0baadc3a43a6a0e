import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Cache } from '../../src/cache/cache.ts'
import { type CacheSetup, createCache } from '../../src/cache/create.ts'
import { createRedisStore } from '../../src/cache/redis-store/redis-store.ts'
import type { CacheStore } from '../../src/cache/store.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { DEADLINES, PATIENT, seemOld } from './redis-cache.ts'

/** One process's cache on a real server, with connections and local copies of its own. */
export interface LiveCache {
  readonly cache: Cache
  readonly store: CacheStore
  readonly port: RedisPort
  close(): Promise<void>
}

export interface LiveSetup extends Omit<CacheSetup, 'redis' | 'store'> {
  /** The settings that the package ships, for tests whose subject is haste. @default false */
  readonly shipped?: boolean
}

let names = 0

/** A namespace that no other test uses. */
export const freshNamespace = (): string => `live-${process.pid}-${++names}`

export async function openCache(url: string, setup: LiveSetup = {}): Promise<LiveCache> {
  const { shipped = false, namespace = freshNamespace(), l1 = {}, ...rest } = setup
  const port = connectRedis(url, shipped ? {} : PATIENT)
  await port.ready(10_000)
  await seemOld(port, namespace)
  const parts = { clock: systemClock, random: systemRandom, buckets: rest.buckets }
  const deadlines = shipped ? rest.deadlines : { ...DEADLINES, ...rest.deadlines }
  const store = createRedisStore({ port, namespace, l1, ...parts, deadlines })
  const cache = createCache({ ...rest, namespace, l1, store })
  return {
    cache,
    store,
    port,
    async close() {
      await cache.close()
      await port.close()
    },
  }
}
