import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { createLimiter, type Limiter } from '../../src/limit/limiter.ts'
import type { OutagePolicy } from '../../src/limit/options.ts'
import { refusal } from '../../src/limit/refusal.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const DEADLINE = 150
/** What a busy machine may add to a deadline. */
const SLACK = 250

let server: RedisServer
let redis: RedisPort
afterEach(async () => {
  await redis.close()
  await server.stop()
})

async function start() {
  server = await startRedis()
  redis = connectRedis(server.url)
  await redis.ready(5_000)
}

const make = (onUnavailable: OutagePolicy, more = {}) =>
  createLimiter({
    redis,
    name: onUnavailable,
    limits: '12/minute',
    onUnavailable,
    deadline: DEADLINE,
    denyCache: 0,
    ...more,
  })

async function timed(limiter: Limiter) {
  const started = systemClock.mono()
  const decision = await limiter.consume('a')
  expect(systemClock.mono() - started).toBeLessThan(DEADLINE + SLACK)
  return decision
}

const back = (limiter: Limiter) =>
  until('Redis decides again', async () => (await limiter.peek('a')).degraded === false, 15_000)

describe.each(['frozen', 'killed'])('while Redis is %s', (fault) => {
  const begin = async () => (fault === 'frozen' ? server.pause() : server.kill())
  const end = async () => (fault === 'frozen' ? server.resume() : server.restart())

  it('deny refuses, allow admits, local admits the share of one instance; each in time, and back alone [L10]', async () => {
    await start()
    const [deny, allow, local] = [make('deny'), make('allow'), make('local', { instances: 3 })]
    for (const limiter of [deny, allow, local]) expect((await limiter.consume('a')).degraded).toBe(false)
    await begin()
    for (let call = 0; call < 6; call++) {
      const [refused, admitted, counted] = [await timed(deny), await timed(allow), await timed(local)]
      expect(refused).toMatchObject({ allowed: false, degraded: 'deny' })
      expect(admitted).toMatchObject({ allowed: true, degraded: 'allow' })
      expect(counted).toMatchObject({ allowed: call < 4, degraded: 'local', limit: 4 })
    }
    expect(deny.counts()).toMatchObject({ denied: 6, degraded: 6 })
    await expect(deny.reset('a')).rejects.toThrow(/REDIS_(?:TIMEOUT|UNAVAILABLE)/)
    await end()
    for (const limiter of [deny, allow, local]) await back(limiter)
    expect(await local.consume('a')).toMatchObject({ degraded: false, limit: 12 })
  }, 40_000)
})

describe('an outage', () => {
  it('does not charge calls that were given up: a frozen server refuses them when it wakes [L10, L14]', async () => {
    await start()
    const limiter = make('allow', { limits: '1000/hour' })
    await limiter.consume('a')
    server.pause()
    for (let call = 0; call < 3; call++) await limiter.consume('a')
    await new Promise((resolve) => setTimeout(resolve, 600))
    server.resume()
    await back(limiter)
    expect((await limiter.peek('a')).remaining).toBe(999)
  }, 20_000)

  it('is no reason to fail where the server is full', async () => {
    await start()
    const limiter = make('deny')
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    await server.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, degraded: 'deny' })
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    expect(await limiter.consume('a')).toMatchObject({ allowed: true, degraded: false })
  })

  it('is told to clients as 503, not as their fault', async () => {
    await start()
    const limiter = make('deny')
    await server.kill()
    const { status, headers, body } = refusal(await limiter.consume('a'))
    expect([status, body.status, headers['Retry-After']]).toEqual([503, 503, '1'])
    expect(body.type).toMatch(/#temporary-reduced-capacity$/)
    expect(body['violated-policies']).toBeUndefined()
  })

  it('of a moment, with lost replies, never makes a limiter admit more than the limit [L14]', async () => {
    await start()
    const proxy = await startProxy(server.port)
    const shaky = connectRedis(proxy.url)
    await shaky.ready(5_000)
    const limiter = createLimiter({
      redis: shaky,
      name: 'p',
      limits: '40/hour',
      onUnavailable: 'deny',
      deadline: 200,
      denyCache: 0,
    })
    let admitted = 0
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 5 }, () => limiter.consume('a'))
      if (round % 4 === 1) proxy.cut()
      for (const decision of await Promise.all(calls)) if (decision.allowed) admitted++
      if (round % 4 === 1)
        await until('it is connected again', async () => (await limiter.peek('a')).degraded === false)
    }
    expect(admitted).toBeGreaterThan(0)
    expect(admitted).toBeLessThanOrEqual(40)
    await shaky.close()
    await proxy.stop()
  }, 30_000)
})
