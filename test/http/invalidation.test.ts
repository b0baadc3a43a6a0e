import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { ok, Site } from './http-harness.ts'

describe('a request that changes something', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'M-SEARCH', 'get'])(
    'by %s makes its URL forgotten [S3-3] [S3-15]',
    async (method) => {
      const site = new Site()
      await site.ask('/tasks/7')
      await site.ask('/tasks/8')
      await site.ask('/tasks/7', { method })
      expect((await site.ask('/tasks/7')).said).toContain('uri-miss')
      expect((await site.ask('/tasks/8')).said).toContain('hit')
    },
  )

  it.each(['OPTIONS', 'TRACE', 'PROPFIND'])('is none by %s', async (method) => {
    const site = new Site()
    await site.ask()
    await site.ask('/', { method })
    expect((await site.ask()).said).toContain('hit')
  })

  it('and fails has changed nothing', async () => {
    const site = new Site()
    await site.ask()
    for (const status of [400, 500])
      await site.ask('/', { method: 'PUT', app: () => ({ status, headers: {} }) })
    expect((await site.ask()).said).toContain('hit')
  })

  it('takes along every variant, identity and scheme, and what Location and Content-Location name on the same origin', async () => {
    const site = new Site()
    site.app = () => ok({ 'cache-control': 'max-age=60', vary: 'X-A' })
    const identity = { identity: () => 'me' }
    const look = async () => {
      const said = []
      for (const [url, options] of [
        ['/a', { headers: { 'x-a': '1' } }],
        ['/a', { headers: { 'x-a': '2' } }],
        ['/a', { scheme: 'https' }],
        ['/a', { route: identity }],
        ['/b', {}],
        ['/c?d', {}],
        ['/e', {}],
        ['/b', { host: 'other.example' }],
      ] as const) {
        said.push((await site.ask(url, options)).said.includes('hit'))
      }
      return said
    }
    await look()
    expect(await look()).toEqual(Array(8).fill(true))
    const headers = { location: 'http://shop.example/b', 'content-location': '../c?d' }
    await site.ask('/a', { method: 'POST', app: () => ({ status: 201, headers }) })
    expect(await look()).toEqual([false, false, false, false, false, false, true, true])
    const foreign = { location: 'http://other.example/b', 'content-location': 'http://[' }
    await site.ask('/e', { method: 'POST', app: () => ({ status: 303, headers: foreign }) })
    expect(await look()).toEqual([true, true, true, true, true, true, false, true])
  })

  it('takes along the tags that its route names', async () => {
    const site = new Site()
    site.app = () => ok({ 'cache-control': 'max-age=60' })
    await site.ask('/tasks', { route: { tags: ['tasks'] } })
    await site.ask('/tasks/7', { method: 'PATCH', route: { invalidates: ['tasks'] } })
    expect((await site.ask('/tasks', { route: { tags: ['tasks'] } })).said).toContain('uri-miss')
  })

  it('never lets a slow reader store what it read before [S3-15]', async () => {
    const site = new Site()
    let value = 'old'
    let release = (): void => {}
    const slow = site.ask('/tasks/7', {
      app: async () => {
        const read = value
        await new Promise<void>((resolve) => {
          release = resolve
        })
        return ok({ 'cache-control': 'max-age=60' }, read)
      },
    })
    await new Promise((resolve) => setTimeout(resolve, 5))
    value = 'new'
    await site.ask('/tasks/7', { method: 'PATCH', app: () => ok() })
    release()
    expect((await slow).text).toBe('old')
    const after = await site.ask('/tasks/7', { app: () => ok({ 'cache-control': 'max-age=60' }, value) })
    expect(after.text).toBe('new')
    expect((await site.ask('/tasks/7')).text).toBe('new')
  })

  it('GET, PATCH, GET, DELETE, GET: each sees what the one before did [S3-12] [S3-13] [S3-15]', async () => {
    const site = new Site()
    const route = { ttl: '5m', tags: ['task:7'] } as const
    let task: string | undefined = 'a'
    const read = () => (task === undefined ? { status: 404, headers: {} } : ok({}, task))
    const get = () => site.ask('/api/v1/tasks/7', { route, app: read })
    const write = (method: string, next: string | undefined) =>
      site.ask('/api/v1/tasks/7', {
        method,
        app: () => {
          task = next
          return { status: 204, headers: {} }
        },
      })
    expect((await get()).said).toContain('stored')
    expect((await get()).said).toContain('hit; ttl=300')
    await write('PATCH', 'b')
    expect(await get()).toMatchObject({ text: 'b', said: expect.stringContaining('uri-miss') })
    await write('DELETE', undefined)
    expect((await get()).status).toBe(404)
  })
})

