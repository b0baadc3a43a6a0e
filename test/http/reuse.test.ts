import { describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { ok, Site } from './http-harness.ts'

const fresh = (more: Record<string, string> = {}) => ok({ 'cache-control': 'max-age=60', ...more })

describe('a fresh response', () => {
  it('is used again, with its age, its date, its length and what the cache did [S3-1] [S3-2]', async () => {
    const site = new Site()
    site.app = () => fresh({ 'content-type': 'text/plain' })
    const first = await site.ask('/tasks/7')
    await site.clock.advance(5_400)
    const second = await site.ask('/tasks/7')
    expect(first.said).toBe('holdfast; fwd=uri-miss; fwd-status=200; stored')
    expect(second.said).toBe('holdfast; hit; ttl=55')
    expect(second.get('age')).toBe('5')
    expect(second.get('date')).toBe(site.date(-5))
    expect(second.get('content-length')).toBe('4')
    expect(second.get('content-type')).toBe('text/plain')
    expect(second.text).toBe('body')
    expect(site.calls).toBe(1)
  })

  it('is the same object for all who ask in one second', async () => {
    const site = new Site()
    await site.ask()
    const [a, b] = [await site.send(), await site.send()]
    expect(b).toBe(a)
  })

  it('ends after its life, to the second', async () => {
    const site = new Site()
    await site.ask()
    await site.clock.advance(59_000)
    expect((await site.ask()).said).toContain('hit; ttl=1')
    await site.clock.advance(1_000)
    expect((await site.ask()).said).toContain('fwd=uri-miss')
    expect(site.calls).toBe(2)
  })

  it.each([
    ['s-maxage wins over max-age', { 'cache-control': 'max-age=1, s-maxage=60' }, 60],
    ['max-age wins over Expires', { 'cache-control': 'max-age=60', expires: '0' }, 60],
    [
      'Holdfast-Cache-Control wins over CDN-Cache-Control',
      {
        'holdfast-cache-control': 'max-age=60',
        'cdn-cache-control': 'max-age=1',
        'cache-control': 'no-store',
      },
      60,
    ],
    [
      'CDN-Cache-Control wins over Cache-Control',
      { 'cdn-cache-control': 'max-age=60', 'cache-control': 'private' },
      60,
    ],
    ['Age has been lived already', { 'cache-control': 'max-age=70', age: '10' }, 60],
    ['the first of several ages counts', { 'cache-control': 'max-age=70', age: '10, 60' }, 60],
    ['an age that is no number is none', { 'cache-control': 'max-age=60', age: 'old' }, 60],
  ])('%s', async (_, headers, ttl) => {
    const site = new Site()
    site.app = () => ok(headers)
    await site.ask()
    expect((await site.ask()).said).toBe(`holdfast; hit; ttl=${ttl}`)
  })

  it('lives from its Date, and by its Expires where nothing else is said', async () => {
    const site = new Site()
    site.app = () => ok({ date: site.date(-20), expires: site.date(40) })
    await site.ask()
    const second = await site.ask()
    expect(second.said).toContain('ttl=40')
    expect(second.get('age')).toBe('20')
  })

  it('keeps our own field to ourselves, and passes the others on [S2-48]', async () => {
    const site = new Site()
    site.app = () =>
      ok({ 'Holdfast-Cache-Control': 'max-age=60', 'Surrogate-Key': 'a b', 'CDN-Cache-Control': 'max-age=9' })
    for (const got of [await site.ask(), await site.ask()]) {
      expect(got.get('holdfast-cache-control')).toBeUndefined()
      expect(got.get('surrogate-key')).toBe('a b')
      expect(got.get('cdn-cache-control')).toBe('max-age=9')
    }
    expect(site.calls).toBe(1)
  })

  it('leaves out what was meant for one connection', async () => {
    const site = new Site()
    site.app = () =>
      ok({
        'cache-control': 'max-age=60',
        connection: 'close, x-hop',
        'x-hop': '1',
        'keep-alive': 't',
        upgrade: 'h2c',
        'x-end': '2',
      })
    await site.ask()
    const { fields } = await site.ask()
    expect([...fields.names()]).toEqual(expect.arrayContaining(['x-end', 'etag']))
    for (const name of ['connection', 'x-hop', 'keep-alive', 'upgrade']) expect(fields.has(name)).toBe(false)
  })

  it('lives as long as its route says where it says nothing [S3-14]', async () => {
    const site = new Site()
    site.app = () => ok()
    const route = { ttl: '5m' } as const
    await site.ask('/tasks/7', { route })
    expect((await site.ask('/tasks/7', { route })).said).toBe('holdfast; hit; ttl=300')
    site.app = () => ({ status: 404, headers: {}, body: 'none' })
    await site.ask('/tasks/8', { route })
    expect((await site.ask('/tasks/8', { route })).said).toContain('detail=no-lifetime')
    await site.ask('/tasks/9', { route: { negativeTtl: '10s' } })
    expect((await site.ask('/tasks/9', { route: { negativeTtl: '10s' } })).said).toContain('hit; ttl=10')
  })

  it.each(['no-store', 'private', 'no-cache', 'max-age=0'])(
    'is none that says %s, whatever its route says',
    async (said) => {
      const site = new Site()
      site.app = () => ok({ 'cache-control': said })
      const route = { ttl: '5m' } as const
      await site.ask('/', { route })
      await site.ask('/', { route })
      expect(site.calls).toBe(2)
    },
  )

  it('is told apart by the part of the query that its route names', async () => {
    const site = new Site()
    const sorted = { query: 'sorted' } as const
    await site.ask('/p?b=2&a=1', { route: sorted })
    expect((await site.ask('/p?a=1&b=2', { route: sorted })).said).toContain('hit')
    const only = { query: { only: ['page'] } }
    await site.ask('/q?page=1&utm=x', { route: only })
    expect((await site.ask('/q?utm=y&page=1', { route: only })).said).toContain('hit')
    expect((await site.ask('/q?page=2', { route: only })).said).toContain('uri-miss')
    const ignore = { query: { ignore: ['utm'] } }
    await site.ask('/r?utm=x', { route: ignore })
    expect((await site.ask('/r', { route: ignore })).said).toContain('hit')
  })
})

describe('variants', () => {
  it('of one URL live side by side, in layers where Vary differs', async () => {
    const site = new Site()
    site.app = ({ headers }) => {
      const vary = headers['accept-language'] === 'fr' ? 'Accept-Language, X-Plan' : 'Accept-Language'
      return ok({ 'cache-control': 'max-age=60', vary }, `${headers['accept-language']} ${headers['x-plan']}`)
    }
    const all = ['en', 'fr', 'de'].flatMap((lang) =>
      ['a', 'b'].map((plan) => ({ 'accept-language': lang, 'x-plan': plan })),
    )
    const texts = []
    for (const headers of [...all, ...all]) texts.push((await site.ask('/', { headers })).text)
    expect(texts.slice(6)).toEqual(['en a', 'en a', 'fr a', 'fr b', 'de a', 'de a'])
    expect(site.calls).toBe(4)
  })

  it('are bounded in number', async () => {
    const site = new Site({ maxVariants: 3 })
    site.app = () => fresh({ vary: 'X-A' })
    for (let i = 0; i < 5; i++) await site.ask('/', { headers: { 'x-a': String(i) } })
    expect((await site.ask('/', { headers: { 'x-a': '1' } })).said).toContain('hit')
    expect((await site.ask('/', { headers: { 'x-a': '4' } })).said).toContain('detail=variants')
  })

  it.each(['User-Agent', 'Cookie', 'Authorization', 'Referer'])(
    'by %s are not stored, unless let in',
    async (name) => {
      const site = new Site()
      site.app = () => fresh({ vary: name })
      await site.ask()
      expect((await site.ask()).said).toContain('detail=vary-unbounded')
      const open = new Site({ allowVary: [name] })
      open.app = site.app
      await open.ask()
      expect((await open.ask()).said).toContain('hit')
    },
  )

  it('that are asked for at once are stored each', async () => {
    const site = new Site()
    site.app = async ({ headers }) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return ok({ 'cache-control': 'max-age=60', vary: 'X-A' }, String(headers['x-a']))
    }
    const ask = (a: string) => site.ask('/', { headers: { 'x-a': a } })
    const names = ['1', '2', '1', '2']
    expect((await Promise.all(names.map(ask))).map(({ text }) => text)).toEqual(names)
    for (const name of names) expect((await ask(name)).said).toContain('hit')
    expect(site.calls).toBe(2)
  })

  it('by fields that a route knows of need no Vary', async () => {
    const site = new Site()
    site.app = ({ headers }) => ok({ 'cache-control': 'max-age=60' }, String(headers['x-plan']))
    const route = { vary: ['X-Plan'] }
    expect((await site.ask('/', { route, headers: { 'x-plan': 'a' } })).text).toBe('a')
    expect((await site.ask('/', { route, headers: { 'x-plan': 'b' } })).text).toBe('b')
    expect((await site.ask('/', { route, headers: { 'x-plan': 'a' } })).text).toBe('a')
    expect(site.calls).toBe(2)
  })
})

