import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { createLimiter } from '../../src/limit/limiter.ts'
import type { LimiterSettings } from '../../src/limit/options.ts'
import type { Algorithm } from '../../src/limit/spec.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startCluster } from '../support/cluster.ts'
import { countCommands } from '../support/monitor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const ALGORITHMS: readonly Algorithm[] = ['sliding', 'gcra', 'fixed', 'log']
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

const make = (limits: LimiterSettings['limits'], more: Partial<LimiterSettings> = {}) =>
  createLimiter({ redis, name: `n${++names}`, limits, deadline: 5_000, denyCache: 0, report: false, ...more })
const keyOf = (subject: string) => `hf:app:rl:n${names}:{${subject}}`
const pttl = async (key: string) => Number(await server.cli('PTTL', key))
const dump = (key: string) => server.cli('DUMP', key)

describe('a limiter on Redis', () => {
  it('leaves the state as it is, byte by byte, when it refuses; life included [L2]', async () => {
    for (const algorithm of ALGORITHMS) {
      const limiter = make(['3/minute', '1000/hour'], { algorithm })
      expect((await limiter.consume('a', { cost: 2 })).allowed).toBe(true)
      const before = await dump(keyOf('a'))
      const life = await pttl(keyOf('a'))
      for (const cost of [2, 3, 4, 1e12]) expect((await limiter.consume('a', { cost })).allowed).toBe(false)
      await limiter.peek('a')
      expect(await dump(keyOf('a'))).toEqual(before)
      expect(await pttl(keyOf('a'))).toBeLessThanOrEqual(life)
      expect((await limiter.consume('b', { cost: 4 })).allowed).toBe(false)
      expect(await server.cli('EXISTS', keyOf('b'))).toBe(0)
    }
  })

  it('gives every key a life no longer than its window [L5, S0-11]', async () => {
    for (const algorithm of ALGORITHMS) {
      for (const [windowMs, word] of [
        [500, '500ms'],
        [1_900, '1.9s'],
        [60_000, 'minute'],
      ] as const) {
        const limiter = make(`5 per ${word}`, { algorithm })
        for (let call = 0; call < 3; call++) await limiter.consume('a')
        const life = await pttl(keyOf('a'))
        expect(life).toBeGreaterThan(0)
        expect(life).toBeLessThanOrEqual(windowMs)
        await limiter.refund('a')
        expect(await pttl(keyOf('a'))).toBeLessThanOrEqual(windowMs)
      }
    }
  })

  it('leaves nothing without a life, whatever it was asked to do [L5, S0-11]', async () => {
    const own = await startRedis()
    const hf = holdfast({ redis: own.url, namespace: 'ttl' })
    await hf.ready()
    const limiter = hf.limiter('all', ['3/s', '5/minute burst 9'], { deadline: 5_000 })
    const permits = hf.concurrency('jobs', 2, { deadline: 5_000 })
    await limiter.consume('a', { cost: 3 })
    await limiter.consume('a')
    await limiter.block('b', '5s')
    await limiter.block('c', '5s')
    await limiter.block('c', 0)
    await limiter.penalty('d', { cost: 1e12 })
    await limiter.refund('e')
    await limiter.consume('a', { limits: '50/day' })
    await permits.tryAcquire('a')
    await limiter.report()
    const keys = (await own.cli('KEYS', 'hf:ttl:rl:*')) as string[]
    expect(keys.length).toBeGreaterThanOrEqual(5)
    for (const key of keys) expect(Number(await own.cli('PTTL', key)), key).toBeGreaterThan(0)
    await hf.close()
    await own.stop()
  })

  it('gives a life to a key that somebody took it from, on the next call, refused or not [L8]', async () => {
    for (const algorithm of ALGORITHMS) {
      const limiter = make('2/minute', { algorithm })
      for (const allowed of [true, true, false]) {
        if ((await server.cli('EXISTS', keyOf('a'))) === 1) {
          await server.cli('PERSIST', keyOf('a'))
          expect(await pttl(keyOf('a'))).toBe(-1)
        }
        expect((await limiter.consume('a')).allowed).toBe(allowed)
        expect(await pttl(keyOf('a'))).toBeGreaterThan(0)
        expect(await pttl(keyOf('a'))).toBeLessThanOrEqual(60_000)
      }
    }
  })

  it('takes a key that holds something else as empty', async () => {
    for (const junk of [
      ['SET', 'x'],
      ['SET', ''],
      ['SET', 's60000;'],
      ['SET', `s60000;${'\0'.repeat(55)}`],
      ['LPUSH', 'x'],
    ]) {
      const limiter = make('2/minute')
      await server.cli(junk[0]!, keyOf('a'), junk[1]!)
      expect((await limiter.consume('a')).remaining).toBe(1)
    }
  })

  it('sends all checks of one tick, of every limiter, as one command [S0-9]', async () => {
    const first = make(['10/s burst 20', '1000/hour'])
    const second = make({ user: '20/minute', ip: '100/minute' })
    await Promise.all([first.consume('warm'), second.consume({ user: 'warm' })])
    const { byName, result } = await countCommands(server, async () => {
      const calls = []
      for (let index = 0; index < 50; index++) {
        calls.push(first.consume(`u${index % 7}`), second.consume({ user: index, ip: '192.0.2.1' }))
      }
      return Promise.all(calls)
    })
    expect(byName).toEqual({ EVALSHA: 1 })
    expect(result.every((decision) => decision.allowed)).toBe(true)
    expect(result.at(-1)?.limits.map((one) => one.remaining)).toEqual([19, 50])
  })

  it('asks twice only where somebody else counted in a state, and never charges twice for it', async () => {
    const [plain, mixed] = [make('100/minute'), make('100/minute')]
    for (const limiter of [plain, mixed]) await limiter.consume('warm')
    const count = (limiter: typeof plain) =>
      countCommands(server, () => Promise.all(['a', 'b', 'c'].map((user) => limiter.consume(user))))
    expect((await count(plain)).byName).toEqual({ EVALSHA: 1 })
    await mixed.consume('b', { limits: ['100/minute', '5000/hour'] })
    const first = await count(mixed)
    expect(first.byName).toEqual({ EVALSHA: 2 })
    expect(first.result.map((decision) => decision.remaining)).toEqual([99, 98, 99])
    // From then on these limits are asked for by the script that can judge such states.
    const second = await count(mixed)
    expect(second.byName).toEqual({ EVALSHA: 1 })
    expect(second.result.map((decision) => decision.remaining)).toEqual([98, 97, 98])
  })

  it('turns a flood away from memory once it was refused, and asks again when that may pass [L11]', async () => {
    const limiter = make('3 per 400ms', { denyCache: 100 })
    await until('the messages of others are heard', () => redis.nodes().every((node) => node.bus.isOpen))
    await limiter.consume('a', { cost: 3 })
    await limiter.consume('a')
    const { byName, result } = await countCommands(server, async () => {
      const calls = []
      for (let call = 0; call < 500; call++) calls.push(await limiter.consume('a'))
      return calls
    })
    expect(result.every((decision) => !decision.allowed && decision.cached)).toBe(true)
    expect(byName).toEqual({})
    await until('it is asked again', async () => (await limiter.consume('a')).allowed)
  })

  it('decides by the clock of the server: two processes an hour apart agree [L9]', async () => {
    const { clock } = redis
    const off = (ms: number) => ({ ...clock, wall: () => clock.wall() + ms, mono: () => clock.mono() + ms })
    const ports = [off(3_600_000), off(-3_600_000)].map((skewed) =>
      connectRedis(server.url, { clock: skewed }),
    )
    await Promise.all(ports.map((port) => port.ready(5_000)))
    for (const algorithm of ALGORITHMS) {
      const settings = {
        name: `skew-${algorithm}`,
        limits: '4/minute',
        algorithm,
        deadline: 5_000,
        denyCache: 0,
      }
      const [early, late] = ports.map((port) => createLimiter({ ...settings, redis: port }))
      const remaining = []
      for (let call = 0; call < 3; call++) {
        const decision = await (call % 2 ? early! : late!).consume('a')
        remaining.push(decision.remaining)
        expect(decision.degraded).toBe(false)
      }
      expect(remaining).toEqual([3, 2, 1])
      const [a, b] = [await early!.peek('a'), await late!.peek('a')]
      expect(Math.abs(a.resetAfter - b.resetAfter)).toBeLessThan(2_000)
    }
    await Promise.all(ports.map((port) => port.close()))
  })

  it('survives flushed scripts: no error, no second charge [L14]', async () => {
    const limiter = make('1000/hour')
    for (let call = 1; call <= 20; call++) {
      await server.cli('SCRIPT', 'FLUSH')
      expect(await limiter.consume('a')).toMatchObject({
        allowed: true,
        degraded: false,
        remaining: 1_000 - call,
      })
    }
  })

  it('counts whole units without drift at any rate', async () => {
    for (const [limits, cost] of [
      ['3/s burst 7', 1],
      ['1000000000000/s', 1e11],
      ['7 per 13ms burst 9', 1],
      ['999999937/day', 1e8],
    ] as const) {
      const limiter = make(limits, { algorithm: 'gcra' })
      const { remaining, limits: states } = await limiter.consume('a', { cost })
      const capacity = remaining + cost
      expect(capacity).toBe(
        states[0]!.name.includes('burst')
          ? Number(/burst (\d+)/.exec(states[0]!.name)![1])
          : states[0]!.limit,
      )
    }
  })

  it('aligns fixed windows to the calendar in UTC, or shifted', async () => {
    const day = 86_400_000
    const at = (offset?: string) =>
      make({
        limit: 5,
        window: '1d',
        algorithm: 'fixed',
        align: 'calendar',
        ...(offset ? { offset: offset as '7h' } : {}),
      })
    const utc = await at().consume('a')
    const now = utc.at / 1_000
    expect(Math.abs(utc.resetAfter - (day - (now % day)))).toBeLessThan(5)
    const shifted = await at('17h').consume('a')
    const shiftedNow = shifted.at / 1_000 - 17 * 3_600_000
    expect(Math.abs(shifted.resetAfter - (day - (shiftedNow % day)))).toBeLessThan(5)
    const week = await make({ limit: 5, window: '7d', algorithm: 'fixed', align: 'calendar' }).consume('a')
    expect(new Date(week.at / 1_000 + week.resetAfter + 1_000).getUTCDay()).toBe(1)
  })

  it('writes figures beside the request path, once a second at most', async () => {
    const limiter = make('5/minute', { report: true })
    const { byName } = await countCommands(server, async () => {
      for (let call = 0; call < 20; call++) await limiter.consume({ user: call % 3 })
    })
    expect(byName.EVALSHA ?? 0).toBeLessThanOrEqual(21)
    const other = createLimiter({ redis, name: limiter.name, limits: '5/minute', deadline: 5_000 })
    await limiter.close()
    expect(await other.report()).toMatchObject({ allowed: 15, denied: 5 })
  })
})