describe('a purge', () => {
  it('by URL, by path where the origin is known, and of everything', async () => {
    const site = new Site({ origin: 'https://shop.example' })
    for (const url of ['/a', '/b?x=1', '/c']) await site.ask(url)
    await site.http.purge('https://SHOP.example:443/a')
    await site.http.purge('/b?x=1')
    expect((await site.ask('/a')).said).toContain('uri-miss')
    expect((await site.ask('/b?x=1')).said).toContain('uri-miss')
    expect((await site.ask('/c')).said).toContain('hit')
    await site.cache.set('other', 1)
    await site.http.purgeAll()
    expect((await site.ask('/c')).said).toContain('uri-miss')
    expect(await site.cache.get('other')).toBe(1)
  })

  it('refuses what is no URL, and a path of no host', async () => {
    const { http } = new Site()
    await expect(http.purge('/a')).rejects.toThrow(/origin/)
    await expect(http.purge('a')).rejects.toThrow(/no URL/)
    await expect(http.purge('ftp://a/b')).rejects.toThrow(/no URL/)
    expect(() => new Site({ origin: 'shop.example' })).toThrow(/scheme and host/)
    expect(() => new Site({ origin: 'http://shop.example/x' })).toThrow(/scheme and host/)
  })

  it('by surrogate key, cache tag or tag of the route, which are the tags of the cache [S2-48]', async () => {
    for (const [headers, tag] of [
      [{ 'surrogate-key': 'shop:7 products' }, 'products'],
      [{ 'cache-tag': 'shop:7, products' }, 'shop:7'],
      [{}, 'route'],
    ] as const) {
      const site = new Site()
      site.app = () => ok({ 'cache-control': 'max-age=60', ...headers })
      const route = { tags: () => ['route'] }
      await site.ask('/', { route })
      await site.cache.set('value', 1, { tags: [tag] })
      await site.http.purgeTag('else')
      expect((await site.ask('/', { route })).said).toContain('hit')
      await site.cache.invalidateTag(tag)
      expect((await site.ask('/', { route })).said).toContain('uri-miss')
      await site.http.purgeTag(tag)
      expect(await site.cache.get('value')).toBeUndefined()
    }
  })

  it('that is soft leaves a response to be confirmed, to be served meanwhile, and to stand in', async () => {
    const site = new Site()
    site.app = () =>
      ok({ 'cache-control': 'max-age=60, stale-if-error=60', etag: '"a"', 'surrogate-key': 'k' }, 'old')
    await site.ask()
    await site.http.purgeTag('k', { soft: true })
    const down = await site.ask('/', { app: () => ({ status: 503, headers: {} }) })
    expect(down).toMatchObject({ text: 'old', said: expect.stringContaining('stale-if-error') })
    await site.clock.advance(2_000)
    const confirmed = await site.ask('/', { app: () => ({ status: 304, headers: { etag: '"a"' } }) })
    expect(confirmed).toMatchObject({
      text: 'old',
      said: expect.stringContaining('fwd=stale; fwd-status=304'),
    })
    expect((await site.ask()).said).toContain('hit')
    site.app = () => ok({ 'cache-control': 'max-age=60, stale-while-revalidate=60' }, 'new')
    await site.ask('/swr')
    await site.http.purge('http://shop.example/swr', { soft: true })
    expect((await site.ask('/swr')).said).toContain('stale-while-revalidate')
  })

  it.each(['~mine', 'a\u0001b'])(
    'could not reach a tag that is no name, so that is not stored: %j',
    async (tag) => {
      const site = new Site()
      const app = () => ok({ 'cache-control': 'max-age=60' })
      expect((await site.ask('/', { app, route: { tags: [tag] } })).said).toContain('detail=tags')
    },
  )
})

