import { createHmac } from 'node:crypto'
import { Agent, fetch as undiciFetch } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { holdfast } from '../../src/holdfast.ts'
import { outbound } from '../../src/http/outbound.ts'
import { verifySignature } from '../../src/http/signature.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import type { HttpOrigin } from '../support/http-origin.ts'
import { countCommands } from '../support/monitor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer } from '../support/token-server.ts'
import { until } from '../support/until.ts'
import { startUpstream } from '../support/upstream.ts'
import { echoOrigin, embedded, pair, SECRET } from './outbound-harness.ts'

let redis: RedisServer
let origin: HttpOrigin
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())
beforeEach(async () => {
  origin = await echoOrigin()
})
afterEach(() => origin.stop())

const statusOf = (response: Response) => response.headers.get('cache-status') ?? ''

describe('equal calls', () => {
  it.each(['/products', '/invoices', '/customers'])(
    '100 of %s in two processes are one call of a slow upstream, and a hit takes none of its time [S0-12][S0-13][S0-14]',
    async (path) => {
      const api = await startUpstream({ delayMs: 300 })
      const base = api.url
      const { calls, close } = await pair(redis.url, origin, { match: `GET ${base}/*` })
      const atOnce = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => (await calls[i % 2]!(base + path)).json()),
      )
      const took: number[] = []
      const later: unknown[] = []
      for (let i = 0; i < 40; i++) {
        const began = performance.now()
        later.push(await (await calls[i % 2]!(base + path)).json())
        took.push(performance.now() - began)
      }
      expect([...atOnce, ...later]).toEqual(Array(100).fill({ path, version: 1 }))
      expect(api.calledFor(path)).toBe(1)
      expect(took.sort((a, b) => a - b)[20]).toBeLessThan(10)
      await close()
      await api.stop()
    },
  )

  it('queries by POST are kept by their body: searchStream, runReport [S4-1][S2-1]', async () => {
    const { calls, close } = await pair(redis.url, origin, {
      name: 'ads',
      match: `POST ${origin.url}/v1/customers/*/googleAds:searchStream`,
    })
    const ask = async (i: number, query: string) =>
      (
        await calls[i % 2]!(`${origin.url}/v1/customers/7/googleAds:searchStream`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query }),
        })
      ).json()
    const first = await ask(0, 'SELECT a')
    for (let i = 1; i < 5; i++) expect(await ask(i, 'SELECT a')).toEqual(first)
    expect(await ask(0, 'SELECT b')).toMatchObject({ body: '{"query":"SELECT b"}' })
    expect(origin.calls()).toBe(2)
    await close()
  })

  it('cost one look into Redis, or none with a copy in memory', async () => {
    const plain = await pair(redis.url, origin, { l1: false })
    const [a, b] = plain.calls
    await (await a(`${origin.url}/x`)).text()
    await until('it is stored', async () => statusOf(await b(`${origin.url}/x`)).includes('hit'))
    const seen = await countCommands(redis, () => b(`${origin.url}/x`))
    expect(seen.commands.filter(({ name }) => !name.startsWith('EVAL')).map(({ name }) => name)).toEqual([
      'MGET',
    ])
    expect(Object.keys(seen.inScripts).filter((name) => /scan|keys/i.test(name))).toEqual([])
    await plain.close()
  })
})

