import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../src/holdfast.ts'
import type { HoldfastOptions } from '../src/options.ts'
import { freePort } from './support/free-port.ts'
import { type RedisServer, startRedis, stopAllRedis } from './support/redis-server.ts'

let server: RedisServer
const made: Holdfast[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  await Promise.all(made.splice(0).map((hf) => hf.close()))
})
afterAll(stopAllRedis)

function make(options?: HoldfastOptions): Holdfast {
  const hf = holdfast(options)
  made.push(hf)
  return hf
}

describe('holdfast()', () => {
  it('runs in process memory when no Redis is named [S0-1][S0-31]', async () => {
    const hf = make()
    await hf.ready()
    expect(await hf.cache.getOrSet('a', () => 1)).toBe(1)
    expect(await hf.cache.getOrSet('a', () => 2)).toBe(1)
    expect(hf.redis).toBeUndefined()
    expect(hf.health()).toMatchObject({
      status: 'ok',
      driver: 'embedded',
      roles: {},
      cache: { enabled: true, misses: 1 },
    })
  })

  it('shares values between instances on one Redis, from a URL or from a client [S0-5]', async () => {
    const client = createClient({ url: server.url })
    const one = make({ redis: server.url, namespace: 'share' })
    const two = make({ redis: client, namespace: 'share' })
    await Promise.all([one.ready(), two.ready()])
    expect(await one.cache.getOrSet('a', () => 'one')).toBe('one')
    expect(await two.cache.getOrSet('a', () => 'two')).toBe('one')
    await two.cache.delete('a')
    expect(await one.cache.getOrSet('a', () => 'three')).toBe('three')
    expect(client.isOpen).toBe(false)
    expect(one.health()).toMatchObject({ status: 'ok', driver: 'redis', roles: { cache: { status: 'ok' } } })
  })

  it('opens one set of connections for a thousand parallel first calls [S0-29][B1]', async () => {
    const hf = make({ redis: { cache: server.url, data: server.url }, namespace: 'first' })
    const answers = Array.from({ length: 1_000 }, (_, i) => hf.cache.getOrSet(`k${i % 10}`, () => i % 10))
    expect(await Promise.all(answers)).toHaveLength(1_000)
    await hf.ready()
    expect(await connections()).toBe(2)
    await hf.close()
    await expect.poll(connections).toBe(0)
  })

  it('answers without Redis, says degraded, and uses Redis once it is there [S0-27][S1-20]', async () => {
    const port = await freePort()
    const hf = make({ redis: `redis://127.0.0.1:${port}`, namespace: 'late' })
    expect(await hf.cache.getOrSet('a', () => 1)).toBe(1)
    const before = hf.health()
    expect(before).toMatchObject({
      status: 'degraded',
      driver: 'redis',
      roles: { cache: { status: 'degraded' } },
    })
    await expect(hf.ready(50)).rejects.toThrow()
    const late = await startRedis({ port })
    await hf.ready()
    await expect.poll(() => hf.health().status).toBe('ok')
    expect(Date.parse(hf.health().since)).toBeGreaterThan(Date.parse(before.since))
    await hf.cache.getOrSet('b', () => 1)
    await expect.poll(() => late.cli('EXISTS', 'hf:{late:0}:e:b')).toBe(1)
  })

  it('never shows the password in health', async () => {
    const locked = await startRedis({ password: 'hidden' })
    const hf = make({ redis: locked.url })
    await hf.ready()
    expect(JSON.stringify([hf.health(), hf.redis?.health()])).not.toContain('hidden')
  })

  it.each([
    [{ rediss: 'redis://a' }, /did you mean 'redis'/],
    [{ cache: { default: {} } }, /did you mean 'defaults'/],
    [{ cache: { defaults: { tll: '5m' } } }, /did you mean 'ttl'/],
    [{ cache: { namespaces: { users: { tll: '5m' } } } }, /did you mean 'ttl'/],
    [{ deadlines: { raed: 5 } }, /did you mean 'read'/],
    [{ deadlines: { read: 'soon' } }, /deadlines\.read/],
    [{ redis: { cache: 'redis://a' } }, /one role only/],
    [{ redis: { hots: 'a' } }, /did you mean 'host'/],
    [{ redis: 'http://a' }, /not a Redis URL/],
  ])('refuses %o', (options, message) => {
    expect(() => make(options as HoldfastOptions)).toThrow(message)
  })

  it('takes options for all entries and for one namespace', async () => {
    const hf = make({
      redis: server.url,
      namespace: 'lives',
      cache: { defaults: { ttl: '7s' }, namespaces: { dataset_list: { ttl: '60s' } } },
    })
    await hf.ready()
    await hf.cache.getOrSet('a', () => 1)
    await hf.cache.namespace('dataset_list').getOrSet('a', () => 1)
    const keys = (await server.cli('KEYS', 'hf:{lives:0}:e:*')) as string[]
    const lives = await Promise.all(keys.sort().map((key) => server.cli('PTTL', key)))
    expect(lives.map((ms) => Math.ceil(Number(ms) / 1_000)).sort((a, b) => a - b)).toEqual([7, 60])
  })

  it.each(['embedded', 'redis'])('stores nothing with cache.enabled false, on %s [S4-9]', async (driver) => {
    const hf = make({
      namespace: 'off',
      cache: { enabled: false },
      ...(driver === 'redis' ? { redis: server.url } : {}),
    })
    let calls = 0
    for (let i = 1; i <= 3; i++) expect(await hf.cache.getOrSet('a', () => ++calls)).toBe(i)
    await hf.cache.set('b', 1)
    expect(await hf.cache.get('b')).toBeUndefined()
    expect(await hf.cache.mutate({ keys: ['a'] }, () => 'done')).toBe('done')
    expect(hf.health().cache.enabled).toBe(false)
    expect(await server.cli('KEYS', 'hf:{off:*')).toEqual([])
  })

  it('closes once, refuses calls afterwards, and can be used with await using', async () => {
    const hf = make({ redis: server.url, namespace: 'close' })
    await hf.ready()
    await Promise.all([hf.close(), hf.close()])
    expect(hf.health().status).toBe('down')
    await expect(hf.cache.getOrSet('a', () => 1)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(hf[Symbol.asyncDispose]()).toBeInstanceOf(Promise)
  })
})

async function connections(): Promise<number> {
  const list = String(await server.cli('CLIENT', 'LIST'))
  return list.split('\n').filter((line) => line && !line.includes('cmd=client')).length
}