describe('conditions of the client', () => {
  it('are answered from the store, with the fields of a 304', async () => {
    const site = new Site()
    site.app = () => fresh({ etag: '"v1"', 'last-modified': site.date(-100), 'content-type': 'text/plain' })
    await site.ask()
    const same = await site.ask('/', { headers: { 'if-none-match': 'W/"v1"' } })
    expect(same).toMatchObject({ status: 304, text: '' })
    expect(same.get('etag')).toBe('"v1"')
    expect(same.get('cache-control')).toBe('max-age=60')
    expect(same.get('content-length')).toBeUndefined()
    expect(same.said).toBe('holdfast; hit; ttl=60')
    expect((await site.ask('/', { headers: { 'if-none-match': '"v2"' } })).status).toBe(200)
    expect((await site.ask('/', { headers: { 'if-modified-since': site.date() } })).status).toBe(304)
    expect(site.calls).toBe(1)
  })

  it('are taken off on the way to the application, and answered from what it says', async () => {
    const site = new Site()
    site.app = ({ headers }) => {
      expect(headers['if-none-match']).toBeUndefined()
      return fresh({ etag: '"v1"' })
    }
    expect((await site.ask('/', { headers: { 'if-none-match': '"v1"' } })).status).toBe(304)
    expect((await site.ask()).text).toBe('body')
    expect(site.calls).toBe(1)
  })

  it('find an entity-tag of ours where the application gave none', async () => {
    const site = new Site()
    await site.ask()
    const etag = (await site.ask()).get('etag')!
    expect(etag).toMatch(/^"[\w-]{27}"$/)
    expect((await site.ask('/', { headers: { 'if-none-match': etag } })).status).toBe(304)
  })

  it('that are for the application only go to it', async () => {
    const site = new Site()
    await site.ask()
    expect((await site.ask('/', { headers: { 'if-match': '"x"' } })).said).toContain(
      'fwd=bypass; fwd-status=200; detail=condition',
    )
  })
})