describe('tags', () => {
  it('are bounded in number, for each is one more name to read', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => `t${i}`).join(' ')
    for (const [count, said] of [
      [128, 'stored'],
      [129, 'detail=tags'],
    ] as const) {
      const site = new Site()
      site.app = () => ok({ 'cache-control': 'max-age=60', 'surrogate-key': many(count) })
      expect((await site.ask()).said).toContain(said)
    }
  })
})

describe('explain', () => {
  it('says how a request would be answered, and why, without asking the application', async () => {
    const site = new Site()
    const app = () =>
      ok({
        'cache-control': 'max-age=60, stale-while-revalidate=9',
        vary: 'X-A',
        'surrogate-key': 'k',
        etag: '"e"',
      })
    const why = async (headers: Record<string, string> = {}) =>
      site.http.explain({ method: 'GET', url: '/', headers, host: 'shop.example' })
    expect(await why()).toMatchObject({
      outcome: 'miss',
      reason: 'uri-miss',
      key: 'http:http://shop.example/',
    })
    await site.ask('/', { app })
    expect(await why()).toMatchObject({
      outcome: 'hit',
      reason: 'fresh',
      vary: ['x-a'],
      tags: expect.arrayContaining(['k', 'http:all', 'http:shop.example/']),
      ageSeconds: 0,
      freshForSeconds: 60,
      status: 200,
    })
    expect(await why({ 'x-a': '1' })).toMatchObject({ outcome: 'miss', reason: 'vary-miss' })
    expect(await why({ cookie: 'a=b' })).toMatchObject({ outcome: 'bypass', reason: 'cookie' })
    expect(await why({ authorization: 'x' })).toMatchObject({ outcome: 'bypass', reason: 'authorization' })
    await site.clock.advance(65_000)
    expect(await why()).toMatchObject({ outcome: 'stale', reason: 'stale-while-revalidate' })
    await site.clock.advance(65_000)
    expect(await why()).toMatchObject({ outcome: 'miss', reason: 'stale' })
    expect(site.calls).toBe(1)
  })
})

describe('options', () => {
  it('that are none are refused where they are given', async () => {
    const cache = createCache()
    const bad: [Record<string, unknown>, RegExp][] = [
      [{ tll: '5m' }, /did you mean 'ttl'/],
      [{ profile: 'strict' }, /profile/],
      [{ ttl: 'soon' }, /ttl/],
      [{ maxVariants: 0 }, /maxVariants/],
      [{ maxBodyBytes: -1 }, /maxBodyBytes/],
      [{ query: 'random' }, /query/],
      [{ query: { only: ['a'], ignore: ['b'] } }, /query/],
      [{ vary: ['*'] }, /vary/],
      [{ tags: 'a' }, /tags/],
      [{ cache: {} }, /no cache/],
    ]
    for (const [options, message] of bad) expect(() => new Site({ cache, ...options })).toThrow(message)
    const site = new Site()
    const route = { tll: '5m' } as never
    await expect(site.ask('/', { route })).rejects.toThrow(/did you mean 'ttl'/)
  })

  it('name the cache in Cache-Status, or leave the field out, and show the key where asked', async () => {
    const named = new Site({ cacheStatus: 'my cache', showKey: true })
    await named.ask()
    expect((await named.ask()).said).toBe('"my cache"; hit; key="http:http://shop.example/"; ttl=60')
    const silent = new Site({ cacheStatus: false })
    await silent.ask()
    for (const got of [await silent.ask(), await silent.ask('/', { method: 'POST' })])
      expect(got.fields.has('cache-status')).toBe(false)
  })

  it('switch a route off', async () => {
    const site = new Site()
    await site.ask('/', { route: { enabled: false } })
    expect((await site.ask('/', { route: { enabled: false } })).said).toContain('detail=disabled')
  })
})
