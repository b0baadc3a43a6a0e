import { inspect } from 'node:util'
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
