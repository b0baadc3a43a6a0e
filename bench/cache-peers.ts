/** The caches that are measured, each set up as its documentation says. */
import KeyvRedis from '@keyv/redis'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisDriver } from 'bentocache/drivers/redis'
import { createCache as createCacheManager } from 'cache-manager'
import { Cacheable } from 'cacheable'
import { Redis } from 'ioredis'
import { Keyv } from 'keyv'
import { holdfast } from '../src/index.ts'

export interface Peer {
  readonly name: string
  /** Resolves when it is connected: the start is not what is measured. */
  ready?(): Promise<unknown>
  getOrSet(key: string, load: () => Promise<unknown>): Promise<unknown>
  /** `getOrSet` under a tag, and the tag's invalidation; undefined where it has no tags. */
  readonly tagged?: {
    set(key: string, value: unknown, tag: string): Promise<unknown>
    invalidate(tag: string): Promise<unknown>
  }
  getMany?(keys: readonly string[]): Promise<unknown>
  close(): Promise<unknown>
}

const TTL = 600_000

export function holdfastPeer(url: string | undefined, l1: boolean, namespace = 'bench'): Peer {
  const hf = holdfast({ redis: url, namespace, cache: { l1: l1 ? { maxEntries: 200_000 } : false } })
  const options = { ttl: TTL }
  return {
    name: `holdfast${url ? '' : ' (embedded)'}`,
    ready: () => hf.ready('10s'),
    getOrSet: (key, load) => hf.cache.getOrSet(key, load, options),
    tagged: {
      set: (key, value, tag) => hf.cache.getOrSet(key, () => value, { ttl: TTL, tags: [tag] }),
      invalidate: (tag) => hf.cache.invalidateTag(tag, { wait: 'commit' }),
    },
    getMany: (keys) => hf.cache.getMany(keys),
    close: () => hf.close(),
  }
}

export function bentoPeer(url: string | undefined): Peer {
  const store = bentostore()
  const connection = url ? new Redis(url) : undefined
  const bento = new BentoCache({
    default: 'bench',
    stores: {
      bench: connection
        ? store.useL2Layer(redisDriver({ connection }))
        : store.useL1Layer(memoryDriver({ maxItems: 200_000, serialize: false })),
    },
  })
  return {
    name: 'BentoCache',
    getOrSet: (key, factory) => bento.getOrSet({ key, factory, ttl: TTL }),
    tagged: {
      set: (key, value, tag) => bento.getOrSet({ key, factory: () => value, ttl: TTL, tags: [tag] }),
      invalidate: (tag) => bento.deleteByTag({ tags: [tag] }),
    },
    async close() {
      await bento.disconnectAll()
      connection?.disconnect()
    },
  }
}

export function cacheablePeer(url: string | undefined): Peer {
  const primary = url ? new Keyv({ store: new KeyvRedis(url) }) : undefined
  const cache = new Cacheable(primary ? { primary, ttl: TTL } : { ttl: TTL })
  return {
    name: 'cacheable',
    getOrSet: (key, load) => cache.getOrSet(key, load, { ttl: TTL }),
    getMany: (keys) => cache.getMany([...keys]),
    close: () => cache.disconnect(),
  }
}

export function cacheManagerPeer(url: string | undefined): Peer {
  const keyv = url ? new Keyv({ store: new KeyvRedis(url) }) : new Keyv()
  const cache = createCacheManager({ stores: [keyv], ttl: TTL })
  return {
    name: 'cache-manager',
    getOrSet: (key, load) => cache.wrap(key, load, TTL),
    getMany: (keys) => cache.mget([...keys]),
    close: () => cache.disconnect(),
  }
}
