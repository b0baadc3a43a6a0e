import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { outbound } from '../../src/http/outbound.ts'
import { compileMatch } from '../../src/http/outbound-match.ts'
import type { OutboundOptions } from '../../src/http/outbound-options.ts'
import type { HttpOrigin } from '../support/http-origin.ts'
import { echoOrigin, embedded, SECRET } from './outbound-harness.ts'

let origin: HttpOrigin
beforeEach(async () => {
  origin = await echoOrigin()
})
afterEach(() => origin.stop())

describe('the key of a request', () => {
  it('is one for equal parameters in any order, and another for another tenant [S0-15][B17]', async () => {
    const { call } = embedded(origin, { name: 'kiotviet:products' }, { prefix: 'api_cache' })
    const ask = (query: string, retailer: string) =>
      call(`${origin.url}/products?${query}`, { headers: { Retailer: retailer } })
    const first = await (await ask('a=1&b=2', 'one')).json()
    expect(await (await ask('b=2&a=1', 'one')).json()).toEqual(first)
    expect(origin.calls()).toBe(1)
    expect(await (await ask('a=1&b=2', 'two')).json()).not.toEqual(first)
    expect(origin.calls()).toBe(2)
    expect(await call.keyOf(`${origin.url}/products?b=2&a=1`, { headers: { retailer: 'one' } })).toMatch(
      /^api_cache:kiotviet:products:[\w-]{43}$/,
    )
  })

  it.each([
    ['another path', ['/a', '/b']],
    ['another value', ['/a?x=1', '/a?x=2']],
    ['another name', ['/a?x=1', '/a?y=1']],
    ['a parameter more', ['/a?x=1', '/a?x=1&y=']],
    ['equal names in another order', ['/a?x=1&x=2', '/a?x=2&x=1']],
    ['a value that looks like two', ['/a?x=1%26y=2', '/a?x=1&y=2']],
    ['a path that looks like a query', ['/a%3Fx=1', '/a?x=1']],
    ['another case', ['/a?x=A', '/a?x=a']],
  ])('differs for %s', async (_, paths) => {
    const { call } = embedded(origin)
    const keys = await Promise.all(paths.map((path) => call.keyOf(origin.url + path)))
    expect(new Set(keys).size).toBe(2)
    for (const path of paths) await call(origin.url + path)
    expect(origin.calls()).toBe(2)
  })

  it('is one for parameters in any order of their names, and only then', async () => {
    const { call } = embedded(origin)
    const name = fc.constantFrom('a', 'b', 'a%20b', 'a+b', 'é', 'A', '')
    const value = fc.constantFrom('', '1', '2', '%26', '=', 'a=1')
    const pairs = fc.array(fc.tuple(name, value), { maxLength: 6 })
    const key = (list: [string, string][]) =>
      call.keyOf(`${origin.url}/p?${list.map(([n, v]) => `${n}=${v}`).join('&')}`)
    /** What a server sees that takes parameters by name: the values of each, in their order. */
    const seen = (list: [string, string][]) => {
      const byName = new Map<string, string[]>()
      for (const [n, v] of list) byName.set(n, [...(byName.get(n) ?? []), v])
      return JSON.stringify([...byName].sort(([a], [b]) => (a < b ? -1 : 1)))
    }
    await fc.assert(
      fc.asyncProperty(pairs, pairs, fc.infiniteStream(fc.nat()), async (one, other, dice) => {
        const mixed = one.map((pair) => ({ pair, at: Number(dice.next().value) }))
        const shuffled = mixed.sort((a, b) => a.at - b.at).map(({ pair }) => pair)
        // A server may tell names apart that decode to one: their order among each other is kept.
        const decoded = (n: string) => decodeURIComponent(n.replaceAll('+', ' '))
        const keepsOrder = (n: string) =>
          one.filter((p) => decoded(p[0]) === decoded(n)).join() ===
          shuffled.filter((p) => decoded(p[0]) === decoded(n)).join()
        if (one.every(([n]) => keepsOrder(n))) expect(await key(shuffled)).toBe(await key(one))
        if (seen(one) !== seen(other)) expect(await key(one)).not.toBe(await key(other))
      }),
      { numRuns: 300 },
    )
  })

  it('differs by method and by the bytes of the body, and is the same for every form of one body', async () => {
    const { call } = embedded(origin)
    const post = (body: string | Uint8Array<ArrayBuffer> | ArrayBuffer, more: RequestInit = {}) =>
      call.keyOf(`${origin.url}/runReport`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        ...more,
      })
    const text = '{"metrics":["clicks"]}'
    const same = [
      await post(text),
      await post(new Uint8Array(Buffer.from(text))),
      await post(new TextEncoder().encode(text)),
      await post(new TextEncoder().encode(text).buffer as ArrayBuffer),
      await call.keyOf(
        new Request(`${origin.url}/runReport`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: text,
        }),
      ),
    ]
    expect(new Set(same).size).toBe(1)
    const others = [
      await post('{"metrics":["spend"]}'),
      await post(''),
      await call.keyOf(`${origin.url}/runReport`),
    ]
    expect(new Set([same[0], ...others]).size).toBe(4)
  })

  it('counts the fields that were set, and not those about the way', async () => {
    const { call } = embedded(origin, { ignoreHeaders: ['X-Trace'] })
    const key = (headers: Record<string, string>) => call.keyOf(`${origin.url}/a`, { headers })
    const plain = await key({})
    for (const name of ['traceparent', 'user-agent', 'x-request-id', 'X-TRACE']) {
      expect(await key({ [name]: 'x' })).toBe(plain)
    }
    for (const name of ['retailer', 'accept-language', 'x-tenant', 'developer-token', 'login-customer-id']) {
      expect(await key({ [name]: 'x' })).not.toBe(plain)
    }
  })

  it('leaves parameters out, or counts only some', async () => {
    const drop = embedded(origin, { params: { drop: ['_'] } }).call
    expect(await drop.keyOf(`${origin.url}/a?x=1&_=123`)).toBe(await drop.keyOf(`${origin.url}/a?x=1`))
    const keep = embedded(origin, { params: { keep: ['x'] } }).call
    expect(await keep.keyOf(`${origin.url}/a?x=1&y=2`)).toBe(await keep.keyOf(`${origin.url}/a?x=1`))
    expect(await keep.keyOf(`${origin.url}/a?x=2`)).not.toBe(await keep.keyOf(`${origin.url}/a?x=1`))
  })
})