describe('an answer', () => {
  it('is a Response like the one it was: status, fields, bytes, clone, address', async () => {
    const bytes = Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 7) % 256))
    origin.answer((_, response) => {
      response.writeHead(200, 'Fine', {
        'content-type': 'image/png',
        etag: '"1"',
        'x-own': 'ü',
        'set-cookie': 'a=1',
      })
      response.end(bytes)
    })
    const { call } = embedded(origin)
    const url = `${origin.url}/image?token=1#part`
    for (let i = 0; i < 3; i++) {
      const response = await call(url)
      expect(response).toBeInstanceOf(Response)
      expect([response.status, response.statusText, response.ok]).toEqual([200, 'Fine', true])
      expect(response.url).toBe(`${origin.url}/image?token=1`)
      expect(response.headers.get('content-type')).toBe('image/png')
      expect(response.headers.get('etag')).toBe('"1"')
      expect(response.headers.get('set-cookie')).toBeNull()
      const copy = response.clone()
      expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes)
      expect(Buffer.from(await (await copy.blob()).arrayBuffer())).toEqual(bytes)
      expect(response.bodyUsed).toBe(true)
    }
    expect(origin.calls()).toBe(1)
  })

  it('is each caller’s own: who changes it changes nobody else’s', async () => {
    const { call } = embedded(origin)
    const first = await call(`${origin.url}/own`)
    first.headers.set('x-changed', '1')
    const bytes = new Uint8Array(await first.arrayBuffer())
    bytes.fill(0)
    const second = await call(`${origin.url}/own`)
    expect(second.headers.get('x-changed')).toBeNull()
    expect(await second.json()).toMatchObject({ path: '/own' })
  })

  it('without a body has none: 204, and HEAD', async () => {
    origin.answer((_, response) => {
      response.statusCode = 204
      response.end()
    })
    const { call } = embedded(origin, { match: `GET|HEAD ${origin.url}/*` })
    for (let i = 0; i < 2; i++) {
      const response = await call(`${origin.url}/none`)
      expect([response.status, response.body, await response.text()]).toEqual([204, null, ''])
      expect(await (await call(`${origin.url}/none`, { method: 'HEAD' })).text()).toBe('')
    }
    expect(origin.calls()).toBe(2)
  })

  it('says where it came from and how old it is', async () => {
    const clock = new FakeClock()
    const cache = createCache({ clock })
    const { call } = embedded(origin, { ttl: '60s', stale: '60s' }, { cache })
    const miss = await call(`${origin.url}/s`)
    expect(statusOf(miss)).toBe('holdfast; fwd=miss; fwd-status=200; stored; ttl=60')
    expect([miss.headers.get('age'), miss.headers.get('x-cache-age')]).toEqual(['0', '0'])
    await clock.advance(10_500)
    const hit = await call(`${origin.url}/s`)
    expect(statusOf(hit)).toBe('holdfast; hit; ttl=50')
    expect([hit.headers.get('age'), hit.headers.get('x-cache-age')]).toEqual(['10', '10'])
    await clock.advance(60_000)
    const stale = await call(`${origin.url}/s`)
    expect(statusOf(stale)).toMatch(/^holdfast; hit; ttl=-1\d; detail=stale$/)
    await until('it was reloaded', () => origin.calls() === 2)
    await until(
      'the new one is served',
      async () => ((await (await call(`${origin.url}/s`)).json()) as { n: number }).n === 2,
    )
    expect(call.stats().all).toMatchObject({ misses: 1, fetches: 2 })
  })

  it('that was compressed on the way is whole, through fetch of Node and of undici', async () => {
    const { gzipSync } = await import('node:zlib')
    origin.answer((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' })
      response.end(gzipSync('{"packed":true}'))
    })
    for (const send of [fetch, undiciFetch]) {
      const call = outbound(send, {
        cache: createCache(),
        identity: 'shared',
        routes: [{ match: `GET ${origin.url}/*`, ttl: '5m' }],
      })
      for (let i = 0; i < 2; i++) {
        const response = await call(`${origin.url}/gzip`)
        expect(response.headers.get('content-encoding')).toBeNull()
        expect(await response.json()).toEqual({ packed: true })
      }
    }
    expect(origin.calls()).toBe(2)
  })

  it('takes further words of init along, such as a dispatcher of undici', async () => {
    const dispatcher = new Agent()
    let seen = 0
    const call = outbound(
      (url, init) => {
        seen += 'dispatcher' in init && init.dispatcher === dispatcher ? 1 : 0
        return undiciFetch(url, init)
      },
      { cache: createCache(), identity: 'shared', routes: [{ match: `GET ${origin.url}/*`, ttl: '5m' }] },
    )
    await (await call(`${origin.url}/d`, { dispatcher } as object)).text()
    expect(seen).toBe(1)
    await dispatcher.close()
  })

  it('too large for the bound is passed on whole, to each caller, and not stored', async () => {
    origin.answer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write('a'.repeat(5_000))
      setTimeout(() => response.end('b'.repeat(5_000)), 5)
    })
    const { call } = embedded(origin, { maxBodyBytes: 8_000 })
    const texts = await Promise.all(
      Array.from({ length: 3 }, async () => (await call(`${origin.url}/l`)).text()),
    )
    expect(texts).toEqual(Array(3).fill('a'.repeat(5_000) + 'b'.repeat(5_000)))
    const alone = await call(`${origin.url}/l`)
    expect(statusOf(alone)).toContain('detail=too-large')
    expect((await alone.text()).length).toBe(10_000)
    expect(call.stats().all?.hits).toBe(0)
    expect(call.stats().all?.tooLarge).toBeGreaterThanOrEqual(2)
  })
})

