import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import type { HttpProfile } from '../../src/http/options.ts'
import { ok, Site } from './http-harness.ts'

const PROFILES: readonly HttpProfile[] = ['safe', 'rfc']

/** Texts as they come from the network: pieces that mean something, in any order, and rubbish. */
const rubbish = fc.oneof(
  fc.string({ maxLength: 40, unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        ...[
          'max-age',
          '=',
          '60',
          ',',
          '"',
          '\\',
          'private',
          'no-cache',
          '*',
          'W/',
          '"a"',
          'bytes=',
          '-',
          '0',
          ' ',
          ';',
        ],
        ...[
          'Sun, 06 Nov 1994 08:49:37 GMT',
          'gzip',
          '\u00e9',
          '99999999999999999999',
          '()',
          '?1',
          'no-store',
          'public',
        ],
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
)
const fieldsOf = (names: readonly string[]) =>
  fc.dictionary(fc.constantFrom(...names), fc.oneof(rubbish, fc.array(rubbish, { maxLength: 3 })), {
    maxKeys: 5,
  })
const REQUEST = [
  'cache-control',
  'pragma',
  'if-none-match',
  'if-modified-since',
  'range',
  'if-range',
  'accept-language',
  'x-a',
  'forwarded',
  'host',
]
const RESPONSE = [
  'cache-control',
  'cdn-cache-control',
  'holdfast-cache-control',
  'expires',
  'date',
  'age',
  'etag',
  'last-modified',
  'vary',
  'content-length',
  'content-range',
  'surrogate-key',
  'cache-tag',
  'connection',
  'content-encoding',
  'location',
  'cache-status',
]

describe.each(PROFILES)('rubbish, in profile %s', (profile) => {
  it('in any field is never an error, and never another body', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            asks: fieldsOf(REQUEST),
            says: fieldsOf(RESPONSE),
            method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'get', 'BREW'),
            url: fc.constantFrom(
              '/',
              '/?a',
              '*',
              '//x',
              '/\u00e9',
              'http://shop.example/',
              'http://else/',
              '',
            ),
            status: fc.constantFrom(200, 200, 200, 204, 206, 301, 304, 404, 412, 500, 599),
          }),
          { minLength: 2, maxLength: 4 },
        ),
        async (steps) => {
          const site = new Site({ profile })
          for (const { asks, says, method, url, status } of steps) {
            const headers = asks as Record<string, string | string[]>
            const app = () => ({ status, headers: says as Record<string, string>, body: `body of ${url}` })
            const seen = await site.ask(url, { method, headers, app })
            expect([status, 200, 204, 206, 301, 304, 404, 412, 416, 500, 504, 599]).toContain(seen.status)
            if (seen.status === 200 && method === 'GET' && seen.text !== '')
              expect(['body of /', `body of ${url}`]).toContain(seen.text)
            for (const value of seen.fields.lines('age').slice(-1)) expect(typeof value).toBe('string')
          }
          await site.cache.close()
        },
      ),
      { numRuns: 100 },
    )
  })

  it.each([
    ['a life that is no number', { 'cache-control': 'max-age=soon' }],
    ['a life below zero', { 'cache-control': 'max-age=-1' }],
    ['a date that is none', { expires: 'never', 'cache-control': '' }],
    [
      'two dates',
      { expires: ['Sun, 06 Nov 2094 08:49:37 GMT', 'Sun, 06 Nov 2094 08:49:37 GMT'], 'cache-control': '' },
    ],
    ['two lives', { 'cache-control': 'max-age=60, max-age=0' }],
    ['two lives on two lines', { 'cache-control': ['max-age=60', 'max-age=0'] }],
    ['more age than life', { 'cache-control': 'max-age=60', age: '61' }],
    ['an age beyond all numbers', { 'cache-control': 'max-age=60', age: '99999999999999999999999' }],
  ])('%s is not reused', async (_, headers) => {
    const site = new Site({ profile })
    site.app = () => ok(headers)
    await site.ask()
    await site.ask()
    expect(site.calls).toBe(2)
  })

  it.each([
    ['a header with a line break', ['x-a', 'a\r\nset-cookie: b=c']],
    ['a header name with a space', ['x a', 'b']],
  ])('%s is handed on as it is, and never stored', async (_, raw) => {
    const site = new Site({ profile })
    site.app = () => ({ status: 200, headers: ['cache-control', 'max-age=60', ...raw], body: 'x' })
    await site.ask()
    expect((await site.ask()).said).toContain('detail=fields')
  })

  it('in a condition or a range is as if it were not there', async () => {
    const site = new Site({ profile })
    site.app = () => ok({ 'cache-control': 'max-age=60', etag: '"a"', 'last-modified': site.date(-9) })
    await site.ask()
    for (const headers of [
      { 'if-none-match': 'a' },
      { 'if-none-match': '"a' },
      { 'if-modified-since': 'today' },
      { 'if-none-match': 'rubbish', 'if-modified-since': site.date() },
      { range: 'bytes=a-b' },
      { range: ['bytes=0-1', 'bytes=1-2'] },
      { range: 'bytes=0-1', 'if-range': 'rubbish' },
    ]) {
      expect(await site.ask('/', { headers })).toMatchObject({ status: 200, text: 'body' })
    }
    expect(site.calls).toBe(1)
  })

  it('as a target goes to the application', async () => {
    const site = new Site({ profile })
    for (const url of ['*', '', 'x', '/a b', '/\u00e9', '/a\u0000', '/a#b', 'shop.example:443']) {
      for (let i = 0; i < 2; i++) expect((await site.ask(url)).said).toContain('detail=target')
    }
    for (const host of [
      'a b',
      'a/b',
      'a@b',
      'a\u0000',
      '[::g]',
      'a:b',
      'a:123456',
      `${'a'.repeat(300)}.example`,
    ]) {
      expect((await site.ask('/', { host })).said).toContain('detail=target')
    }
    expect((await site.ask('/', { host: 'SHOP.example:80' })).said).toContain('uri-miss')
    expect((await site.ask('/', { host: 'shop.example' })).said).toContain('hit')
    expect((await site.ask('http://shop.example/')).said).toContain('hit')
  })
})

