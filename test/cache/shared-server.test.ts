import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { countCommands } from '../support/monitor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

describe('the cache on a server that others use too', () => {
  let redis: RedisServer
  const opened: LiveCache[] = []
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    for (const live of opened.splice(0)) await live.close()
  })
  afterAll(() => redis.stop())

  async function open(namespace = freshNamespace()): Promise<LiveCache['cache']> {
    const live = await openCache(redis.url, { namespace })
    opened.push(live)
    return live.cache
  }

  it('never sends KEYS, FLUSHALL or FLUSHDB, whatever verb is called [B16]', async () => {
    const seen = await countCommands(redis, async () => {
      const cache = await open()
      const part = cache.namespace('part')
      await cache.setMany({ a: 1, b: 2 }, { tags: ['t'] })
      await part.getOrSet('c', () => 3, { stale: '1m' })
      await cache.getOrSetMany(
        ['x', 'y'],
        (id) => id,
        (ids) => ids.map(() => 1),
      )
      await cache.get('a')
      await cache.has('a')
      await cache.getMany(['a', 'b'])
      await cache.touch('a', '1h')
      await cache.inspect('a')
      for await (const names of cache.scan('*')) expect(names.length).toBeGreaterThan(0)
      await cache.warm([{ key: 'w', load: () => 1 }])
      await cache.mutate({ keys: ['a'], tags: ['t'] }, () => 1)
      await cache.set('m', 1, { mark: await cache.mark() })
      await cache.expire('b')
      await cache.expireTag('t')
      await cache.invalidateTag('t')
      await cache.delete('x')
      await cache.deletePattern('*', { dryRun: true })
      await cache.deletePattern('*')
      await part.clear()
      await cache.clear()
      cache.stats()
    })
    const sent = new Set([...Object.keys(seen.byName), ...Object.keys(seen.inScripts)])
    expect(sent).toContain('SCAN')
    expect(sent.size).toBeGreaterThan(5)
    for (const name of ['KEYS', 'FLUSHALL', 'FLUSHDB', 'CONFIG']) expect(sent).not.toContain(name)
  })

  it('counts the hits of each namespace apart, untouched by what others do on the server [B18]', async () => {
    const cache = await open()
    const stranger = await open()
    const [tasks, users] = [cache.namespace('tasks'), cache.namespace('users')]
    await tasks.set('k', 1)
    for (let i = 0; i < 9; i++) await tasks.get('k')
    await tasks.get('absent')
    for (let i = 0; i < 4; i++) await users.get('absent')
    for (let i = 0; i < 50; i++) await redis.cli('GET', 'nothing here')
    await stranger.set('k', 1)
    await stranger.get('k')
    expect(tasks.stats()).toMatchObject({ misses: 1, hitRate: 90 })
    expect(users.stats()).toMatchObject({ misses: 4, hitRate: 0 })
    expect(cache.stats().namespaces).toMatchObject({ tasks: { hitRate: 90 }, users: { hitRate: 0 } })
    const info = String(await redis.cli('INFO', 'stats'))
    expect(Number(/keyspace_misses:(\d+)/.exec(info)?.[1])).toBeGreaterThanOrEqual(50)
  })

  it('keeps two applications apart by their namespaces, in one and the same database [B19]', async () => {
    const [one, two] = [await open('shop'), await open('shop2')]
    await one.set('k', 'of one', { tags: ['t'] })
    await two.set('k', 'of two', { tags: ['t'] })
    expect(await one.get('k')).toBe('of one')
    await one.invalidateTag('t')
    expect(await two.get('k')).toBe('of two')
    await one.set('k', 'again')
    await one.deletePattern('*')
    await one.clear()
    expect(await one.get('k')).toBeUndefined()
    expect(await two.get('k')).toBe('of two')
    expect(String(await redis.cli('INFO', 'keyspace')).match(/db\d+/g)).toEqual(['db0'])
  })

  it('keeps applications apart whose names look like patterns or like each other [B19]', async () => {
    const names = ['app', 'app:1', 'app*', 'a}p', 'App', 'ứng dụng']
    const caches = await Promise.all(names.map((name) => open(name)))
    await Promise.all(caches.map((cache, i) => cache.set('k', names[i])))
    await caches[2]!.deletePattern('*')
    await caches[0]!.clear()
    const left = await Promise.all(caches.map((cache) => cache.get('k')))
    expect(left).toEqual([undefined, 'app:1', undefined, 'a}p', 'App', 'ứng dụng'])
  })

  it('deletes by pattern what has spaces, quotes or signs of a shell in its name, and 0 where nothing matches [B25]', async () => {
    const cache = await open()
    const odd = ['cache:a b', 'cache:"quoted"', "cache:it's", 'cache:$(x)', 'cache:*', 'cache:é']
    await cache.setMany(odd.map((key) => [key, 1] as const))
    await cache.set('other:a b', 1)
    expect(await cache.deletePattern('nothing:*')).toBe(0)
    expect(await cache.deletePattern('cache:a b')).toBe(1)
    expect(await cache.deletePattern('cache:\\*')).toBe(1)
    expect(await cache.deletePattern('cache:*')).toBe(odd.length - 2)
    expect(await cache.deletePattern('cache:*')).toBe(0)
    expect(await cache.getMany([...odd, 'other:a b'])).toEqual(new Map([['other:a b', 1]]))
  })

  it('stores what was just loaded, although the instance closes at once', async () => {
    const namespace = freshNamespace()
    const deadlines = { connect: '10s', read: '10s', write: '10s' } as const
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
    const hf = holdfast({ redis: redis.url, namespace, cache: { l1: false }, deadlines })
    await hf.ready('20s')
    await Promise.all(keys.map((key) => hf.cache.getOrSet(key, () => 1, { ttl: '1m' })))
    await hf.close()
    expect(await redis.cli('EXISTS', ...keys.map((key) => `hf:{${namespace}:0}:e:${key}`))).toBe(keys.length)
  })

  it('logs in with the password of the URL, whatever signs it holds, and shows it nowhere [S4-39]', async () => {
    const password = 'p@ss:w/rd?#%'
    const locked = await startRedis({ password })
    const hf = holdfast({ redis: locked.url, namespace: 'locked', deadlines: { connect: '10s' } })
    await hf.ready('10s')
    expect(await hf.cache.getOrSet('k', () => 1)).toBe(1)
    await until('it is stored', () => locked.cli('EXISTS', 'hf:{locked:0}:e:k'))
    for (const url of [`redis://127.0.0.1:${locked.port}`, `redis://:wrong-one@127.0.0.1:${locked.port}`]) {
      const refused = holdfast({ redis: url, namespace: 'locked', deadlines: { connect: '10s' } })
      const error: unknown = await refused.ready('10s').catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/) })
      expect(String((error as Error).stack)).not.toMatch(/wrong-one|p@ss/)
      // The application runs, only without Redis.
      expect(await refused.cache.getOrSet('k', () => 'loaded')).toBe('loaded')
      expect(refused.health().status).toBe('degraded')
      await refused.close()
    }
    expect(JSON.stringify(hf.health())).not.toContain('p@ss')
    await hf.close()
    await locked.stop()
  })
})
