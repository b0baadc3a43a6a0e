import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createHttpCache, type HttpCache } from '../../src/http/engine.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { countCommands } from '../support/monitor.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { ok, Site } from './http-harness.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

interface Answer {
  readonly status: number
  readonly text: string
  readonly said: string
}

describe('two processes on one Redis', () => {
  let workers: [Worker, Worker]
  beforeAll(async () => {
    const env = { REDIS_URL: redis.url, NAMESPACE: freshNamespace() }
    const file = new URL('./http-worker.ts', import.meta.url)
    workers = await Promise.all([
      startWorker(file, { env, readyMs: 60_000 }),
      startWorker(file, { env, readyMs: 60_000 }),
    ])
  }, 90_000)
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
  })
  const ask = (i: 0 | 1, url: string, more: object = {}) =>
    workers[i].ask<Answer>({ op: 'ask', url, ...more }, 30_000)

  it('use each other’s responses [S0-13]', async () => {
    await ask(0, '/a', { text: 'from 0' })
    const other = await until('it is stored', async () => {
      const one = await ask(1, '/a', { text: 'from 1', headers: { 'cache-control': 'only-if-cached' } })
      return one.status === 200 ? one : undefined
    })
    expect(other).toMatchObject({ text: 'from 0', said: expect.stringContaining('hit; ttl=') })
  })

  it('ask the application once, however many ask at once [S0-12]', async () => {
    const before = await Promise.all(workers.map((worker) => worker.ask<number>({ op: 'calls' })))
    const asks = Array.from({ length: 40 }, (_, i) => ask((i % 2) as 0 | 1, '/rush', { ms: 300 }))
    const texts = (await Promise.all(asks)).map(({ text }) => text)
    expect(texts).toEqual(Array(40).fill('text'))
    const after = await Promise.all(workers.map((worker) => worker.ask<number>({ op: 'calls' })))
    expect(after[0]! + after[1]! - before[0]! - before[1]!).toBe(1)
  })

  it('forget together what one of them purges or changes [S3-3] [S0-18]', async () => {
    const answers = { 'cache-control': 'max-age=300', 'surrogate-key': 'products' }
    for (const purge of [
      () => workers[0].ask({ op: 'purge', url: 'https://shop.example/p' }),
      () => workers[0].ask({ op: 'purge', tag: 'products' }),
      () => ask(0, '/p', { method: 'PATCH' }),
    ]) {
      await ask(1, '/p', { text: 'old', answers })
      await until('both have it', async () => {
        const [a, b] = await Promise.all([ask(0, '/p', { answers }), ask(1, '/p', { answers })])
        return a.said.includes('hit') && b.said.includes('hit')
      })
      await purge()
      expect((await ask(1, '/p', { text: 'new', answers })).text).toBe('new')
      expect((await ask(0, '/p', { text: 'newer', answers })).text).toBe('new')
      await purge()
    }
  })

  it('never store what one read before the other changed it [S3-15]', async () => {
    const slow = ask(0, '/race', { text: 'old', ms: 400 })
    await until('it reads', async () => String(await redis.cli('KEYS', '*:l:*race*')) !== '')
    await ask(1, '/race', { method: 'PUT' })
    expect((await ask(1, '/race', { text: 'new' })).text).toBe('new')
    expect((await slow).text).toBe('old')
    for (const i of [0, 1] as const) expect((await ask(i, '/race', { text: 'late' })).text).toBe('new')
  })
})

