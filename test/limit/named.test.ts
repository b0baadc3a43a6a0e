import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFromEnv } from '../../src/config.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { rateLimitHeaders } from '../../src/limit/headers.ts'
import type { Limiter } from '../../src/limit/limiter.ts'
import { clientAddress } from '../../src/limit/proxy.ts'
import { refusal } from '../../src/limit/refusal.ts'
import { parseLimit } from '../../src/limit/spec.ts'
import type { Subject } from '../../src/limit/subject.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { parseList } from '../support/structured-fields.ts'

const CATEGORIES = {
  default: '100/hour',
  query: '20/minute',
  upload: '50/hour',
  dataset_ops: '200/hour',
  auth: '10/minute',
}
/** A busy machine must not make a limiter decide by its outage policy. */
const deadline = 10_000

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const instance = (env: Record<string, string> = {}, limits: Record<string, string> = CATEGORIES) =>
  holdfast(configFromEnv({ REDIS_URL: redis.url, ...env }, { limits }).options)

/** An HTTP server of a few lines: `GET /<limiter>` by the subject that the request shows. */
async function serve(
  limiters: Record<string, Limiter>,
  subjectOf: (headers: Headers, peer: string) => Subject,
) {
  const server = createServer(async (request, response) => {
    const headers = new Headers(request.headers as Record<string, string>)
    const decision = await limiters[request.url!.slice(1)]!.consume(
      subjectOf(headers, request.socket.remoteAddress!),
    )
    if (decision.degraded) throw new Error('Redis did not decide')
    const answer = decision.allowed
      ? { status: 200, headers: rateLimitHeaders(decision), body: {} }
      : refusal(decision)
    response.writeHead(answer.status, answer.headers).end(JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(`http://127.0.0.1:${port}/${path}`, { headers }),
    stop: () => stop(server),
  }
}

const stop = (server: Server) =>
  new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

describe('named limits of an instance, over HTTP', () => {
  it('are three of their own: call n+1 of requests, messages, connection calls is a 429, user B is not touched [S0-7, S0-8, S0-9]', async () => {
    const limits = { requests: '6/minute', 'chat-messages': '4/minute', 'mcp-calls': '3/minute' }
    await using hf = instance({ HOLDFAST_NAMESPACE: 'three' }, limits)
    const names = Object.keys(limits) as (keyof typeof limits)[]
    const kinds = { requests: 'user', 'chat-messages': 'user', 'mcp-calls': 'connection' }
    for (const name of names) {
      const limiters = { [name]: hf.limiter(name, undefined, { deadline }) }
      const http = await serve(limiters, (headers) => ({ [kinds[name]]: headers.get('x-id')! }))
      const { limit } = parseLimit(limits[name])
      for (let call = 1; call <= limit; call++) {
        const answer = await http.get(name, { 'x-id': 'A' })
        expect([answer.status, parseList(answer.headers.get('RateLimit')!)[0]!.parameters.r]).toEqual([
          200,
          limit - call,
        ])
      }
      const refused = await http.get(name, { 'x-id': 'A' })
      expect(refused.status).toBe(429)
      expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1)
      expect(Number(refused.headers.get('Retry-After'))).toBeLessThanOrEqual(60)
      expect(parseList(refused.headers.get('RateLimit')!)[0]!.parameters.r).toBe(0)
      expect(parseList(refused.headers.get('RateLimit-Policy')!)[0]!.parameters).toEqual({ q: limit, w: 60 })
      expect(refused.headers.get('Content-Type')).toBe('application/problem+json')
      expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': [`${limit}/1m`] })
      expect((await http.get(name, { 'x-id': 'B' })).status).toBe(200)
      await http.stop()
    }
  })

  it('deny call n+1 of each category with 429, whatever the others have used [S4-21, S4-22, S4-23, S4-24, S4-25]', async () => {
    await using hf = instance({ HOLDFAST_NAMESPACE: 'seeds' })
    const limiters = Object.fromEntries(
      Object.keys(CATEGORIES).map((name) => [name, hf.limiter(name, undefined, { deadline })]),
    )
    const http = await serve(limiters, () => ({ user: 'u' }))
    for (const [name, words] of Object.entries(CATEGORIES)) {
      const calls = Array.from({ length: parseLimit(words).limit }, () => http.get(name))
      expect(new Set((await Promise.all(calls)).map(({ status }) => status))).toEqual(new Set([200]))
      const refused = await http.get(name)
      expect([name, refused.status]).toEqual([name, 429])
      expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1)
    }
    await http.stop()
  })

  it('hold per user and per address: the 21st query of a minute is a 429, and a spoofed X-Forwarded-For changes nothing [S4-3]', async () => {
    await using hf = instance({ HOLDFAST_NAMESPACE: 'pairs' })
    const query = hf.limiter('query', undefined, { deadline })
    const untrusting = clientAddress(['10.0.0.0/8'])
    const behind = clientAddress(['loopback'])
    let addressOf = untrusting
    const http = await serve({ query }, (headers, peer) => ({
      user: headers.get('x-user')!,
      ip: addressOf(peer, headers.get('x-forwarded-for') ?? undefined),
    }))
    const ask = async (user: string, from?: string) =>
      (await http.get('query', { 'x-user': user, ...(from ? { 'x-forwarded-for': from } : {}) })).status
    for (let call = 1; call <= 20; call++) expect(await ask(`u${call}`, `198.51.100.${call}`)).toBe(200)
    expect(await ask('u21', '198.51.100.21')).toBe(429)
    // From a proxy that is trusted the same field counts, and IPv6 counts by its /64.
    addressOf = behind
    for (let call = 1; call <= 20; call++) expect(await ask(`v${call}`, `2001:db8:7:7::${call}`)).toBe(200)
    expect(await ask('v21', '2001:db8:7:7:ffff::1')).toBe(429)
    expect(await ask('v22', '2001:db8:7:8::1')).toBe(200)
    await http.stop()
  })
})

