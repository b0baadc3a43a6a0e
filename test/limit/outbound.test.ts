import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { LimitExceeded } from '../../src/limit/errors.ts'
import { createOutbound } from '../../src/limit/outbound.ts'
import { readSignals } from '../../src/limit/remote-signals.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const NOW = Date.parse('2026-11-20T12:00:00Z')

describe('what a remote says', () => {
  it.each([
    [{ 'Retry-After': '30' }, [{ pauseMs: 30_000 }]],
    [{ 'retry-after': 'Fri, 20 Nov 2026 12:01:00 GMT' }, [{ pauseMs: 60_000 }]],
    [{ 'retry-after': 'Fri, 20 Nov 2026 11:00:00 GMT' }, []],
    [{ 'retry-after': '999999999' }, [{ pauseMs: 7 * 86_400_000 }]],
    [{ ratelimit: '"a, b;r=9";r=5;t=10, "c";r=0;t=7' }, [{ remaining: 5 }, { remaining: 0, pauseMs: 7_000 }]],
    [{ RateLimit: '"a";r=0;t=50', 'Retry-After': '60' }, [{ remaining: 0 }, { pauseMs: 60_000 }]],
    [{ 'x-app-usage': '{"call_count":99,"total_cputime":25,"total_time":25}' }, []],
    [{ 'x-app-usage': '{"call_count":10,"total_cputime":101,"total_time":25}' }, [{ pauseMs: 60_000 }]],
    [{ 'x-ad-account-usage': '{"acc_id_util_pct":100,"reset_time_duration":120}' }, [{ pauseMs: 120_000 }]],
    [
      {
        'x-business-use-case-usage':
          '{"17":[{"type":"ads","call_count":95,"estimated_time_to_regain_access":19}],"18":[{"call_count":3,"estimated_time_to_regain_access":0}]}',
      },
      [{ id: '17', pauseMs: 1_140_000 }],
    ],
  ])('is read: %o [L30]', (headers, expected) => {
    const found = readSignals(headers, NOW)
    expect(found).toMatchObject(expected)
    expect(found.length).toBe(expected.length)
    expect(readSignals(new Headers(headers as Record<string, string>), NOW)).toEqual(found)
  })

  it.each([
    { 'retry-after': '' },
    { 'retry-after': '-5' },
    { 'retry-after': 'soon' },
    { 'retry-after': '1e9' },
    { ratelimit: '' },
    { ratelimit: '"a";r=x;t=1' },
    { ratelimit: '"a";r=1.5' },
    { ratelimit: 'a'.repeat(100_000) },
    { 'x-app-usage': '{' },
    { 'x-app-usage': 'null' },
    { 'x-app-usage': '[]' },
    { 'x-business-use-case-usage': '{"1":null,"2":[null,5,{"estimated_time_to_regain_access":"x"}]}' },
    { 'x-ad-account-usage': '"full"' },
  ])('is ignored where it makes no sense: %o', (headers) => {
    expect(readSignals(headers as unknown as Record<string, string> /* unions of literals */, NOW)).toEqual(
      [],
    )
  })
})

describe('an outbound limiter', () => {
  let server: RedisServer
  let ports: RedisPort[]
  let names = 0
  beforeAll(async () => {
    server = await startRedis()
    ports = [connectRedis(server.url), connectRedis(server.url)]
    await Promise.all(ports.map((port) => port.ready(5_000)))
  })
  afterAll(async () => {
    await Promise.all(ports.map((port) => port.close()))
    await server.stop()
  })
  const pair = (limits: string, more = {}) => {
    const name = `o${++names}`
    return ports.map((redis) => createOutbound({ redis, name, limits, deadline: 5_000, ...more })) as [
      ReturnType<typeof createOutbound>,
      ReturnType<typeof createOutbound>,
    ]
  }

  it('makes calls wait for their turn, in order, over two processes', async () => {
    const [first, second] = pair('1 per 20ms burst 2')
    const order: number[] = []
    const started = systemClock.mono()
    await Promise.all(
      Array.from({ length: 12 }, (_, index) => (index % 2 ? first : second).run(() => order.push(index))),
    )
    expect(systemClock.mono() - started).toBeGreaterThanOrEqual(10 * 20 - 5)
    expect(order.filter((index) => index % 2)).toEqual([1, 3, 5, 7, 9, 11])
    expect(order.filter((index) => !(index % 2))).toEqual([0, 2, 4, 6, 8, 10])
  })

  it('pauses every process for the business id that Meta names, 19 minutes, and no other [L30]', async () => {
    const [first, second] = pair('1000/hour')
    await first.observe({
      'x-business-use-case-usage': '{"42":[{"call_count":100,"estimated_time_to_regain_access":19}]}',
    })
    const error = await second.acquire({ id: '42', maxWait: 100 }).catch((cause) => cause)
    expect(error).toBeInstanceOf(LimitExceeded)
    expect(error.retryAfter).toBeGreaterThan(18.9 * 60_000)
    expect(error.retryAfter).toBeLessThanOrEqual(19 * 60_000)
    await second.acquire({ id: '43', maxWait: 100 })
    await second.acquire({ maxWait: 100 })
  })

  it('never ends a long pause by a shorter one', async () => {
    const [first, second] = pair('1000/hour')
    await first.observe({ 'retry-after': '600' })
    await second.observe({ 'retry-after': '1' })
    const error = await first.acquire({ maxWait: 1_500 }).catch((cause) => cause)
    expect(error.retryAfter).toBeGreaterThan(590_000)
  })

  it('believes the remote when it has less left than we thought', async () => {
    const [first, second] = pair('100/hour')
    await first.acquire()
    await second.observe({ ratelimit: '"hour";r=3;t=100' })
    for (let call = 0; call < 3; call++) await first.acquire({ maxWait: 0 })
    await expect(first.acquire({ maxWait: 0 })).rejects.toBeInstanceOf(LimitExceeded)
  })

  it('gives up at once where the turn would come too late, and when its signal aborts', async () => {
    const [first] = pair('1/hour')
    await first.acquire()
    const started = systemClock.mono()
    await expect(first.acquire({ maxWait: '10s' })).rejects.toBeInstanceOf(LimitExceeded)
    expect(systemClock.mono() - started).toBeLessThan(2_000)
    const [slow] = pair('1 per 5s burst 1')
    await slow.acquire()
    const stop = new AbortController()
    const waiting = [slow.acquire({ signal: stop.signal }), slow.acquire({ signal: stop.signal })]
    stop.abort(new Error('enough'))
    for (const one of waiting) await expect(one).rejects.toThrow('enough')
  })
})
