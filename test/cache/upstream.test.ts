import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seeded, zipf } from '../../examples/simulators/traffic.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createCache } from '../../src/cache/create.ts'
import { MemoryStore } from '../../src/cache/memory-store.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

describe('a slow remote API behind the cache', () => {
  let redis: RedisServer
  let api: Upstream
  let a: LiveCache
  let b: LiveCache

  beforeEach(async () => {
    redis = await startRedis()
    api = await startUpstream({ delayMs: 300 })
    const namespace = freshNamespace()
    a = await openCache(redis.url, { namespace })
    b = await openCache(redis.url, { namespace })
  })
  afterEach(async () => {
    await a.close()
    await b.close()
    await api.stop()
    await redis.stop()
  })

  it.each(['/products', '/invoices', '/customers'])(
    'is called once for 100 equal reads of %s, at once and one after the other, in two processes [S0-12][S0-13]',
    async (path) => {
      const read = (live: LiveCache) =>
        live.cache.getOrSet(`api:shop:${path}`, () => api.get(path), { ttl: '5m' })
      const atOnce = await Promise.all(Array.from({ length: 60 }, (_, i) => read(i % 2 ? a : b)))
      const later: unknown[] = []
      for (let i = 0; i < 40; i++) later.push(await read(i % 2 ? a : b))
      expect([...atOnce, ...later]).toEqual(Array(100).fill({ path, version: 1 }))
      expect(api.calls).toBe(1)
    },
  )

  it('is asked again when the life of its answer is over, and not before [S2-1]', async () => {
    const read = () => a.cache.getOrSet('rates', () => api.get('/rates'), { ttl: 1_500 })
    expect((await read()).version).toBe(1)
    const stored = performance.now()
    api.version = 2
    let fresh = await read()
    expect({ version: fresh.version, calls: api.calls }).toEqual({ version: 1, calls: 1 })
    while (fresh.version === 1) fresh = await read()
    expect(performance.now() - stored).toBeGreaterThan(1_400)
    expect(api.calls).toBe(2)
  })

  it('may say itself how long its answer lives [S2-1]', async () => {
    const namespace = freshNamespace()
    const live = await openCache(redis.url, { namespace })
    await live.cache.getOrSet('profile', async (context) => {
      const answer = await api.get('/profile')
      context.ttl('42s')
      return answer
    })
    await expect.poll(() => redis.cli('PTTL', `hf:{${namespace}:0}:e:profile`)).toBeGreaterThan(40_000)
    expect(await redis.cli('PTTL', `hf:{${namespace}:0}:e:profile`)).toBeLessThanOrEqual(42_000)
    await live.close()
  })

  it('gets one key per question and tenant, in whatever order the parameters stand [S0-15]', async () => {
    const ask = a.cache.cached(
      (question: { tenant: string; params: Record<string, number> }) =>
        api.get(`/list?tenant=${question.tenant}&sum=${Object.values(question.params).join()}`),
      { prefix: 'api' },
    )
    await ask({ tenant: 'one', params: { page: 1, size: 20 } })
    await ask({ params: { size: 20, page: 1 }, tenant: 'one' })
    expect(api.calls).toBe(1)
    await ask({ tenant: 'two', params: { page: 1, size: 20 } })
    await ask({ tenant: 'one', params: { page: 2, size: 20 } })
    expect(api.calls).toBe(3)
  })
})

describe('a day of dashboards', () => {
  it('causes a fifth of the upstream calls, or less [S2-2]', async () => {
    const clock = new FakeClock()
    const cache = createCache({ store: new MemoryStore({ clock, random: systemRandom }), clock })
    const dashboards = zipf(40, 0.8, seeded(2_026))
    let calls = 0
    let asked = 0
    // 30 people look every minute for eight hours, at five reports each time; an answer lives ten minutes.
    const gapMs = 60_000 / 30
    for (let ms = 0; ms < 8 * 3_600_000; ms += gapMs) {
      const dashboard = dashboards()
      for (let report = 1; report <= 5; report++) {
        asked++
        await cache.getOrSet(`ads:${dashboard}:${report}`, () => ++calls, { ttl: '10m', jitter: 0.1 })
      }
      await clock.advance(gapMs)
    }
    expect(asked).toBe(72_000)
    expect(calls).toBeGreaterThan(200)
    expect(calls / asked).toBeLessThanOrEqual(0.2)
  }, 60_000)

  it('is answered from the cache in over 80 % of the look-ups, and the cache says so [S2-9][S4-45]', async () => {
    const redis = await startRedis()
    const namespace = freshNamespace()
    const processes = await Promise.all([1, 2].map(() => openCache(redis.url, { namespace })))
    const tasks = zipf(500, 0.8, seeded(7))
    let loads = 0
    let asked = 0
    for (let round = 0; round < 100; round++) {
      const calls = Array.from({ length: 60 }, (_, i) => {
        asked++
        return processes[i % 2]!.cache.getOrSet(`task:${tasks()}`, () => ++loads)
      })
      await Promise.all(calls)
      // Now and then somebody changes something.
      await processes[round % 2]!.cache.delete(`task:${tasks()}`, { wait: 'commit' })
    }
    const stats = processes.map(({ cache }) => cache.stats())
    const hits = stats.reduce((sum, { hits: { l1, l2 } }) => sum + l1 + l2, 0)
    const misses = stats.reduce((sum, one) => sum + one.misses, 0)
    expect(hits + misses).toBe(asked)
    expect(misses).toBeGreaterThanOrEqual(loads)
    for (const { hitRate } of stats) expect(hitRate).toBeGreaterThan(80)
    expect(hits / asked).toBeGreaterThan(0.8)
    for (const live of processes) await live.close()
    await redis.stop()
  }, 60_000)
})
