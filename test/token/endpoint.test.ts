import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { TokenEndpointError } from '../../src/token/errors.ts'
import type { TokensOptions } from '../../src/token/options.ts'
import { createTokens } from '../../src/token/tokens.ts'
import { CLIENT, startTokenServer, type TokenAnswer, type TokenServer } from '../support/token-server.ts'

describe('a token endpoint over HTTP', () => {
  let idp: TokenServer
  beforeAll(async () => {
    idp = await startTokenServer()
  })
  afterAll(() => idp.stop())
  beforeEach(() => {
    idp.answer = undefined
    idp.calls = 0
    idp.expiresIn = 86_400
    idp.apiCalls.length = 0
  })
  const client = (options: Partial<TokensOptions> = {}) =>
    createTokens({ tokenUrl: idp.tokenUrl, ...CLIENT, params: { scopes: 'PublicApi.Access' }, ...options })

  const html = '<!doctype html><h1>Sign in</h1>'
  const faults: [what: string, answer: TokenAnswer, reason: string][] = [
    ['a web page', { text: html }, 'not-json'],
    ['a web page with an error status', { status: 404, text: html }, 'refused'],
    ['200 without a token', { json: { token_type: 'bearer' } }, 'no-token'],
    ['an empty answer', { text: '' }, 'not-json'],
    ['a token that is no text', { json: { access_token: { a: 1 } } }, 'no-token'],
    ['a token that would break a header', { json: { access_token: 'a\r\nx-evil: 1' } }, 'no-token'],
    ['a life that is no number', { json: { access_token: 'a', expires_in: 'soon' } }, 'no-token'],
    ['a life of nothing', { json: { access_token: 'a', expires_in: 0 } }, 'no-token'],
    ['a negative life', { json: { access_token: 'a', expires_in: -5 } }, 'no-token'],
    ['a life in words', { json: { access_token: 'a', expires_in: '1 hour' } }, 'no-token'],
    ['a life in hexadecimal', { json: { access_token: 'a', expires_in: '0x10' } }, 'no-token'],
    ['a life of spaces', { json: { access_token: 'a', expires_in: ' ' } }, 'no-token'],
    ['a negative life as text', { json: { access_token: 'a', expires_in: '-3600' } }, 'no-token'],
    ['a life that is true', { json: { access_token: 'a', expires_in: true } }, 'no-token'],
    ['a life that is a list', { json: { access_token: 'a', expires_in: [3_600] } }, 'no-token'],
    ['an error with status 200', { json: { error: 'invalid_client' } }, 'refused'],
    ['an array', { json: ['access_token'] }, 'not-json'],
    ['401', { status: 401, json: { error: 'invalid_client' } }, 'refused'],
    ['429', { status: 429, text: '', headers: { 'retry-after': '7' } }, 'busy'],
    ['500', { status: 500, text: html }, 'server'],
    ['503 with a date', { status: 503, text: '', headers: { 'retry-after': inFuture(90) } }, 'busy'],
    ['a redirect', { status: 302, text: '', headers: { location: 'http://127.0.0.1:1/steal' } }, 'redirect'],
    ['far too much', { text: 'x'.repeat(200_000) }, 'too-large'],
  ]
  it.each(faults)('fails typed and bounded on %s', async (_, answer, reason) => {
    idp.answer = () => answer
    const error = await client()
      .get()
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TokenEndpointError)
    expect(error).toMatchObject({ code: 'TOKEN_ENDPOINT', reason })
    expect(idp.calls).toBe(1)
  })

  it.each<[unknown, number, number]>([
    ['3600', 3_400, 3_600],
    [' 3600 ', 3_400, 3_600],
    ['3600.5', 3_400, 3_600],
    [0.5, 0, 0.5],
    [1e308, 1e6, Number.MAX_SAFE_INTEGER / 1_000],
    ['9'.repeat(40), 1e6, Number.MAX_SAFE_INTEGER / 1_000],
    [null, 3_000, 3_600],
    ['', 3_000, 3_600],
  ])('takes a life of %j as far as it can be meant', async (given, least, most) => {
    const text = given === 1e308 ? '1e308' : JSON.stringify(given)
    idp.answer = () => ({ text: `{"access_token":"good","expires_in":${text}}` })
    const tokens = client()
    expect(await tokens.get()).toBe('good')
    const { usableForMs } = await tokens.describe()
    expect(usableForMs).toBeGreaterThan(least * 1_000 * 0.9)
    expect(usableForMs).toBeLessThanOrEqual(most * 1_000)
  })

  it('makes of any answer a token that fits a header, or a typed error that quotes nothing', async () => {
    const word = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('good', 'a b', 'a\r\nb: c', 'é'))
    const value = fc.oneof(word, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.array(word))
    const fields = fc.record(
      {
        access_token: value,
        expires_in: value,
        token_type: value,
        refresh_token: value,
        scope: value,
        error: value,
      },
      { requiredKeys: [] },
    )
    const body = fc.oneof(
      fields.map((json) => JSON.stringify(json)),
      fc.json(),
      fc.string({ maxLength: 200 }),
    )
    const status = fc.constantFrom(200, 201, 204, 304, 307, 400, 401, 403, 429, 500, 502, 503)
    const after = fc.option(fc.constantFrom('1', '-1', '1e9', 'soon', inFuture(5), '99999999999'))
    await fc.assert(
      fc.asyncProperty(body, status, after, async (text, code, retryAfter) => {
        const bare = code === 204 || code === 304
        const answer = async () =>
          new Response(bare ? null : text, {
            status: code,
            headers: retryAfter === null ? {} : { 'retry-after': retryAfter },
          })
        const got = await client({ fetch: answer })
          .get()
          .catch((error: unknown) => error)
        if (typeof got === 'string') {
          expect(code).toBeLessThan(300)
          expect(got).toMatch(/^[\x21-\x7e]+$/)
          expect(() => new Headers({ authorization: `Bearer ${got}` })).not.toThrow()
          return
        }
        expect(got).toBeInstanceOf(TokenEndpointError)
        const error = got as TokenEndpointError
        expect(error.retryAfter ?? 1).toBeGreaterThan(0)
        expect(error.retryAfter ?? 1).toBeLessThanOrEqual(3_600_000)
        if (text.length > 20) expect(inspect(error)).not.toContain(text)
      }),
      { numRuns: 100 },
    )
  })

  it('reads Retry-After as seconds and as a date', async () => {
    idp.answer = () => ({ status: 429, text: '', headers: { 'retry-after': '7' } })
    await expect(client().get()).rejects.toMatchObject({ retryAfter: 7_000 })
    idp.answer = () => ({ status: 503, text: '', headers: { 'retry-after': inFuture(90) } })
    const error = await client()
      .get()
      .catch((thrown: unknown) => thrown)
    expect((error as TokenEndpointError).retryAfter).toBeGreaterThan(80_000)
    expect((error as TokenEndpointError).retryAfter).toBeLessThanOrEqual(90_000)
  })

  it('gives up at the deadline when there is no answer', async () => {
    idp.answer = () => ({ silent: true })
    const started = performance.now()
    await expect(client({ deadline: 100 }).get()).rejects.toMatchObject({ reason: 'timeout' })
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('asks once more when the connection broke, but never with a refresh token or a code', async () => {
    let broken = 1
    const fetchOnce: TokensOptions['fetch'] = async (input, init) => {
      if (broken-- > 0) throw new TypeError('fetch failed', { cause: new Error('ECONNRESET') })
      return fetch(input, init)
    }
    const tokens = client({ fetch: fetchOnce })
    expect(await tokens.get()).toMatch(/^at-/)
    expect(tokens.counters()).toMatchObject({ calls: 2, failures: 0 })
    broken = 2
    await expect(client({ fetch: fetchOnce }).get()).rejects.toMatchObject({ reason: 'network' })
    const user = client({ fetch: fetchOnce, grant: 'refresh_token' }).for('u')
    broken = 1
    await expect(user.exchange({ code: 'good-code' })).rejects.toMatchObject({ reason: 'network' })
    await user.adopt('rt-1')
    const { calls } = idp
    broken = 1
    await expect(user.get()).rejects.toMatchObject({ code: 'TOKEN_ENDPOINT' })
    expect(idp.calls).toBe(calls)
  })

  it('says network where nobody listens', async () => {
    const closed = await startTokenServer()
    await closed.stop()
    await expect(client({ tokenUrl: closed.tokenUrl }).get()).rejects.toMatchObject({ reason: 'network' })
  })

  it('shows no secret in any error, whatever the endpoint echoes [S0-2] [S0-30] [B27]', async () => {
    const echo = CLIENT.clientSecret
    const answers: TokenAnswer[] = [
      { status: 400, json: { error: echo, error_description: echo } },
      { status: 500, text: `<pre>${echo}</pre>` },
      { json: { error: 'invalid_client', hint: echo } },
      { text: `{"access_token": "${echo}` },
      { status: 302, text: '', headers: { location: `http://127.0.0.1:1/?s=${echo}` } },
    ]
    for (const answer of answers) {
      idp.answer = () => answer
      const error = await client()
        .get()
        .catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TokenEndpointError)
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(echo)
      expect(JSON.stringify(error)).not.toContain(echo)
    }
    idp.answer = undefined
    const tokens = client()
    const token = await tokens.get()
    expect(inspect(tokens, { depth: 10, showHidden: true })).not.toContain(echo)
    expect(inspect(tokens, { depth: 10, showHidden: true })).not.toContain(token)
    expect(JSON.stringify(await tokens.describe())).not.toContain(token)
  })

  it('sends the form that KiotViet asks for, and the Retailer on API calls [L30] [S0-2]', async () => {
    const tokens = client()
    const response = await tokens.fetch(idp.apiUrl, { headers: { Retailer: 'shop1' } })
    expect(response.status).toBe(200)
    expect(idp.forms.at(-1)).toEqual({
      grant_type: 'client_credentials',
      client_id: CLIENT.clientId,
      client_secret: CLIENT.clientSecret,
      scopes: 'PublicApi.Access',
    })
    expect(idp.apiCalls[0]?.headers.retailer).toBe('shop1')
    expect(idp.apiCalls[0]?.headers.authorization).toMatch(/^Bearer at-/)
  })

  it('proves itself by HTTP Basic when told so, both parts form-encoded', async () => {
    let seen: string | null = null
    const fetchSpy: TokensOptions['fetch'] = async (_, init) => {
      seen = new Headers(init?.headers).get('authorization')
      expect(String(init?.body)).not.toContain('client_secret')
      return Response.json({ access_token: 'x', expires_in: 60 })
    }
    await client({ auth: 'basic', clientId: 'a b', clientSecret: 'p:q%', fetch: fetchSpy }).get()
    expect(seen).toBe(`Basic ${Buffer.from('a+b:p%3Aq%25').toString('base64')}`)
  })

  it('refreshes once after a 401 and sends each of 50 requests once more [L29] [B4]', async () => {
    const tokens = client()
    idp.revoke(await tokens.get())
    const responses = await Promise.all(
      Array.from({ length: 50 }, (_, i) => tokens.fetch(idp.apiUrl, { method: 'POST', body: `n=${i}` })),
    )
    expect(responses.map((each) => each.status)).toEqual(Array(50).fill(200))
    const bodies = await Promise.all(responses.map(async (each) => (await each.json()) as { body: string }))
    expect(bodies.map(({ body }) => body)).toEqual(Array.from({ length: 50 }, (_, i) => `n=${i}`))
    expect(idp.calls).toBe(2)
    expect(idp.apiCalls).toHaveLength(100)
    expect(tokens.counters().dropped).toBe(1)
  })

  it('hands a second 401 to the caller, and does not ask for a token for each', async () => {
    const tokens = client()
    idp.answer = () => ({ json: { access_token: 'never-good', expires_in: 3_600 } })
    const statuses = []
    for (let i = 0; i < 10; i++) statuses.push((await tokens.fetch(idp.apiUrl)).status)
    expect(statuses).toEqual(Array(10).fill(401))
    expect(idp.calls).toBeLessThanOrEqual(2)
  })

  it('does not send a stream twice', async () => {
    const tokens = client()
    idp.revoke(await tokens.get())
    const body = new Blob(['once']).stream()
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit
    expect((await tokens.fetch(idp.apiUrl, init)).status).toBe(401)
    expect(idp.apiCalls).toHaveLength(1)
    expect((await tokens.fetch(new Request(idp.apiUrl))).status).toBe(200)
  })

  it('sends the token to no other origin than those listed', async () => {
    const tokens = client({ origins: ['https://public.example.com'] })
    await expect(tokens.fetch(idp.apiUrl)).rejects.toMatchObject({ code: 'CONFIG' })
    expect(idp.apiCalls).toHaveLength(0)
  })

  it('never uses a token past its life, while tokens of 2 s come and go [S0-6] [B4]', async () => {
    idp.expiresIn = 2
    idp.expiredUses = 0
    const tokens = client()
    const end = performance.now() + 3_500
    while (performance.now() < end) {
      expect((await tokens.fetch(idp.apiUrl)).status).toBe(200)
    }
    expect(idp.expiredUses).toBe(0)
    expect(idp.calls).toBeGreaterThanOrEqual(3)
    expect(idp.calls).toBeLessThanOrEqual(6)
  })
})

function inFuture(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toUTCString()
}