describe('whose an answer is', () => {
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

  it('an answer to one credential never reaches another, nor somebody without one [B17]', async () => {
    origin.answer((seen, response) =>
      response.end(`for ${seen.headers.authorization ?? seen.headers.cookie}`),
    )
    const { call } = embedded(origin, {}, { identity: 'credential', secret: SECRET })
    const url = `${origin.url}/me`
    for (let round = 0; round < 3; round++) {
      for (const token of ['ada', 'bob']) {
        expect(await (await call(url, bearer(token))).text()).toBe(`for Bearer ${token}`)
      }
      expect(await (await call(url, { headers: { cookie: 'sid=1' } })).text()).toBe('for sid=1')
      expect(await (await call(url)).text()).toBe('for undefined')
    }
    // Each credential once; without any it is not cached at all.
    expect(origin.calls()).toBe(3 + 3)
    expect(call.stats().all).toMatchObject({ hits: 6, misses: 3, bypassed: 3 })
  })

  it('a credential in a parameter counts as one', async () => {
    const { call } = embedded(origin, {}, { identity: 'credential', secret: SECRET })
    const key = (token: string) => call.keyOf(`${origin.url}/insights?access_token=${token}`)
    expect(await key('a')).toBeDefined()
    expect(await key('a')).not.toBe(await key('b'))
  })

  it('a stated identity finds its answers with a renewed token, and only its own [B17]', async () => {
    const identity = (request: { headers: Headers }) => request.headers.get('x-user') ?? undefined
    const { call } = embedded(origin, { ignoreHeaders: ['x-user'] }, { identity })
    const ask = (user: string, token: string) =>
      call(`${origin.url}/tasks?access_token=${token}`, {
        headers: { authorization: `Bearer ${token}`, ...(user && { 'x-user': user }) },
      })
    const first = await (await ask('ada', 't1')).json()
    expect(await (await ask('ada', 't2')).json()).toEqual(first)
    expect(await (await ask('bob', 't1')).json()).not.toEqual(first)
    expect(origin.calls()).toBe(2)
    await ask('', 't1')
    await ask('', 't1')
    expect(origin.calls()).toBe(4)
  })

  it('a refused credential of one caller refuses no other who asks at the same time [B17]', async () => {
    origin.answer((seen, response) => {
      response.statusCode = seen.headers.authorization === 'Bearer good' ? 200 : 401
      setTimeout(() => response.end(String(response.statusCode)), 50)
    })
    const { call } = embedded(origin)
    const tokens = ['bad', 'good', 'bad', 'good', 'good']
    const answers = await Promise.all(tokens.map((token) => call(`${origin.url}/x`, bearer(token))))
    expect(answers.map(({ status }) => status)).toEqual([401, 200, 401, 200, 200])
    expect((await call(`${origin.url}/x`, bearer('good'))).status).toBe(200)
  })

  it('no key, event or error shows a token, a secret, a body or the value of a parameter', async () => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const heard: string[] = []
    const listen = (event: unknown) => heard.push(JSON.stringify(event))
    const channels = [
      'holdfast:http:outbound',
      'holdfast:http:upstream-failure',
      'holdfast:cache:load',
      'holdfast:cache:lookup',
    ]
    for (const name of channels) subscribe(name, listen)
    const { call } = embedded(origin, {}, { identity: 'credential', secret: SECRET })
    const url = `${origin.url}/customers?phone=0912345678&access_token=tok-parameter`
    const init = { method: 'POST', body: 'phone=0987654321', ...bearer('tok-header') }
    await call(url, init)
    heard.push(String(await call.keyOf(url, init)))
    origin.answer((_, response) => response.destroy())
    await call(`${url}&x=1`, init).catch((error: unknown) => heard.push(String(error)))
    await call('http://[bad?access_token=tok-parameter').catch((error: unknown) => heard.push(String(error)))
    for (const name of channels) unsubscribe(name, listen)
    expect(heard.length).toBeGreaterThan(5)
    expect(heard.join('\n')).toMatch(/customers\?phone=\*&access_token=\*/)
    expect(heard.join('\n')).not.toMatch(/0912345678|0987654321|tok-parameter|tok-header|a secret of tests/)
  })

  it('does not begin without saying whose: no secret, no identity', () => {
    const options = { cache: createCache(), routes: [{ match: 'GET https://a.example/*', ttl: '5m' }] }
    expect(() => outbound(fetch, options as OutboundOptions)).toThrow(/there is no secret/)
  })
})