describe('categories', () => {
  const words = (hf: Holdfast, name: string, limits?: string) =>
    hf
      .limiter(name, limits)
      .peek('a')
      .then((decision) => decision.limits.map((one) => one.name))

  it('come from the variables, else from the options, else from the call, else from `default` [S4-21, S4-22, S4-24]', async () => {
    const env = { RATE_LIMIT_QUERY: '30/minute', RATE_LIMIT_DATASET_OPS: '10/s burst 20; 500/hour' }
    const config = configFromEnv({ ...env, RATE_LIMIT_CHAT: '7/minute' }, { limits: CATEGORIES })
    expect(config.sources).toMatchObject({
      'limits.categories.query': 'RATE_LIMIT_QUERY',
      'limits.categories.dataset_ops': 'RATE_LIMIT_DATASET_OPS',
    })
    await using hf = holdfast(config.options)
    expect(await words(hf, 'query')).toEqual(['30/1m'])
    expect(await words(hf, 'dataset_ops')).toEqual(['10/1s burst 20', '500/1h'])
    expect(await words(hf, 'upload')).toEqual(['50/1h'])
    expect(await words(hf, 'chat', '20/minute')).toEqual(['7/1m'])
    expect(await words(hf, 'mail', '3/day')).toEqual(['3/1d'])
    expect(await words(hf, 'anything')).toEqual(['100/1h'])
  })

  it('may be given by kind of subject, and nothing is guessed where there is none', async () => {
    await using hf = holdfast({ limits: { categories: { query: { user: '2/minute', ip: '9/minute' } } } })
    const { limits } = await hf.limiter('query').peek({ user: 1, ip: '192.0.2.1' })
    expect(limits.map(({ kind, limit }) => [kind, limit])).toEqual([
      ['user', 2],
      ['ip', 9],
    ])
    expect(() => hf.limiter('other')).toThrow(/no limits for 'other'/)
    expect(() => hf.limiter('toString')).toThrow(/no limits/)
  })

  it('are refused with the name of the variable, before anything is limited', () => {
    expect(() => configFromEnv({ RATE_LIMIT_QUERY: 'hunter2' })).toThrow(/RATE_LIMIT_QUERY/)
    expect(() => configFromEnv({ RATE_LIMIT_QUERY: 'hunter2' })).not.toThrow(/hunter2/)
    expect(() => holdfast({ limits: { categories: { query: 'often' } } })).toThrow(/often/)
    expect(() => holdfast({ limits: { enabeld: false } } as object)).toThrow(/did you mean 'enabled'/)
  })

  it('are all off with RATE_LIMIT_ENABLED=false, also those with limits of their own [S4-9]', async () => {
    const { options, features, sources } = configFromEnv(
      { RATE_LIMIT_ENABLED: 'false' },
      { limits: CATEGORIES },
    )
    expect([features.rateLimit, sources['limits.enabled']]).toEqual([false, 'RATE_LIMIT_ENABLED'])
    await using hf = holdfast(options)
    for (const limiter of [hf.limiter('auth'), hf.limiter('own', '1/hour')]) {
      for (let call = 0; call < 12; call++) expect((await limiter.consume('a')).allowed).toBe(true)
    }
  })
})
