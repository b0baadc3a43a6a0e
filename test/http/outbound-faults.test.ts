import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LoadTimeout } from '../../src/base/errors.ts'
import { createCache } from '../../src/cache/create.ts'
import { holdfast } from '../../src/holdfast.ts'
import { outbound } from '../../src/http/outbound.ts'
import { type OutboundFailure, throttleOf } from '../../src/http/outbound-failure.ts'
import { createOutbound } from '../../src/limit/outbound.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import type { Handler, HttpOrigin } from '../support/http-origin.ts'
import { freshNamespace, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { echoOrigin, embedded, pair } from './outbound-harness.ts'

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

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }

const META_APP_LIMIT = {
  error: {
    message: 'Application request limit reached',
    type: 'OAuthException',
    code: 4,
    error_subcode: 1_504_022,
  },
}
const GOOGLE_ADS_LIMIT = [
  {
    error: {
      code: 429,
      status: 'RESOURCE_EXHAUSTED',
      details: [{ errors: [{ details: { quotaErrorDetails: { retryDelay: '30s' } } }] }],
    },
  },
]

/** What an upstream does instead of answering. */
const FAULTS: Record<string, { handler: Handler; kind: OutboundFailure['kind']; status?: number }> = {
  'an HTML page with 200': {
    handler: (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end('<html>Maintenance</html>')
    },
    kind: 'content',
    status: 200,
  },
  'JSON that ends too early': {
    handler: (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end('{"data":[1,2')
    },
    kind: 'content',
    status: 200,
  },
  'Meta’s code 4 with 403': { handler: json(403, META_APP_LIMIT), kind: 'throttled', status: 403 },
  'Meta’s code 80000 with 400': {
    handler: json(400, { error: { code: 80_000 } }),
    kind: 'throttled',
    status: 400,
  },
  'Google’s RESOURCE_EXHAUSTED': { handler: json(429, GOOGLE_ADS_LIMIT), kind: 'throttled', status: 429 },
  'a plain 429': { handler: json(429, {}, { 'retry-after': '30' }), kind: 'throttled', status: 429 },
  'a 500': { handler: json(500, {}), kind: 'status', status: 500 },
  'a 503 with HTML': {
    handler: (_, response) => {
      response.writeHead(503, { 'content-type': 'text/html' })
      response.end('<html>')
    },
    kind: 'status',
    status: 503,
  },
  'a reset before the answer': { handler: (_, response) => response.destroy(), kind: 'network' },
  'a reset in mid-body': {
    handler: (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('{"data":')
      setTimeout(() => response.socket?.resetAndDestroy(), 5)
    },
    kind: 'network',
  },
  silence: { handler: () => undefined, kind: 'timeout' },
  'silence in mid-body': {
    handler: (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"data":')
    },
    kind: 'timeout',
  },
}

describe.each(Object.entries(FAULTS))('an upstream that answers with %s', (_, { handler, kind, status }) => {
  // Where the clock is the machine's own, only what is late by design may be late.
  const hard = kind === 'timeout' ? 300 : '30s'
  const route = { ttl: '1m', stale: '1h', expect: 'json', timeout: { soft: false, hard } } as const

  it('is no error of ours while a stale answer is allowed, and nothing of it is stored [S2-6]', async () => {
    const clock = new FakeClock()
    const cache = createCache({ clock })
    const { call } = embedded(origin, route, { cache })
    const good = await (await call(`${origin.url}/x`)).json()
    await clock.advance(61_000)
    origin.answer(handler)
    const pending = call(`${origin.url}/x`)
    if (kind === 'timeout') {
      await until('it was asked', () => origin.calls() === 2)
      await clock.advance(1_000)
    }
    const response = await pending
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual(good)
    expect(response.headers.get('cache-status')).toMatch(
      kind === 'timeout'
        ? /stale/
        : new RegExp(`fwd=stale${status ? `; fwd-status=${status}` : ''}; ttl=-\\d+; detail=${kind}$`),
    )
    // Held off: for a second the upstream is left alone.
    await call(`${origin.url}/x`)
    expect(origin.calls()).toBe(2)
    await clock.advance(2_000)
    origin.answer(json(200, { mended: true }))
    expect(await (await call(`${origin.url}/x`)).json()).toEqual({ mended: true })
  })

  it('is told as it is where nothing else is at hand, and is not stored', async () => {
    origin.answer(handler)
    const { call } = embedded(origin, route)
    const heard: unknown[] = []
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const listen = (event: unknown) => heard.push(event)
    subscribe('holdfast:http:upstream-failure', listen)
    for (let i = 0; i < 2; i++) {
      const pending = call(`${origin.url}/x`)
      if (status === undefined) {
        const error: unknown = await pending.then(
          () => 'no error',
          (thrown: unknown) => thrown,
        )
        if (kind === 'timeout') expect(error).toBeInstanceOf(LoadTimeout)
        else expect(error).toBeInstanceOf(TypeError)
      } else {
        const response = await pending
        expect(response.status).toBe(status)
        expect((await response.text()).length).toBeGreaterThan(0)
        expect(response.headers.get('cache-status')).toContain(`detail=${kind}`)
      }
      await until('the load has ended and was told of', () => heard.length === i + 1)
    }
    unsubscribe('holdfast:http:upstream-failure', listen)
    expect(heard[0]).toEqual({ route: 'all', kind, status })
    expect(origin.calls()).toBe(2)
    expect(call.stats().all).toMatchObject({ failures: 2, upstreamFailures: 2, hits: 0 })
  })
})