describe('heads and parts', () => {
  it('come from the whole', async () => {
    const site = new Site()
    site.app = () => ok({ 'cache-control': 'max-age=60', etag: '"v1"' }, '0123456789')
    await site.ask()
    const head = await site.ask('/', { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, text: '' })
    expect(head.get('content-length')).toBe('10')
    const part = await site.ask('/', { headers: { range: 'bytes=2-4' } })
    expect(part).toMatchObject({ status: 206, text: '234' })
    expect(part.get('content-range')).toBe('bytes 2-4/10')
    expect(part.get('content-length')).toBe('3')
    const none = await site.ask('/', { headers: { range: 'bytes=10-' } })
    expect(none.status).toBe(416)
    expect(none.get('content-range')).toBe('bytes */10')
    for (const headers of [
      { range: 'bytes=0-1,3-4' },
      { range: 'bytes=x' },
      { range: 'bytes=0-1', 'if-range': '"v2"' },
      { range: 'bytes=0-1', 'if-range': 'W/"v1"' },
    ]) {
      expect(await site.ask('/', { headers })).toMatchObject({ status: 200, text: '0123456789' })
    }
    expect(await site.ask('/', { headers: { range: 'bytes=0-1', 'if-range': '"v1"' } })).toMatchObject({
      status: 206,
    })
    expect(site.calls).toBe(1)
  })

  it('that the application made are never stored as the whole', async () => {
    const site = new Site()
    site.app = ({ method, headers }) =>
      method === 'HEAD'
        ? fresh({ 'content-length': '4' })
        : headers.range
          ? {
              status: 206,
              headers: { 'cache-control': 'max-age=60', 'content-range': 'bytes 0-1/4' },
              body: 'bo',
            }
          : fresh()
    await site.ask('/', { method: 'HEAD' })
    expect((await site.ask('/', { headers: { range: 'bytes=0-1' } })).status).toBe(206)
    expect(await site.ask()).toMatchObject({ status: 200, text: 'body' })
    expect(site.calls).toBe(3)
  })
})