describe('lives', () => {
  it('are those of the route’s class: minutes for what is static, seconds for what moves [S0-16][S0-17]', async () => {
    const live = await pair(redis.url, origin)
    const call = outbound(fetch, {
      cache: live.lives[0]!.cache,
      identity: 'shared',
      classes: { static: { ttl: '10m', jitter: 0.2 }, dynamic: { ttl: '30s' } },
      routes: [
        { name: 'products', match: `GET ${origin.url}/products`, class: 'static' },
        { name: 'invoices', match: `GET ${origin.url}/invoices`, class: 'dynamic' },
      ],
    })
    const pttl = async (path: string) => {
      await call(origin.url + path)
      const key = await call.keyOf(origin.url + path)
      const { redisKey } = await live.lives[0]!.cache.inspect(key!)
      return until('it is stored', async () => {
        const ms = Number(await redis.cli('PTTL', redisKey!))
        return ms > 0 && ms
      })
    }
    const products = await pttl('/products')
    expect(products).toBeGreaterThanOrEqual(300_000)
    expect(products).toBeLessThanOrEqual(600_000)
    expect(await pttl('/invoices')).toBeLessThanOrEqual(30_000)
    await live.close()
  })

  it('end: then the upstream is asked again [S2-3]', async () => {
    const clock = new FakeClock()
    const { call } = embedded(origin, { ttl: '5m' }, { cache: createCache({ clock }) })
    const n = async () => ((await (await call(`${origin.url}/ttl`)).json()) as { n: number }).n
    expect(await n()).toBe(1)
    await clock.advance(299_000)
    expect(await n()).toBe(1)
    await clock.advance(2_000)
    expect(await n()).toBe(2)
  })

  it('are renewed by a 304, without the body coming again', async () => {
    origin.answer((seen, response) => {
      response.setHeader('etag', '"v1"')
      if (seen.headers['if-none-match'] !== '"v1"') return response.end('body')
      response.writeHead(304, { 'x-news': '1' })
      return response.end()
    })
    const clock = new FakeClock()
    const { call } = embedded(
      origin,
      { ttl: '10s', stale: '1h', timeout: { soft: false } },
      { cache: createCache({ clock }) },
    )
    await call(`${origin.url}/e`)
    await clock.advance(11_000)
    const renewed = await call(`${origin.url}/e`)
    expect(statusOf(renewed)).toBe('holdfast; fwd=stale; fwd-status=304; stored; ttl=10')
    expect([renewed.status, await renewed.text(), renewed.headers.get('x-news')]).toEqual([200, 'body', '1'])
    await clock.advance(9_000)
    expect(statusOf(await call(`${origin.url}/e`))).toContain('hit')
    expect(origin.calls()).toBe(2)
  })

  it('of client errors are their own: 404 for a while, 401 never', async () => {
    let status = 404
    origin.answer((_, response) => {
      response.statusCode = status
      response.end('no')
    })
    const clock = new FakeClock()
    const { call, cache } = embedded(origin, { negative: '20s' }, { cache: createCache({ clock }) })
    const ask = async (path: string) => (await call(origin.url + path)).status
    for (let i = 0; i < 3; i++) expect(await ask('/gone')).toBe(404)
    expect(origin.calls()).toBe(1)
    await clock.advance(21_000)
    await ask('/gone')
    expect(origin.calls()).toBe(2)
    for (status of [401, 403, 400, 409]) {
      const before = origin.calls()
      for (let i = 0; i < 2; i++) expect(await ask(`/${status}`)).toBe(status)
      expect(origin.calls() - before).toBe(2)
    }
    expect(cache.stats().sets + call.stats().all!.hits).toBe(2)
  })

  it('of what is gone upstream end with its 404, though a stale answer was allowed', async () => {
    const clock = new FakeClock()
    const { call } = embedded(origin, { ttl: '10s', stale: '1h' }, { cache: createCache({ clock }) })
    await call(`${origin.url}/thing`)
    await clock.advance(11_000)
    origin.answer((_, response) => {
      response.statusCode = 404
      response.end()
    })
    expect((await call(`${origin.url}/thing`)).status).toBe(200)
    await until('the news arrived', async () => (await call(`${origin.url}/thing`)).status === 404)
  })
})