describe('a failing upstream', () => {
  it('is asked in the background while stale answers are served at once', async () => {
    const clock = new FakeClock()
    const { call } = embedded(origin, { ttl: '1m', stale: '1h' }, { cache: createCache({ clock }) })
    const good = await (await call(`${origin.url}/x`)).text()
    await clock.advance(61_000)
    origin.answer(json(500, {}))
    for (let i = 0; i < 20; i++) expect(await (await call(`${origin.url}/x`)).text()).toBe(good)
    await until('it was asked', () => call.stats().all!.upstreamFailures === 1)
    expect(origin.calls()).toBe(2)
    // At the end of the stale time there is nothing left to stand in.
    await clock.advance(3_600_000)
    expect((await call(`${origin.url}/x`)).status).toBe(500)
  })

  it('is one that refuses the credential too, where the policy says so [S2-6]', async () => {
    const clock = new FakeClock()
    const route = { ttl: '1m', stale: '1h', timeout: { soft: false }, failures: [401, 403] } as const
    const { call } = embedded(origin, route, { cache: createCache({ clock }) })
    const good = await (await call(`${origin.url}/x`)).text()
    for (const status of [401, 403]) {
      await clock.advance(61_000)
      origin.answer(json(status, { message: 'no' }))
      const response = await call(`${origin.url}/x`)
      expect([response.status, await response.text()]).toEqual([200, good])
      expect((await call(`${origin.url}/other`)).status).toBe(status)
    }
    // Other client errors are the upstream's word on the data, and end what was kept.
    await clock.advance(61_000)
    origin.answer(json(404, {}))
    expect((await call(`${origin.url}/x`)).status).toBe(404)
    origin.answer(json(500, {}))
    expect((await call(`${origin.url}/x`)).status).toBe(500)
  })

  it('may be shown instead of a stale answer, by kind', async () => {
    const clock = new FakeClock()
    const seen: OutboundFailure[] = []
    const { call } = embedded(
      origin,
      {
        ttl: '1m',
        stale: '1h',
        timeout: { soft: false },
        backoff: 0,
        staleIfError: (failure) => {
          seen.push(failure)
          return failure.kind === 'throttled'
        },
      },
      { cache: createCache({ clock }) },
    )
    await call(`${origin.url}/x`)
    await clock.advance(61_000)
    origin.answer(json(429, {}))
    expect((await call(`${origin.url}/x`)).status).toBe(200)
    origin.answer(json(500, {}))
    expect((await call(`${origin.url}/x`)).status).toBe(500)
    expect(seen.map(({ kind, route, status }) => [kind, route, status])).toEqual([
      ['throttled', 'all', 429],
      ['status', 'all', 500],
    ])
  })

  it('fails many equal calls with one request', async () => {
    origin.answer((_, response) => {
      setTimeout(() => {
        response.statusCode = 500
        response.end('broken')
      }, 50)
    })
    const { call } = embedded(origin)
    const texts = await Promise.all(
      Array.from({ length: 20 }, async () => (await call(`${origin.url}/x`)).text()),
    )
    expect(texts).toEqual(Array(20).fill('broken'))
    expect(origin.calls()).toBe(1)
  })

  it('is passed on whole, however large its page is', async () => {
    origin.answer((_, response) => {
      response.statusCode = 500
      response.write('a'.repeat(3_000))
      setTimeout(() => response.end('b'.repeat(3_000)), 5)
    })
    const { call } = embedded(origin, { maxBodyBytes: 4_000 })
    const response = await call(`${origin.url}/x`)
    expect([response.status, (await response.text()).length]).toEqual([500, 6_000])
    expect(call.stats().all).toMatchObject({ upstreamFailures: 1, tooLarge: 1 })
  })

  it('keeps its Retry-After for who is told of it, and it is not replayed with a stored answer', async () => {
    origin.answer(json(429, {}, { 'retry-after': '7' }))
    const { call } = embedded(origin)
    expect((await call(`${origin.url}/x`)).headers.get('retry-after')).toBe('7')
    origin.answer(json(200, {}, { 'x-app-usage': '{"call_count":99}', 'x-other': '1' }))
    const stored = [await call(`${origin.url}/x`), await call(`${origin.url}/x`)][1]!
    expect([stored.headers.get('x-app-usage'), stored.headers.get('x-other')]).toEqual([null, '1'])
  })

  it('a connection that closes before the stated length is never an answer', async () => {
    let count = 0
    const server = createServer((socket: Socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n${count++ < 1 ? 'half' : 'halffull'}`)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const base = `http://127.0.0.1:${port}`
    const { call } = embedded(origin, { match: `GET ${base}/*` })
    await expect(call(`${base}/cut`)).rejects.toThrow(TypeError)
    expect(await (await call(`${base}/cut`)).text()).toBe('halffull')
    expect(await (await call(`${base}/cut`)).text()).toBe('halffull')
    expect(count).toBe(2)
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('a caller', () => {
  it('may go away: his signal ends his waiting, not the load of others', async () => {
    origin.answer((_, response) => setTimeout(() => response.end('slow'), 100))
    const { call } = embedded(origin)
    const controller = new AbortController()
    const first = call(`${origin.url}/x`, { signal: controller.signal })
    const second = call(`${origin.url}/x`)
    await until('it was asked', () => origin.calls() === 1)
    controller.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    expect(await (await second).text()).toBe('slow')
    expect(origin.calls()).toBe(1)
    await expect(call(`${origin.url}/y`, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/)
  })

  it('who was the only one takes the request along', async () => {
    let closed = 0
    origin.answer((_, response) => {
      response.on('close', () => closed++)
    })
    const { call } = embedded(origin)
    const controller = new AbortController()
    const only = call(`${origin.url}/x`, { signal: controller.signal })
    await until('it was asked', () => origin.calls() === 1)
    controller.abort()
    await expect(only).rejects.toThrow(/abort/)
    await until('the upstream noticed', () => closed === 1)
  })

  it('gets his answer though Redis hangs, and soon', async () => {
    const own = await startRedis()
    const { calls, close } = await pair(own.url, origin, {}, {}, { shipped: true, l1: false })
    await calls[0](`${origin.url}/warm`)
    own.pause()
    const began = performance.now()
    for (let i = 0; i < 20; i++) expect((await calls[0](`${origin.url}/hung/${i}`)).status).toBe(200)
    // Each call alone may wait for a deadline of 100 ms; after a few the breaker spares even that.
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(origin.calls()).toBe(21)
    own.resume()
    await until('answers are shared again', async () => {
      await calls[1](`${origin.url}/again`)
      return ((await calls[0](`${origin.url}/again`)).headers.get('cache-status') ?? '').includes('hit')
    })
    await close()
    await own.stop()
  })

  it('gets his answer though Redis is down, and though the instance was closed', async () => {
    const own = await startRedis()
    const { calls, lives } = await pair(
      own.url,
      origin,
      {},
      {},
      { deadlines: { read: 200, write: 200, invalidate: 300 } },
    )
    await calls[0](`${origin.url}/warm`)
    await own.kill()
    const texts = await Promise.all(
      Array.from({ length: 10 }, async () => (await calls[0](`${origin.url}/down`)).status),
    )
    expect(new Set(texts)).toEqual(new Set([200]))
    // One process, one load at a time.
    expect(origin.calls('/down')).toBeLessThan(10)
    expect(lives[0]!.cache.stats().errors).toBeGreaterThan(0)
    for (const live of lives) await live.close()
    expect((await calls[0](`${origin.url}/closed`)).status).toBe(200)
    expect(calls[0].stats().all?.bypassed).toBe(1)
    await own.stop()
  })
})

describe('a quota', () => {
  it('is shared by all processes: what one hears, the others heed, and stale answers stand in', async () => {
    const namespace = freshNamespace()
    const processes = await Promise.all(
      [0, 1].map(async () => {
        const live = await openCache(redis.url, { namespace })
        const limiter = createOutbound({
          redis: live.port,
          name: namespace,
          limits: '1000/minute',
          maxWait: 0,
          deadline: 5_000,
        })
        const call = outbound(fetch, {
          cache: live.cache,
          identity: 'shared',
          limiter,
          limiterId: ({ url }) => url.pathname.split('/')[1],
          routes: [
            { name: 'meta', match: `GET ${origin.url}/*`, ttl: 50, stale: '1h', timeout: { soft: false } },
          ],
        })
        return { live, limiter, call }
      }),
    )
    const [a, b] = processes as [(typeof processes)[0], (typeof processes)[0]]
    const first = await (await a.call(`${origin.url}/act_1/insights`)).text()
    origin.answer(json(403, META_APP_LIMIT))
    await until('it was stale, and the upstream throttled', async () => {
      expect(await (await a.call(`${origin.url}/act_1/insights`)).text()).toBe(first)
      return origin.calls() === 2
    })
    const before = origin.calls()
    // The other process does not even ask: it has heard, and serves what there is. (Whether 50 ms are
    // over the two may see a moment apart.)
    await until('the other would have asked', async () => {
      const answer = await b.call(`${origin.url}/act_1/insights`)
      expect(await answer.text()).toBe(first)
      return answer.headers.get('cache-status')?.includes('detail=quota')
    })
    expect(origin.calls()).toBe(before)
    // Without anything to stand in it is a refusal, typed.
    await expect(b.call(`${origin.url}/act_1/other`)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(origin.calls()).toBe(before)
    // Another account is another quota.
    origin.answer(json(200, { ok: true }))
    expect((await b.call(`${origin.url}/act_2/insights`)).status).toBe(200)
    for (const { live, limiter } of processes) {
      await limiter.close()
      await live.close()
    }
  })

  it('hits use up nothing of it, and misses wait for their turn', async () => {
    const hf = holdfast({})
    const limiter = hf.outbound('kv', '2 per 1h', { maxWait: 0 })
    const { call } = embedded(origin, {}, { cache: hf.cache, limiter })
    for (let i = 0; i < 10; i++) await call(`${origin.url}/a`)
    await call(`${origin.url}/b`)
    await expect(call(`${origin.url}/c`)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect((await call(`${origin.url}/a`)).status).toBe(200)
    expect(origin.calls()).toBe(2)
    await hf.close()
  })

  it.each([
    [403, META_APP_LIMIT, { pauseMs: undefined }],
    [400, { error: { code: 17, error_subcode: 2_446_079 } }, { pauseMs: undefined }],
    [400, { error: { code: 613 } }, { pauseMs: undefined }],
    [400, { error: { code: 80_004 } }, { pauseMs: undefined }],
    [429, GOOGLE_ADS_LIMIT, { pauseMs: 30_000 }],
    [
      429,
      { error: { status: 'RESOURCE_EXHAUSTED', details: [{ retryDelay: '1.5s' }, { retryDelay: '4s' }] } },
      { pauseMs: 4_000 },
    ],
    [429, 'no JSON', { pauseMs: undefined }],
    [400, { error: { code: 190, error_subcode: 460 } }, undefined],
    [400, { error: { code: 100 } }, undefined],
    [400, { error: null }, undefined],
    [403, 'Forbidden', undefined],
    [400, null, undefined],
    [200, META_APP_LIMIT, undefined],
    [500, META_APP_LIMIT, undefined],
  ])('is told apart from other errors: %s %o', (status, body, expected) => {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    expect(throttleOf(status, bytes)).toEqual(expected)
  })
})
