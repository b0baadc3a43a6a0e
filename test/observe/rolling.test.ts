import { channel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { createRolling, type Rolling } from '../../src/observe/rolling.ts'
import type { Overview } from '../../src/observe/rolling-shapes.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { startRedis } from '../support/redis-server.ts'

const open: (Holdfast | Rolling)[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})
function keep<T extends Holdfast | Rolling>(thing: T): T {
  open.push(thing)
  return thing
}

describe('rolling windows', () => {
  it('[S2-5, S3-30, B18] count hits, misses, loads and stampedes of the last minute, by namespace too', async () => {
    const clock = new FakeClock()
    const hf = keep(holdfast({ clock }))
    const rolling = keep(createRolling(hf, { clock }))
    expect(rolling.overview()).toMatchObject({
      status: 'ok',
      degraded: [],
      redis: null,
      processes: 1,
      cache: { enabled: true, hitRate: null, opP50Ms: null, loadP99Ms: null },
    })
    for (let i = 0; i < 70; i++) await hf.cache.getOrSet('a', () => 1, { ttl: '1h' })
    const users = hf.cache.namespace('users')
    const slow = () => new Promise<number>((resolve) => clock.after(40, () => resolve(1)))
    const together = Array.from({ length: 30 }, () => users.getOrSet('b', slow, { ttl: '1h' }))
    await clock.advance(100)
    await Promise.all(together)
    const { cache, namespaces, windowSeconds } = rolling.overview()
    expect(windowSeconds).toBe(60)
    expect(cache).toMatchObject({
      hits: 69,
      l1Hits: 69,
      l2Hits: 0,
      errors: 0,
      loads: 2,
      stampedesPrevented: 29,
    })
    expect(cache.misses).toBe(31)
    expect(cache.hitRate).toBe(69)
    expect(cache.loadP99Ms).toBeGreaterThan(34)
    expect(cache.loadP99Ms).toBeLessThan(46)
    expect(cache.opP99Ms).toBeLessThan(1)
    expect(namespaces).toEqual([
      { namespace: 'default', hits: 69, misses: 1, errors: 0, staleServed: 0, hitRate: 98.6 },
      { namespace: 'users', hits: 0, misses: 30, errors: 0, staleServed: 0, hitRate: 0 },
    ])
    await clock.advance(70_000)
    expect(rolling.overview().cache).toMatchObject({ hits: 0, misses: 0, hitRate: null, loadP99Ms: null })
    expect(rolling.overview().namespaces).toEqual([])
  })

  it('[S3-32, S3-33] keep one hour in steps of five seconds, and no more', async () => {
    const clock = new FakeClock()
    const hf = keep(holdfast({ clock }))
    const rolling = keep(createRolling(hf, { clock }))
    await hf.cache.getOrSet('a', () => 1, { ttl: '2h' })
    for (let i = 0; i < 9; i++) await hf.cache.getOrSet('a', () => 1, { ttl: '2h' })
    await clock.advance(5_000)
    await hf.cache.set('b', 2, { ttl: '2h' })
    await hf.cache.get('a')
    await clock.advance(5_000)
    const { stepSeconds, at, series } = rolling.history(60)
    expect(stepSeconds).toBe(5)
    expect(at[1]! - at[0]!).toBe(5_000)
    expect(series.hits).toEqual([9, 1])
    expect(series.misses).toEqual([1, 0])
    expect(series.keys).toEqual([1, 2])
    expect(series.loadsP99Ms[1]).toBeNull()
    expect(rolling.history(5).series.hits).toEqual([1])
    await clock.advance(3_700_000)
    const hour = rolling.history(1e9)
    expect(hour.at).toHaveLength(720)
    for (const line of Object.values(hour.series)) expect(line).toHaveLength(720)
    expect(Math.max(...(hour.series.hits as number[]))).toBe(0)
    for (const nonsense of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => rolling.history(nonsense)).toThrow(InvalidOption)
    }
  })

  it('count limits, locks that are held, waited for and lost, and messages in hand', async () => {
    const hf = keep(holdfast())
    const rolling = keep(createRolling(hf))
    const limiter = hf.limiter('chat', '1/minute')
    await limiter.consume('ada')
    await limiter.consume('ada')
    const first = await hf.lock('plan').acquire()
    const second = hf.lock('plan').acquire({ wait: '30s' })
    await expect.poll(() => rolling.overview().locks).toEqual({ held: 1, waiting: 1, lost: 0 })
    await first.release()
    await (await second).release()
    expect(rolling.overview().locks).toEqual({ held: 0, waiting: 0, lost: 0 })
    let done = (): void => {}
    const gate = new Promise<void>((resolve) => {
      done = resolve
    })
    const queue = hf.queue<number>('mail', { handle: () => gate })
    await queue.addMany([1, 2, 3])
    await expect.poll(() => rolling.overview().queues).toMatchObject({ waiting: 3, active: 3 })
    done()
    await queue.drain()
    await expect
      .poll(() => rolling.overview().queues, { timeout: 10_000 })
      .toMatchObject({ waiting: 0, active: 0 })
    const { limits } = rolling.overview()
    expect(limits).toEqual({ allowed: 1, denied: 1 })
    expect(JSON.stringify(rolling.overview())).not.toContain('ada')
  })

  it('sum up namespaces beyond a thousand, and show the fifty busiest', async () => {
    const clock = new FakeClock()
    const hf = keep(holdfast({ clock }))
    const rolling = keep(createRolling(hf, { clock }))
    for (let i = 0; i < 1_200; i++) {
      const cache = hf.cache.namespace(`tenant-${i}`)
      for (let n = 0; n < (i < 60 ? 3 : 1); n++) await cache.getOrSet('a', () => 1, { ttl: '1h' })
    }
    const { namespaces, cache } = rolling.overview()
    expect(cache.hits + cache.misses).toBe(1_320)
    expect(namespaces).toHaveLength(50)
    expect(namespaces[0]).toMatchObject({ namespace: 'other', misses: 200 })
    expect(namespaces[1]).toMatchObject({ hits: 2, misses: 1, hitRate: 66.7 })
  })

  it('hear each look-up of a quiet cache, and a tenth of the time of a busy one', async () => {
    const clock = new FakeClock()
    const hf = keep(holdfast({ clock }))
    const rolling = keep(createRolling(hf, { clock }))
    const heard = channel('holdfast:cache:lookup')
    await hf.cache.set('a', 1, { ttl: '1h' })
    const ask = async (times: number) => {
      for (let i = 0; i < times; i++) await hf.cache.get('a')
    }
    await ask(500)
    await clock.advance(1_500)
    expect(heard.hasSubscribers).toBe(true)
    await ask(2_000)
    await clock.advance(550)
    expect(heard.hasSubscribers).toBe(true)
    await clock.advance(100)
    expect(heard.hasSubscribers).toBe(false)
    await ask(700)
    await clock.advance(900)
    expect(heard.hasSubscribers).toBe(true)
    await clock.advance(200)
    expect(heard.hasSubscribers).toBe(true)
    expect(rolling.overview().cache.hits).toBe(3_200)
    const deaf = keep(createRolling(hf, { clock, latency: false }))
    await rolling.close()
    expect(heard.hasSubscribers).toBe(false)
    expect(deaf.overview().cache.opP99Ms).toBeNull()
  })

  it('tick every second, to listeners that may throw, until the end', async () => {
    const clock = new FakeClock()
    const hf = keep(holdfast({ clock }))
    const rolling = keep(createRolling(hf, { clock }))
    const heard: Overview[] = []
    rolling.onTick(() => {
      throw new Error('a listener of somebody')
    })
    const deaf = rolling.onTick((overview) => heard.push(overview))
    await clock.advance(3_000)
    expect(heard).toHaveLength(3)
    deaf()
    await clock.advance(1_000)
    expect(heard).toHaveLength(3)
    expect(rolling.failures).toEqual({ looks: 0, exchanges: 0, unread: 0, listeners: 4 })
    const pending = clock.pending
    await rolling.close()
    await rolling.close()
    expect(clock.pending).toBe(pending - 1)
  })

  it('say that the cache is off instead of a hit rate of nothing, and refuse what they do not know [S4-9]', async () => {
    const hf = keep(holdfast({ cache: { enabled: false } }))
    const rolling = keep(createRolling(hf, { latency: false }))
    await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })
    expect(rolling.overview()).toMatchObject({ status: 'off', cache: { enabled: false } })
    // @ts-expect-error a slip of the hand
    expect(() => createRolling(hf, { shared: true })).toThrow(/did you mean 'share'/)
    // @ts-expect-error nothing to look at
    expect(() => createRolling()).toThrow(InvalidOption)
  })
})