describe('invalidation', () => {
  it('by expireTag keeps answers to be shown, and says of them that they are stale [S2-4]', async () => {
    const route = { tags: ['all'], stale: '1h', timeout: { soft: false } } as const
    const { call, cache } = embedded(origin, route)
    await call(`${origin.url}/x`)
    expect(statusOf(await call(`${origin.url}/x`))).toMatch(/^holdfast; hit; ttl=\d+$/)
    await cache.expireTag('all')
    origin.answer((_, response) => void response.destroy())
    const failed = await call(`${origin.url}/x`)
    expect([failed.status, statusOf(failed)]).toEqual([200, 'holdfast; fwd=stale; ttl=0; detail=network'])
    const again = await call(`${origin.url}/x`)
    expect([again.status, statusOf(again)]).toEqual([200, 'holdfast; hit; ttl=0; detail=stale'])
    expect(call.stats().all).toMatchObject({ hits: 1, stale: 1, staleOnError: 1 })
  })

  it('a signed webhook drops the tag, and the next call reaches the upstream once [S0-18][S2-4]', async () => {
    const { calls, close, lives } = await pair(redis.url, origin, {
      tags: ({ url, headers }) => [`${url.pathname.split('/')[1]}:${headers.get('retailer') ?? ''}`],
    })
    const ask = async (i: number, retailer = 'one') =>
      ((await (await calls[i]!(`${origin.url}/products`, { headers: { retailer } })).json()) as { n: number })
        .n
    const n = await ask(0)
    const other = await ask(0, 'two')
    await until('both have it', async () => (await ask(1)) === n && (await ask(1, 'two')) === other)
    const webhook = async (body: string, signature: string | null) => {
      if (!verifySignature('hook secret', body, signature)) return 401
      const { Notifications } = JSON.parse(body) as { Notifications: { Action: string }[] }
      const tags = Notifications.filter(({ Action }) => Action.startsWith('product.')).map(
        () => 'products:one',
      )
      await lives[0]!.cache.invalidateTag(tags)
      return 200
    }
    const body = JSON.stringify({
      Id: '1',
      Attempt: 1,
      Notifications: [{ Action: 'product.update', Data: [{}] }],
    })
    const signature = createHmac('sha256', 'hook secret').update(body).digest('hex')
    expect(await webhook(body.replace('1', '2'), signature)).toBe(401)
    expect(await webhook(body, null)).toBe(401)
    expect(await ask(1)).toBe(n)
    expect(await webhook(body, `sha256=${signature}`)).toBe(200)
    const before = origin.calls()
    const fresh = await Promise.all([0, 1, 0, 1, 0].map((i) => ask(i)))
    expect(new Set(fresh).size).toBe(1)
    expect(fresh[0]).toBeGreaterThan(n)
    expect(origin.calls()).toBe(before + 1)
    expect(await ask(1, 'two')).toBe(other)
    await close()
  })

  it('tags may come from the answer', async () => {
    origin.answer((_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ shop: 7, n: origin.calls() }))
    })
    const { call, cache } = embedded(origin, {
      tags: ['all'],
      tagsFrom: (answer) => [`shop:${(answer.json() as { shop: number }).shop}`],
    })
    const n = async () => ((await (await call(`${origin.url}/x`)).json()) as { n: number }).n
    expect([await n(), await n()]).toEqual([1, 1])
    await cache.invalidateTag('shop:8')
    expect(await n()).toBe(1)
    await cache.invalidateTag('shop:7')
    expect(await n()).toBe(2)
    await cache.invalidateTag('all')
    expect(await n()).toBe(3)
  })

  it('an answer whose tags cannot be told is handed out and not kept', async () => {
    const { call } = embedded(origin, {
      tagsFrom: (answer) => [String((answer.json() as { no: { x: 1 } }).no.x)],
    })
    for (let i = 0; i < 2; i++) expect((await call(`${origin.url}/x`)).status).toBe(200)
    expect(origin.calls()).toBe(2)
  })

  it('a write of one’s own drops what it changes, once it has succeeded', async () => {
    let status = 500
    origin.answer((seen, response) => {
      response.statusCode = seen.method === 'GET' ? 200 : status
      response.end(String(origin.calls()))
    })
    const cache = createCache()
    const call = outbound(fetch, {
      cache,
      identity: 'shared',
      routes: [
        { name: 'read', match: `GET ${origin.url}/products*`, ttl: '5m', tags: ['products'] },
        { name: 'write', match: `PUT|POST|DELETE ${origin.url}/products*`, invalidates: ['products'] },
      ],
    })
    const read = async () => (await call(`${origin.url}/products/1`)).text()
    const first = await read()
    const put = () => call(`${origin.url}/products/1`, { method: 'PUT', body: '{}' })
    expect((await put()).status).toBe(500)
    expect(await read()).toBe(first)
    status = 200
    expect((await put()).status).toBe(200)
    expect(await read()).not.toBe(first)
  })

  it.each([
    ['hangs', 50, { code: 'LOAD_TIMEOUT' }],
    ['is cut off', 30_000, { name: 'TypeError' }],
  ])('a write that %s may have been done: what it would change is stale', async (how, hard, refusal) => {
    origin.answer((seen, response) => {
      if (seen.method === 'GET') response.end(String(origin.calls()))
      else if (how === 'is cut off') response.destroy()
    })
    const match = `${origin.url}/products*`
    const call = outbound(fetch, {
      cache: createCache(),
      identity: 'shared',
      routes: [
        { name: 'read', match: `GET ${match}`, ttl: '5m', stale: '5m', tags: ['products'] },
        { name: 'write', match: `PUT ${match}`, invalidates: ['products'], timeout: { hard } },
      ],
    })
    const read = async () => (await call(`${origin.url}/products/1`)).headers.get('cache-status')
    await read()
    expect(await read()).toMatch(/hit/)
    await expect(call(`${origin.url}/products/1`, { method: 'PUT', body: '{}' })).rejects.toMatchObject(
      refusal,
    )
    expect(await read()).toMatch(/stale/)
  })

  it('one key by name, and one answer by asking anew', async () => {
    const { call, cache } = embedded(origin)
    const n = async (init?: RequestInit) =>
      ((await (await call(`${origin.url}/k`, init)).json()) as { n: number }).n
    expect([await n(), await n()]).toEqual([1, 1])
    await cache.delete((await call.keyOf(`${origin.url}/k`))!)
    expect(await n()).toBe(2)
    expect(await n({ cache: 'no-cache' } as RequestInit)).toBe(3)
    expect(await n()).toBe(3)
    expect(await n({ headers: { 'cache-control': 'no-cache' } })).toBe(4)
    expect(await n({ cache: 'no-store' } as RequestInit)).toBe(5)
    expect(await n()).toBe(4)
  })
})

