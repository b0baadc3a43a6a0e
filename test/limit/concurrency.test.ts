import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { type ConcurrencySettings, createConcurrency } from '../../src/limit/concurrency.ts'
import { LimitExceeded } from '../../src/limit/errors.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

let server: RedisServer
let redis: RedisPort
let names = 0
beforeAll(async () => {
  server = await startRedis()
  redis = connectRedis(server.url)
  await redis.ready(5_000)
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})

describe.each(['process memory', 'Redis'])('permits in %s', (where) => {
  const make = (limit: number, more: Partial<ConcurrencySettings> = {}) =>
    createConcurrency({
      name: `c${++names}`,
      limit,
      deadline: 5_000,
      ...(where === 'Redis' ? { redis } : {}),
      ...more,
    })

  it('are given to 3 at a time; the 4th is refused, or waits for one to come back [L15]', async () => {
    const limiter = make(3)
    const permits = await Promise.all([1, 2, 3].map(() => limiter.acquire('s')))
    expect(await limiter.tryAcquire('s')).toBeUndefined()
    await expect(limiter.acquire('s')).rejects.toBeInstanceOf(LimitExceeded)
    expect(await limiter.count('s')).toBe(3)
    const waiting = limiter.acquire('s', { wait: '5s' })
    await permits[0]!.release()
    await (await waiting).release()
    expect(await limiter.tryAcquire('other')).toBeDefined()
  })

  it('free one place when released twice [L15]', async () => {
    const limiter = make(2)
    const [first] = [await limiter.acquire('s'), await limiter.acquire('s')]
    expect([await first.release(), await first.release()]).toEqual([true, false])
    expect(await limiter.count('s')).toBe(1)
    expect(await limiter.tryAcquire('s')).toBeDefined()
    expect(await limiter.tryAcquire('s')).toBeUndefined()
  })

  it('come back after the lease when their holder is gone, and are kept while it renews [L15]', async () => {
    const limiter = make(1, { lease: 120 })
    const gone = make(1, { lease: 120, renew: false })
    const kept = await limiter.acquire('a')
    const lost = await gone.acquire('b')
    await until('the abandoned one is over', async () => (await gone.count('b')) === 0, 2_000)
    expect(await limiter.count('a')).toBe(1)
    const next = await gone.acquire('b')
    expect([await lost.renew(), await lost.release()]).toEqual([false, false])
    expect(await next.renew()).toBe(true)
    await kept.release()
  })

  it('never exceed the limit under a crowd', async () => {
    const limiter = make(5)
    let inside = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 60 }, async () => {
        await using permit = await limiter.acquire('s', { wait: '20s' })
        expect(permit.degraded).toBe(false)
        inside++
        most = Math.max(most, inside)
        await new Promise((resolve) => setTimeout(resolve, 3))
        inside--
      }),
    )
    expect(most).toBe(5)
    expect(await limiter.count('s')).toBe(0)
  })

  it('obey the limit of a plan, a limit of 0, an aborting signal, and the end', async () => {
    const limiter = make(0)
    expect(await limiter.tryAcquire('s')).toBeUndefined()
    await limiter.acquire('s', { limit: 1 })
    const stop = new AbortController()
    const waiting = limiter.acquire('s', { limit: 1, wait: '10s', signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(await limiter.count('s')).toBe(1)
    await limiter.close()
    await expect(limiter.tryAcquire('s')).rejects.toThrow(/CLOSED/)
  })

  it('are of one subject, whole in number, and leased for at least 10 ms', async () => {
    for (const limit of [-1, 0.5, Number.NaN]) expect(() => make(limit)).toThrow(InvalidOption)
    expect(() => make(1, { lease: 1 })).toThrow(InvalidOption)
    await expect(make(1).tryAcquire({ user: 1, ip: '192.0.2.1' })).rejects.toThrow(InvalidOption)
  })
})

describe('permits while Redis is away', () => {
  it.each([
    ['deny', [false, false]],
    ['allow', [true, true]],
    ['local', [true, false]],
  ] as const)('with %s: answered in time, and as said [L10, L15]', async (onUnavailable, expected) => {
    const dead = connectRedis('redis://127.0.0.1:1')
    const limiter = createConcurrency({ redis: dead, name: 'x', limit: 1, onUnavailable })
    const permits = [await limiter.tryAcquire('s'), await limiter.tryAcquire('s')]
    expect(permits.map((permit) => permit !== undefined)).toEqual(expected)
    expect(permits.every((permit) => permit?.degraded ?? true)).toBe(true)
    for (const permit of permits) await permit?.release()
    await dead.close()
  })
})