describe('rolling windows over Redis', () => {
  it('[S0-34, B6] show the server, and an outage by its beginning, without a lie in the hit rate', async () => {
    const server = await startRedis()
    const hf = keep(holdfast({ redis: server.url, cache: { l1: false } }))
    await hf.ready('20s')
    const rolling = keep(createRolling(hf))
    await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })
    await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })
    await expect.poll(() => rolling.overview().redis?.usedMemory ?? 0, { timeout: 10_000 }).toBeGreaterThan(0)
    const before = Date.now()
    await server.kill()
    await expect.poll(() => rolling.overview().status, { timeout: 10_000 }).toBe('degraded')
    await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })
    const { degraded, cache } = rolling.overview()
    expect(degraded).toHaveLength(1)
    expect(degraded[0]!.what).toMatch(/^redis 127\.0\.0\.1:\d+$/)
    expect(Date.parse(degraded[0]!.since)).toBeGreaterThanOrEqual(before - 1_000)
    expect(cache).toMatchObject({ hits: 1, misses: 1, hitRate: 50, errors: 1 })
    await server.stop()
  })

  it('[S1-26] sum up the processes that share theirs, and drop who fell silent', async () => {
    const server = await startRedis()
    const members = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const hf = keep(holdfast({ redis: server.url, deadlines: { read: '2s' } }))
        await hf.ready('20s')
        const clock = new FakeClock()
        return { hf, clock, rolling: keep(createRolling(hf, { clock, share: true, watch: true })) }
      }),
    )
    const outside = { hf: members[0]!.hf, clock: new FakeClock() }
    const watcher = keep(createRolling(outside.hf, { clock: outside.clock, watch: true }))
    for (const { hf } of members) {
      for (let i = 0; i < 10; i++) await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })
    }
    /** Five seconds for one process, and the answers to what it asked: they come in order. */
    const beat = async ({ hf, clock }: { hf: Holdfast; clock: FakeClock }): Promise<void> => {
      await clock.advance(5_000)
      await hf.redis!.command('EXISTS', 'a key of the test')
      await clock.advance(0)
    }
    for (const member of [...members, members[0]!, outside]) await beat(member)
    const all = members[0]!.rolling.overview()
    expect(all.processes).toBe(3)
    expect(all.cache.hits + all.cache.misses).toBe(30)
    expect(watcher.overview()).toMatchObject({ processes: 3 })
    const hash = 'hf:app:raw:{observe:processes}'
    expect(Number(await server.cli('PTTL', hash))).toBeGreaterThan(0)
    expect(String(await server.cli('HGETALL', hash))).not.toContain('"a"')
    await server.cli('HSET', hash, 'x', '{"v":1}')
    await members[2]!.rolling.close()
    await beat(members[0]!)
    expect(members[0]!.rolling.overview().processes).toBe(2)
    expect(members[0]!.rolling.failures).toMatchObject({ unread: 1, exchanges: 0 })
    // The second one is silent from here on: nobody takes it back, its number does not rise.
    for (let i = 0; i < 4; i++) await beat(members[0]!)
    expect(members[0]!.rolling.overview().processes).toBe(1)
    await server.stop()
  })
})