describe('what passes the cache by', () => {
  it.each([
    ['a stream as body', { method: 'POST', body: new Blob(['x']) }],
    ['a form', { method: 'POST', body: new FormData() }],
    ['a range', { headers: { range: 'bytes=0-1' } }],
    ['a condition', { headers: { 'if-none-match': '"x"' } }],
    ['manual redirects', { redirect: 'manual' as const }],
  ])('%s', async (_, init) => {
    const { call } = embedded(origin)
    for (let i = 0; i < 2; i++) expect((await call(`${origin.url}/x`, init)).status).toBe(200)
    expect(origin.calls()).toBe(2)
    expect(call.stats().all).toMatchObject({ requests: 2, bypassed: 2 })
  })

  it('a Request with a stream keeps its method, fields and body', async () => {
    const { call } = embedded(origin, { match: `GET ${origin.url}/other` })
    const request = new Request(`${origin.url}/x`, { method: 'POST', body: 'text', headers: { 'x-a': '1' } })
    expect(await (await call(request)).json()).toMatchObject({ method: 'POST', body: 'text' })
    expect(origin.requests[0]!.headers).toMatchObject({
      'x-a': '1',
      'content-type': 'text/plain;charset=UTF-8',
    })
  })
})

describe('a request that passes the cache by', () => {
  it('waits for the head of its answer no longer than timeout.hard, and for its body as long as it comes', async () => {
    origin.answer((seen, response) => {
      if (seen.path === '/never') return
      response.write('be')
      setTimeout(() => response.end('gin'), 200)
    })
    const { call } = embedded(origin, { timeout: { hard: '100ms' } })
    const init = { headers: { range: 'bytes=0-9' } }
    await expect(call(`${origin.url}/never`, init)).rejects.toMatchObject({ code: 'LOAD_TIMEOUT' })
    expect(await (await call(`${origin.url}/slow`, init)).text()).toBe('begin')
    expect(call.stats().all).toMatchObject({ requests: 2, failures: 1 })
  })
})