describe('limits of an instance', () => {
  it('live on the role that does not evict, and count once per name [B11]', async () => {
    const [cache, data] = [await startRedis(), await startRedis()]
    const hf = holdfast({ redis: { cache: cache.url, data: data.url }, namespace: 'roles' })
    await hf.ready()
    const limiter = hf.limiter('chat', '2/minute', { deadline: 5_000 })
    expect(hf.limiter('chat', '2/minute', { deadline: 5_000 })).toBe(limiter)
    expect(() => hf.limiter('chat', '3/minute')).toThrow(/its own name/)
    expect(await limiter.consume({ user: 1 })).toMatchObject({ remaining: 1, degraded: false })
    expect(await data.cli('EXISTS', 'hf:roles:rl:chat:{user:1}')).toBe(1)
    expect(await cache.cli('EXISTS', 'hf:roles:rl:chat:{user:1}')).toBe(0)
    await hf.close()
    expect(() => hf.limiter('late', '1/s')).toThrow(/CLOSED/)
    await Promise.all([cache.stop(), data.stop()])
  })
})

describe('a limiter in a cluster', () => {
  it('decides subjects of one slot atomically, and says so where it cannot', async () => {
    const cluster = await startCluster()
    const port = connectRedis({ cluster: cluster.urls })
    await port.ready(10_000)
    const limits = { workspace: '100/minute', user: '2/minute' }
    const settings = { redis: port, limits, deadline: 5_000, denyCache: 0 }
    const apart = createLimiter({ ...settings, name: 'apart' })
    const together = createLimiter({ ...settings, name: 'together', colocate: 'workspace' })
    for (const limiter of [apart, together]) {
      const calls = []
      for (let call = 0; call < 5; call++) calls.push(await limiter.consume({ workspace: 'w', user: 'u' }))
      expect(calls.map((call) => call.allowed)).toEqual([true, true, false, false, false])
      expect(calls.every((call) => call.atomic === (limiter === together))).toBe(true)
      expect((await limiter.peek({ workspace: 'w' })).remaining).toBe(98)
    }
    await expect(together.consume({ user: 'u' })).rejects.toThrow(/colocate/)
    await port.close()
    await cluster.stop()
  })
})