describe('parts that are asked for at once', () => {
  it('do not keep the whole out of the store', async () => {
    const site = new Site()
    site.app = async ({ headers }) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return headers.range ? { status: 206, headers: { 'cache-control': 'max-age=60' }, body: 'bo' } : fresh()
    }
    const headers = { range: 'bytes=0-1' }
    const parts = await Promise.all([1, 2, 3].map(() => site.ask('/', { headers })))
    expect(parts.map(({ status }) => status)).toEqual([206, 206, 206])
    await site.ask()
    expect((await site.ask()).said).toContain('hit')
  })
})

describe('the client’s Cache-Control', () => {
  it('is a word of strangers in profile safe, and heard from whom the route trusts', async () => {
    for (const trusted of [false, true]) {
      const site = new Site({ trusted })
      await site.ask()
      await site.clock.advance(10_000)
      for (const said of ['no-cache', 'max-age=5', 'min-fresh=55']) {
        const got = await site.ask('/', { headers: { 'cache-control': said } })
        expect(got.said).toContain(trusted ? 'fwd=request' : 'hit')
        await site.clock.advance(10_000)
      }
      const pragma = await site.ask('/', { headers: { pragma: 'no-cache' } })
      expect(pragma.said).toContain(trusted ? 'fwd=request' : 'hit')
    }
  })

  it('only-if-cached is answered 504 where there is nothing', async () => {
    const site = new Site()
    const headers = { 'cache-control': 'only-if-cached' }
    const none = await site.ask('/', { headers })
    expect(none.status).toBe(504)
    expect(none.said).toBe('holdfast; detail=only-if-cached')
    await site.ask()
    expect((await site.ask('/', { headers })).status).toBe(200)
    expect(site.calls).toBe(1)
  })

  it('no-store stores nothing, but is no reason to ask again', async () => {
    const site = new Site()
    const headers = { 'cache-control': 'no-store' }
    await site.ask('/', { headers })
    expect((await site.ask()).said).toContain('uri-miss')
    expect((await site.ask('/', { headers })).said).toContain('hit')
  })

  it('max-stale lets a trusted client have what is old', async () => {
    const site = new Site({ trusted: true })
    site.app = () => fresh({ etag: '"v1"' })
    await site.ask()
    await site.clock.advance(70_000)
    const got = await site.ask('/', { headers: { 'cache-control': 'max-stale=20' } })
    expect(got.said).toBe('holdfast; hit; detail=stale; ttl=-10')
    expect((await site.ask('/', { headers: { 'cache-control': 'max-stale=5' } })).said).toContain('fwd=stale')
    site.app = () => fresh({ 'cache-control': 'max-age=60, must-revalidate', etag: '"v1"' })
    await site.ask('/strict')
    await site.clock.advance(70_000)
    const strict = await site.ask('/strict', { headers: { 'cache-control': 'max-stale' } })
    expect(strict.said).toContain('fwd=stale')
  })
})