describe('a large request body', () => {
  it('passes by whole: as text, and in a Request', async () => {
    origin.answer((seen, response) => response.end(String(seen.body.length)))
    const { call } = embedded(origin)
    const body = 'x'.repeat(2 * 1024 * 1024)
    expect(await (await call(`${origin.url}/x`, { method: 'POST', body })).text()).toBe(String(body.length))
    const request = new Request(`${origin.url}/x`, { method: 'POST', body })
    expect(await (await call(request)).text()).toBe(String(body.length))
    expect(call.stats().all).toMatchObject({ bypassed: 2 })
  })

  it('is keyed and sent as it was when the call was made', async () => {
    origin.answer((seen, response) => response.end(seen.body))
    const { call } = embedded(origin)
    const bytes = new Uint8Array(Buffer.from('first'))
    const pending = call(`${origin.url}/x`, { method: 'POST', body: bytes })
    bytes.set(Buffer.from('other'))
    expect(await (await pending).text()).toBe('first')
    expect(await (await call(`${origin.url}/x`, { method: 'POST', body: bytes })).text()).toBe('other')
  })
})

describe('with the rest of Holdfast', () => {
  it('tokens: one grant and one call for many, renewed after a 401', async () => {
    const tokens = await startTokenServer()
    let valid: string | undefined
    origin.answer((seen, response) => {
      valid ??= seen.headers.authorization
      response.statusCode = seen.headers.authorization === valid ? 200 : 401
      response.end(`for ${seen.headers.authorization === valid}`)
    })
    const hf = holdfast({ redis: redis.url, namespace: 'outbound-tokens' })
    await hf.ready()
    const kiotviet = hf.tokens({ tokenUrl: tokens.tokenUrl, ...CLIENT })
    const call = outbound(kiotviet, {
      cache: hf.cache,
      identity: { id: CLIENT.clientId },
      routes: [{ name: 'kv', match: `GET ${origin.url}/*`, ttl: '5m' }],
    })
    const texts = await Promise.all(
      Array.from({ length: 20 }, async () => (await call(`${origin.url}/products`)).text()),
    )
    expect(new Set(texts)).toEqual(new Set(['for true']))
    expect(origin.calls()).toBe(1)
    valid = 'Bearer somebody else’s'
    origin.answer((seen, response) => {
      response.statusCode = origin.calls() === 2 ? 401 : 200
      response.end(seen.headers.authorization)
    })
    expect((await call(`${origin.url}/invoices`)).status).toBe(200)
    expect(origin.calls()).toBe(3)
    await hf.close()
    await tokens.stop()
  })

  it('sensitive answers are unreadable at rest, and their keys tell nothing [S0-19]', async () => {
    const secret = '0912345678'
    origin.answer((_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ data: [{ name: 'Lan', contactNumber: secret }] }))
    })
    const { calls, close, namespace } = await pair(
      redis.url,
      origin,
      { name: 'customers', sensitive: true },
      { identity: 'credential', secret: SECRET },
      { encryption: { keys: { k: Buffer.alloc(32, 9) } } },
    )
    const ask = async (i: number) =>
      (
        await calls[i]!(`${origin.url}/customers?contactNumber=${secret}`, {
          headers: { authorization: 'Bearer tok-header' },
        })
      ).text()
    expect(await ask(0)).toContain(secret)
    await until(
      'the other reads it',
      async () => (await ask(1)).includes(secret) && calls[1].stats().customers!.hits > 0,
    )
    expect(origin.calls()).toBe(1)
    const names = (await redis.cli('KEYS', `hf:{${namespace}*`)) as string[]
    expect(names.filter((name) => name.includes(':e:'))).toHaveLength(1)
    for (const name of names) {
      const type = await redis.cli('TYPE', name)
      const raw = type === 'string' ? await redis.cli('GET', name) : ''
      expect(`${name} ${String(raw)}`).not.toMatch(/0912345678|contactNumber|Lan|tok-header/)
    }
    await close()
  })

  it('counts hits and misses exactly [S2-5]', async () => {
    const { call, cache } = embedded(origin)
    for (let i = 0; i < 30; i++) await call(`${origin.url}/p/${i}`)
    for (let i = 0; i < 70; i++) await call(`${origin.url}/p/${i % 30}`)
    expect(call.stats().all).toMatchObject({ requests: 100, hits: 70, misses: 30, fetches: 30, failures: 0 })
    expect(cache.stats()).toMatchObject({ hits: { l1: 70 }, misses: 30, hitRate: 70 })
  })

  it('a day of dashboards costs a fifth of the calls, or less [S2-2]', async () => {
    const clock = new FakeClock()
    const { call } = embedded(origin, { ttl: '10m' }, { cache: createCache({ clock }) })
    let asked = 0
    for (let minute = 0; minute < 120; minute += 2) {
      for (let report = 0; report < 5; report++) {
        for (let person = 0; person < 3; person++) {
          asked++
          await (await call(`${origin.url}/insights?report=${report}`)).text()
        }
      }
      await clock.advance(2 * 60_000)
    }
    expect(origin.calls() / asked).toBeLessThanOrEqual(0.2)
  })
})

describe('a signature', () => {
  const right = createHmac('sha256', 's').update('body').digest('hex')
  it.each([
    [right, true],
    [`sha256=${right}`, true],
    [right.toUpperCase(), true],
    [` ${right} `, true],
    [right.slice(2), false],
    [`${right}00`, false],
    [right.replace(/^./, (c) => (c === '0' ? '1' : '0')), false],
    [`sha1=${right}`, false],
    ['', false],
    ['zz', false],
    [null, false],
    [undefined, false],
    [[right, right], false],
  ])('%s is right: %s', (signature, expected) => {
    expect(verifySignature('s', 'body', signature)).toBe(expected)
  })

  it('knows other encodings, and refuses an empty secret', () => {
    const base64 = createHmac('sha1', 's').update(Buffer.from('body')).digest('base64')
    expect(verifySignature('s', Buffer.from('body'), base64, { algorithm: 'sha1', encoding: 'base64' })).toBe(
      true,
    )
    expect(() => verifySignature('', 'body', right)).toThrow(/secret/)
    expect(() => verifySignature('s', 'body', right, { algorithm: 'md5' as 'sha1' })).toThrow(/algorithm/)
  })
})