describe('a route', () => {
  const hits = (match: string, method: string, url: string) =>
    compileMatch(match, 'route').matches(method, new URL(url))

  it.each([
    ['GET https://api.example/a', 'GET', 'https://api.example/a', true],
    ['https://api.example/a', 'GET', 'https://api.example/a?x=1#y', true],
    ['GET https://api.example/a', 'POST', 'https://api.example/a', false],
    ['GET|HEAD https://api.example/a', 'HEAD', 'https://api.example/a', true],
    ['GET https://api.example/a/*', 'GET', 'https://api.example/a/b/c', true],
    ['GET https://api.example/a/*', 'GET', 'https://api.example/a', false],
    ['GET https://api.example/a/*', 'GET', 'https://api.example/a/../b', false],
    ['GET https://api.example:443/a', 'GET', 'https://api.example/a', true],
    ['GET https://API.example/a', 'GET', 'https://api.EXAMPLE/a', true],
    ['GET https://*.example/a', 'GET', 'https://eu.api.example/a', true],
    ['GET https://*.example/a', 'GET', 'https://evil.test/.example/a', false],
    ['GET https://api.example/a', 'GET', 'https://api.example.evil.test/a', false],
    ['GET https://api.example/a', 'GET', 'http://api.example/a', false],
    ['GET https://api.example/*', 'GET', 'https://x@api.example/a', true],
    [
      'POST https://g.example/v1/customers/*/googleAds:searchStream',
      'POST',
      'https://g.example/v1/customers/7/googleAds:searchStream',
      true,
    ],
    ['GET https://api.example/a.b', 'GET', 'https://api.example/axb', false],
    ['GET https://api.example/[a]', 'GET', 'https://api.example/a', false],
  ])('%s, %s %s: %s', (match, method, url, expected) => {
    expect(hits(match, method, url)).toBe(expected)
  })

  it.each([
    '',
    'GET',
    '/a',
    'get https://a.example/',
    'GET https://a.example',
    'GET https://a.example/?x=1',
    'GET ftp://a/',
    7,
  ])('refuses the pattern %s', (match) => {
    expect(() => compileMatch(match, 'route')).toThrow(/route\.match/)
  })

  const route = { match: 'GET https://a.example/*', ttl: '5m', identity: 'shared' }
  it.each([
    [{ routes: [] }, /no routes/],
    [{ routes: [{ ...route, tll: 1 }] }, /did you mean 'ttl'/],
    [{ routes: [{ ...route, ttl: undefined }] }, /has no ttl/],
    [{ routes: [{ ...route, ttl: '5 years' }] }, /not a duration/],
    [{ routes: [{ ...route, class: 'statik' }], classes: { static: {} } }, /did you mean 'static'/],
    [{ routes: [route], classes: { static: { tl: 1 } } }, /classes\.static/],
    [{ routes: [{ ...route, name: 'a b' }] }, /name/],
    [{ routes: [route, route] }, /name of another/],
    [{ routes: [{ ...route, identity: 'everyone' }] }, /identity/],
    [{ routes: [{ ...route, negative: { 401: '5m' } }] }, /never kept/],
    [{ routes: [{ ...route, negative: { 500: '5m' } }] }, /never kept/],
    [{ routes: [{ ...route, failures: [500] }] }, /no list of client errors/],
    [{ routes: [{ ...route, failures: [404], negative: '5m' }] }, /is a failure/],
    [{ routes: [{ ...route, jitter: 1 }] }, /jitter/],
    [{ routes: [{ ...route, expect: 'xml' }] }, /expect/],
    [{ routes: [{ ...route, timeout: { softt: 1 } }] }, /timeout/],
    [{ routes: [{ ...route, staleIfError: 'yes' }] }, /staleIfError/],
    [{ routes: [{ ...route, maxBodyBytes: -1 }] }, /maxBodyBytes/],
    [{ routes: [{ ...route, tags: 'a' }] }, /tags/],
    [{ routes: [{ ...route, tagsFrom: [] }] }, /tagsFrom/],
    [{ routes: [{ ...route, params: { kep: [] } }] }, /params/],
    [{ routes: [{ ...route, ignoreHeaders: 'x' }] }, /ignoreHeaders/],
    [{ routes: [{ ...route, invalidates: ['a'] }] }, /either caches or writes/],
    [{ routes: [route], secret: 'short' }, /secret/],
    [{ routes: [route], prefix: 'a b' }, /prefix/],
    [{ routes: [route], cach: 1 }, /did you mean 'cache'/],
    [{ routes: [route], cache: {} }, /no cache/],
  ])('refuses options that cannot work: %#', (options, message) => {
    const all = { cache: createCache(), ...options } as unknown as OutboundOptions // wrong on purpose
    expect(() => outbound(fetch, all)).toThrow(message)
  })

  it('needs a fetch', () => {
    const options = { cache: createCache(), routes: [route] } as unknown as OutboundOptions // see above
    expect(() => outbound({} as typeof fetch, options)).toThrow(/no fetch/)
  })

  it('is the first that matches; what none matches passes as it is', async () => {
    const cache = createCache()
    const call = outbound(fetch, {
      cache,
      identity: 'shared',
      classes: { static: { ttl: '10m' }, dynamic: { ttl: '30s' } },
      routes: [
        { name: 'one', match: `GET ${origin.url}/a/special`, class: 'dynamic' },
        { name: 'rest', match: `GET ${origin.url}/a/*`, class: 'static', ttl: '7m' },
      ],
    })
    for (const path of ['/a/special', '/a/other', '/b'])
      for (let i = 0; i < 2; i++) await call(origin.url + path)
    expect([origin.calls('/a/special'), origin.calls('/a/other'), origin.calls('/b')]).toEqual([1, 1, 2])
    const ttl = async (path: string) => (await cache.inspect((await call.keyOf(origin.url + path))!)).ttlMs
    expect(await ttl('/a/special')).toBeLessThanOrEqual(30_000)
    expect(await ttl('/a/other')).toBeGreaterThan(400_000)
    expect(await ttl('/a/other')).toBeLessThanOrEqual(420_000)
    expect(await call.keyOf(`${origin.url}/b`)).toBeUndefined()
  })
})