describe('a stale response', () => {
  const version = (etag: string, more = '') => ({ 'cache-control': `max-age=60${more}`, etag })

  it('is confirmed by the application with our validators, and lives on with new fields', async () => {
    const site = new Site()
    site.app = () => ok({ ...version('"v1"'), 'last-modified': site.date(-500), 'x-n': '1' })
    await site.ask()
    await site.clock.advance(61_000)
    site.app = ({ headers }) => {
      expect(headers['if-none-match']).toBe('"v1"')
      expect(headers['if-modified-since']).toBeDefined()
      return {
        status: 304,
        headers: {
          etag: '"v1"',
          'cache-control': 'max-age=100',
          'x-n': '2',
          'content-length': '999',
          'content-type': 'text/html',
        },
      }
    }
    const confirmed = await site.ask()
    expect(confirmed).toMatchObject({ status: 200, text: 'body' })
    expect(confirmed.said).toBe('holdfast; fwd=stale; fwd-status=304; stored; ttl=100')
    const hit = await site.ask()
    expect(hit.said).toContain('hit; ttl=100')
    expect(hit.get('x-n')).toBe('2')
    expect(hit.get('content-type')).toBeUndefined()
    expect(hit.get('content-length')).toBe('4')
    expect(site.calls).toBe(2)
  })

  it('is asked for anew, without a condition, if a 304 is about another', async () => {
    const site = new Site()
    site.app = () => ok(version('"v1"'))
    await site.ask()
    await site.clock.advance(61_000)
    site.app = ({ headers }) =>
      headers['if-none-match'] ? { status: 304, headers: { etag: '"v2"' } } : ok(version('"v2"'), 'new')
    expect((await site.ask()).text).toBe('new')
    expect(site.calls).toBe(3)
  })

  it('is served while one load behind it refreshes it [S0-14]', async () => {
    const site = new Site()
    site.app = () => ok(version('"v1"', ', stale-while-revalidate=30'), 'old')
    await site.ask()
    await site.clock.advance(70_000)
    site.app = (_, { background }) => ok(version('"v2"', ', stale-while-revalidate=30'), `new ${background}`)
    const during = await Promise.all([site.ask(), site.ask(), site.ask()])
    for (const got of during) {
      expect(got.text).toBe('old')
      expect(got.said).toBe('holdfast; hit; detail=stale-while-revalidate; ttl=-10')
    }
    await until('it is refreshed', async () => (await site.ask()).text === 'new true')
    expect(site.calls).toBe(2)
    await site.clock.advance(91_000)
    expect((await site.ask()).said).toContain('fwd=stale')
  })

  it('is refreshed by one who asks, while the others have it, where there is no background', async () => {
    const site = new Site({ background: false })
    site.app = () => ok(version('"v1"', ', stale-while-revalidate=30'), 'old')
    await site.ask()
    await site.clock.advance(70_000)
    let release = (): void => {}
    site.app = async (_, { background }) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return ok(version('"v2"'), `new ${background}`)
    }
    const own = site.ask()
    await until('it asks', () => site.calls === 2)
    expect((await site.ask()).text).toBe('old')
    release()
    expect((await own).text).toBe('new false')
    expect(site.calls).toBe(2)
  })

  it('stands in for an application that fails, where that was asked for', async () => {
    const site = new Site()
    site.app = () => ok(version('"v1"', ', stale-if-error=100'), 'old')
    await site.ask()
    await site.clock.advance(70_000)
    site.app = () => ({ status: 503, headers: {}, body: 'down' })
    const got = await site.ask()
    expect(got.text).toBe('old')
    expect(got.said).toBe('holdfast; fwd=stale; fwd-status=503; detail=stale-if-error; ttl=-10')
    const calls = site.calls
    // A moment after a failure it is not asked again.
    expect((await site.ask()).said).toContain('hit; detail=stale')
    expect(site.calls).toBe(calls)
    await site.clock.advance(1_100)
    site.app = () => {
      throw new Error('no connection')
    }
    expect((await site.ask()).text).toBe('old')
    await site.clock.advance(100_000)
    await expect(site.ask()).rejects.toThrow('no connection')
    expect(site.http.stats().staleIfError).toBe(2)
  })

  it('never stands in where it must be asked for', async () => {
    for (const said of ['must-revalidate', 'proxy-revalidate', 'no-cache']) {
      const site = new Site({ profile: 'rfc' })
      site.app = () => ok(version('"v1"', `, ${said}, stale-if-error=100, stale-while-revalidate=100`))
      await site.ask()
      await site.clock.advance(70_000)
      site.app = () => ({ status: 503, headers: {}, body: 'down' })
      expect((await site.ask()).status).toBe(503)
    }
  })

  it('stands in without being asked only by the letter, when the application cannot be reached', async () => {
    for (const profile of ['safe', 'rfc'] as const) {
      const site = new Site({ profile })
      site.app = () => ok(version('"v1"'), 'old')
      await site.ask()
      await site.clock.advance(70_000)
      const cutOff = () => site.ask('/', { app: () => Promise.reject(new Error('no connection')) })
      if (profile === 'rfc') expect((await cutOff()).text).toBe('old')
      else await expect(cutOff()).rejects.toThrow('no connection')
    }
  })

  it('goes when a newer answer may not be stored', async () => {
    const site = new Site()
    site.app = () => ok(version('"v1"'), 'old')
    await site.ask()
    await site.clock.advance(61_000)
    site.app = () => ok({ 'cache-control': 'no-store' }, 'new')
    expect((await site.ask()).text).toBe('new')
    expect(
      (await site.http.explain({ method: 'GET', url: '/', headers: {}, host: 'shop.example' })).reason,
    ).toBe('uri-miss')
  })
})