describe('requests for one thing at once', () => {
  it('are one call, whatever their number', async () => {
    const site = new Site()
    site.app = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return ok({ 'cache-control': 'max-age=60' }, 'one')
    }
    const all = await Promise.all(Array.from({ length: 500 }, () => site.ask()))
    expect(all.every(({ text }) => text === 'one')).toBe(true)
    expect(site.calls).toBe(1)
    expect(site.http.stats()).toMatchObject({ misses: 1, collapsed: 499 })
  })

  it('whose answer is for one only do not queue for each other twice', async () => {
    const site = new Site()
    let running = 0
    let most = 0
    site.app = async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 10))
      running--
      return ok({ 'cache-control': 'no-store' }, String(site.calls))
    }
    const texts = (await Promise.all(Array.from({ length: 50 }, () => site.ask()))).map(({ text }) => text)
    expect(site.calls).toBe(50)
    expect(texts).toHaveLength(50)
    expect(most).toBe(49)
    most = 0
    await Promise.all(Array.from({ length: 20 }, () => site.ask()))
    expect(most).toBe(20)
  })

  it('that fail fail each for itself', async () => {
    const site = new Site()
    site.app = async ({ headers }) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      throw new Error(`for ${headers['x-user']}`)
    }
    const asks = ['a', 'b', 'c'].map((name) => site.ask('/', { headers: { 'x-user': name } }))
    const settled = await Promise.allSettled(asks)
    expect(settled.map((one) => one.status === 'rejected' && (one.reason as Error).message)).toEqual([
      'for a',
      'for b',
      'for c',
    ])
  })

  it('never see a half of a load that another one ended', async () => {
    const site = new Site({ cache: createCache({ l1: { share: 'copy' } }) })
    await site.ask()
    const { reply } = await site.ask()
    expect((reply.body as Buffer).toString()).toBe('body')
    expect((await site.ask()).text).toBe('body')
  })
})