describe('one process on Redis', () => {
  let live: LiveCache
  let http: HttpCache
  let site: Site
  beforeEach(async () => {
    live = await openCache(redis.url, { l1: false })
    site = new Site({ cache: live.cache })
    http = createHttpCache({ cache: live.cache })
  })
  afterEach(() => live.close())

  it('reads a hit in one round trip, its tags included, and a miss in three', async () => {
    const app = () => ok({ 'cache-control': 'max-age=60' })
    await site.ask('/warm', { app })
    await until('it is stored', async () => (await site.ask('/warm')).said.includes('hit'))
    const hit = await countCommands(redis, async () => {
      expect((await site.ask('/warm')).said).toContain('hit')
    })
    expect(hit.byName.MGET).toBe(1)
    expect(hit.byName.EVALSHA ?? 0).toBe(0)
    const fills: string[] = []
    const hear = (event: unknown) => fills.push((event as { fill: string }).fill)
    subscribe('holdfast:cache:load', hear)
    const miss = await countCommands(redis, async () => {
      await site.ask('/cold', { app })
      await until('it is stored', () => fills.includes('stored'))
    })
    unsubscribe('holdfast:cache:load', hear)
    expect(miss.byName.MGET).toBe(1)
    expect(miss.byName.EVALSHA).toBe(2)
  })

  it('keeps a variant, bytes and fields as they were', async () => {
    const bytes = Buffer.from(Array.from({ length: 2_000 }, (_, i) => i % 256))
    const app = () =>
      ok(
        { 'cache-control': 'max-age=60', vary: 'X-A', 'x-text': 'caf\u00e9', 'set-thing': ['a', 'b'] },
        bytes,
      )
    for (const a of ['1', '2']) await site.ask('/', { app, headers: { 'x-a': a } })
    const second = await until('it is stored', async () => {
      const one = await site.ask('/', { headers: { 'x-a': '2' } })
      return one.said.includes('hit') ? one : undefined
    })
    expect(Buffer.compare(second.reply.body as Buffer, bytes)).toBe(0)
    expect(second.get('x-text')).toBe('caf\u00e9')
    expect(second.fields.lines('set-thing')).toEqual(['a', 'b'])
    expect(site.calls).toBe(2)
  })

  it('is unreadable at rest where its route is sensitive [S0-19]', async () => {
    const keys = { keys: { a: Buffer.alloc(32, 1).toString('base64') } }
    const sealed = await openCache(redis.url, { l1: false, encryption: keys })
    const safe = new Site({ cache: sealed.cache })
    const route = { sensitive: true }
    const app = () => ok({ 'cache-control': 'max-age=60' }, 'phone 0901234567')
    await safe.ask('/customers', { app, route })
    await until('it is stored', async () => (await safe.ask('/customers', { route })).said.includes('hit'))
    expect((await safe.ask('/customers', { route })).text).toBe('phone 0901234567')
    const { redisKey } = await sealed.cache.inspect('http:http://shop.example/customers')
    expect(await redis.cli('GET', redisKey!)).not.toContain('0901234567')
    expect(await redis.cli('GET', redisKey!)).toContain('xe')
    await sealed.close()
    await expect(site.ask('/', { route })).rejects.toThrow(/encryption/)
  })

  it('takes what somebody else wrote under its key for a miss', async () => {
    for (const rubbish of ['text', { status: 200 }, null, 42]) {
      await live.cache.set('http:http://shop.example/x', rubbish)
      expect((await site.ask('/x')).text).toBe('body')
    }
  })

  it('answers from the application while Redis is away, and says that an invalidation was not confirmed', async () => {
    const lone = await startRedis()
    const other = await openCache(lone.url, { shipped: true })
    const away = new Site({ cache: other.cache })
    await away.ask('/a')
    await lone.stop()
    const asked = await away.ask('/b')
    expect(asked.text).toBe('body')
    const put = await away.ask('/a', { method: 'PUT', app: () => ({ status: 204, headers: {} }) })
    expect(put.status).toBe(204)
    expect(put.said).toContain('detail=invalidation-unconfirmed')
    expect(away.http.stats().unconfirmed).toBe(1)
    expect((await away.ask('/a', { app: () => ok({ 'cache-control': 'max-age=60' }, 'new') })).text).toBe(
      'new',
    )
    await other.close()
  })

  it('hands a closed cache’s requests to the application', async () => {
    const closing = await openCache(redis.url)
    const last = new Site({ cache: closing.cache })
    await closing.close()
    expect((await last.ask('/')).text).toBe('body')
    expect((await last.ask('/', { method: 'HEAD' })).status).toBe(200)
  })

  it('is one cache for all engines of one profile, and another for the other', async () => {
    await site.ask('/shared')
    await until('it is stored', async () => (await site.ask('/shared')).said.includes('hit'))
    const request = { method: 'GET', url: '/shared', headers: {}, host: 'shop.example' }
    expect((await http.explain(request)).outcome).toBe('hit')
    const rfc = createHttpCache({ cache: live.cache, profile: 'rfc' })
    expect((await rfc.explain(request)).outcome).toBe('miss')
    await rfc.purge('http://shop.example/shared')
    expect((await http.explain(request)).outcome).toBe('miss')
  })
})
