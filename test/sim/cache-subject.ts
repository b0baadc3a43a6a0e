import type { Cache } from '../../src/cache/cache.ts'
import { createCache } from '../../src/cache/create.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import type { Load, ReadOptions, Subject } from './subject.ts'

/** The shipped cache. */
export function cacheSubject(port: RedisPort, l1: boolean): Subject {
  const cache: Cache = createCache({ redis: port, namespace: 'sim', l1: l1 ? {} : false })
  const optionsOf = (options: ReadOptions, tags: readonly string[]) => ({
    ttl: options.ttl,
    stale: options.stale,
    tags,
    timeout: { soft: options.soft },
    staleIfError: options.staleIfError,
  })
  return {
    getOrSet: (key, tags, load: Load, options) =>
      cache.getOrSet(key, (context) => load((...more) => context.tag(...more)), optionsOf(options, tags)),
    async getOrSetMany(keys, load, tags, options) {
      const found = await cache.getOrSetMany(
        keys,
        (key) => key,
        async (missing) =>
          new Map(await Promise.all(missing.map(async (key) => [key, await load(key)] as const))),
        optionsOf(options, tags),
      )
      return keys.map((key) => found.get(key))
    },
    get: (key) => cache.get(key),
    async writeThrough(key, tags, read) {
      const mark = await cache.mark()
      await cache.set(key, await read(), { tags, mark, ttl: '1m' })
    },
    async invalidate({ keys = [], tags = [], soft }) {
      if (!soft) await cache.invalidate({ keys, tags })
      else {
        for (const key of keys) await cache.expire(key)
        if (tags.length > 0) await cache.expireTag(tags)
      }
    },
    async deletePattern(glob) {
      await cache.deletePattern(glob)
    },
    async clear() {
      await cache.clear()
    },
    mutate: (what, change) => cache.mutate(what, change, { for: '3s' }),
    close: () => cache.close(),
  }
}
