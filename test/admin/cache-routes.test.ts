import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Admin, type AdminOptions, createAdmin } from '../../src/admin/admin.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const TOKENS = { C: 'c'.repeat(40), B: 'b'.repeat(40), E: 'e'.repeat(40), T: 't'.repeat(40) }
const GRANTS: AdminOptions['tokens'] = [
  { token: TOKENS.C, edition: 'community', name: 'carla' },
  { token: TOKENS.B, edition: 'business', name: 'bob' },
  { token: TOKENS.E, edition: 'enterprise', name: 'eve' },
  { token: TOKENS.T, edition: 'enterprise', name: 'tenant-a', namespace: 'a' },
]
const SECRET = 's'.repeat(32)
const JWT = { secret: SECRET, issuer: 'https://id.example', audience: 'holdfast-admin' }
const HERE = { address: '127.0.0.1' }

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const open: Holdfast[] = []
const admins: Admin[] = []
afterEach(async () => {
  await Promise.all(admins.splice(0).map((admin) => admin.close()))
  await Promise.all(open.splice(0).map((hf) => hf.close()))
})

let names = 0
describe.each(['memory', 'Redis'])('administration of a cache in %s', (where) => {
  function instance(): Holdfast {
    const hf = holdfast({
      namespace: `adm${names++}`,
      redis: where === 'Redis' ? redis.url : undefined,
      // What is asked here is not how a busy machine degrades.
      deadlines: { connect: '10s', read: '10s', write: '10s', invalidate: '10s' },
    })
    open.push(hf)
    return hf
  }
  async function start(options: Partial<AdminOptions> = {}) {
    const hf = options.holdfast ?? instance()
    await hf.ready('20s')
    const admin = createAdmin({ holdfast: hf, tokens: GRANTS, ...options })
    admins.push(admin)
    return {
      hf,
      admin,
      ask: (method: string, path: string, who?: keyof typeof TOKENS) => ask(admin, method, path, who),
    }
  }

  it('[S3-5, S3-41] opens each endpoint to the editions that include it, and to nobody without a token', async () => {
    const { hf, ask } = await start()
    await hf.cache.set('task:1', 1)
    const paths = [
      ['GET', '/api/v1/cache/stats', 'BE'],
      ['DELETE', '/api/v1/cache/clear?pattern=none:*', 'BE'],
      ['GET', '/api/v1/cache/keys', 'E'],
      ['GET', '/api/v1/cache/key/task:1', 'E'],
      ['GET', '/api/v1/cache/key/task:1?reveal=true', 'E'],
    ] as const
    for (const [method, path, may] of paths) {
      for (const who of ['C', 'B', 'E'] as const) {
        const { status, type } = await ask(method, path, who)
        expect([path, who, status]).toEqual([path, who, may.includes(who) ? 200 : 403])
        if (status === 403) expect(type).toBe('application/problem+json')
      }
      expect((await ask(method, path)).status).toBe(401)
    }
  })

  it('[S3-4, S3-19] reports statistics in the shape that its users know, and the hit rate in percent', async () => {
    const { hf, ask } = await start()
    for (let i = 0; i < 3; i++) await hf.cache.getOrSet(`k${i}`, () => i, { ttl: '1m' })
    for (let i = 0; i < 12; i++) await hf.cache.getOrSet(`k${i % 3}`, () => i, { ttl: '1m' })
    const { body } = await ask('GET', '/api/v1/cache/stats', 'B')
    expect(body).toMatchObject({
      status: 'enabled',
      server: {
        version: expect.stringMatching(where === 'Redis' ? /^\d+\.\d+\.\d+$/ : /^embedded$/),
        uptime_seconds: expect.any(Number),
        connected_clients: expect.any(Number),
      },
      memory: {
        used_memory: expect.stringMatching(/^[\d.]+[KMG]?B$/),
        peak_memory: expect.stringMatching(/^[\d.]+[KMG]?B$/),
        total_system_memory: expect.stringMatching(/^[\d.]+[GT]B$/),
        used_memory_bytes: expect.any(Number),
      },
      stats: { total_keys: 3, total_keys_exact: true, hits: 12, misses: 3, hit_rate: 80 },
    })
  })

  it('[S3-22] lists keys by pattern with their number, capped and continued by cursor', async () => {
    const { hf, ask } = await start()
    for (let i = 0; i < 25; i++) await hf.cache.set(`task:${i}`, i)
    await hf.cache.set('other', 1)
    const all = await ask('GET', '/api/v1/cache/keys?pattern=task:*&limit=100', 'E')
    expect(all.body).toMatchObject({ pattern: 'task:*', total_found: 25, limit: 100, truncated: false })
    expect(all.body.keys).toHaveLength(25)
    const first = await ask('GET', '/api/v1/cache/keys?pattern=task:*&limit=10', 'E')
    expect(first.body).toMatchObject({ total_found: 25, limit: 10 })
    const second = await ask(
      'GET',
      `/api/v1/cache/keys?pattern=task:*&limit=100&cursor=${encodeURIComponent(String(first.body.cursor))}`,
      'E',
    )
    expect(new Set([...first.body.keys, ...second.body.keys]).size).toBe(25)
    expect((await ask('GET', '/api/v1/cache/keys?limit=1000000000', 'E')).body.limit).toBe(1_000)
  })

  it('[S3-23, B22] shows a value with its life and kind, whatever its key is made of', async () => {
    const { hf, ask } = await start()
    const task = { id: '123', name: 'Sample', status: 'pending' }
    for (const key of ['task:123', 'a/b', 'mit Leerzeichen', 'ключ:1', 'x?y#z%']) {
      await hf.cache.set(key, task, { ttl: '5m' })
      const { status, body } = await ask('GET', `/api/v1/cache/key/${encodeURIComponent(key)}`, 'E')
      expect([key, status]).toEqual([key, 200])
      expect(body).toMatchObject({ key, value: task, type: 'object', valueType: 'object' })
      expect(body.ttl).toBeGreaterThan(200)
      expect(body.ttl).toBeLessThanOrEqual(300)
    }
    await hf.cache.namespace('users').set('7', [1], { ttl: '1m' })
    expect((await ask('GET', '/api/v1/cache/key/users%7C7', 'E')).body).toMatchObject({
      value: [1],
      type: 'array',
    })
    expect((await ask('GET', '/api/v1/cache/key/none', 'E')).status).toBe(404)
  })

  it('[S3-23] redacts secrets unless they are revealed, and then says who saw them', async () => {
    const { hf, ask } = await start()
    await hf.cache.set(
      'u',
      { name: 'Ada', password: 'pw-in-clear', nested: { apiKey: 'k-123' } },
      { ttl: '1m' },
    )
    const hidden = await ask('GET', '/api/v1/cache/key/u', 'E')
    expect(hidden.body.value).toEqual({
      name: 'Ada',
      password: '[redacted]',
      nested: { apiKey: '[redacted]' },
    })
    const shown = await ask('GET', '/api/v1/cache/key/u?reveal=true', 'E')
    expect(shown.body.value.password).toBe('pw-in-clear')
    const { body } = await ask('GET', '/api/v1/audit', 'E')
    expect(body.entries[0]).toMatchObject({
      who: 'eve',
      action: 'cache.reveal',
      target: 'u',
      count: 1,
      outcome: 'done',
    })
    expect(JSON.stringify(body)).not.toContain('pw-in-clear')
  })

  it('[S3-20, S3-21, B7] clears a pattern or, confirmed, all entries; counts without deleting; spares what is no cache', async () => {
    const { hf, ask } = await start()
    for (const key of ['task:1', 'task:2', 'other']) await hf.cache.set(key, 1)
    const limiter = hf.limiter('chat', '1/hour')
    await limiter.consume({ user: '1' })
    await hf.once('done', () => 1)
    const dry = await ask('DELETE', '/api/v1/cache/clear?pattern=task:*&dryRun=true', 'B')
    expect(dry.body).toMatchObject({ would_delete: 2, dryRun: true })
    expect(await hf.cache.has('task:1')).toBe(true)
    expect((await ask('DELETE', '/api/v1/cache/clear?pattern=task:*', 'B')).body).toMatchObject({
      deleted: 2,
    })
    expect(await hf.cache.has('task:1')).toBe(false)
    expect((await ask('DELETE', '/api/v1/cache/clear', 'B')).status).toBe(400)
    expect((await ask('DELETE', '/api/v1/cache/clear?confirm=wrong', 'B')).status).toBe(400)
    expect(await hf.cache.has('other')).toBe(true)
    expect((await ask('DELETE', `/api/v1/cache/clear?confirm=${hf.namespace}`, 'B')).status).toBe(200)
    expect(await hf.cache.has('other')).toBe(false)
    expect((await limiter.consume({ user: '1' })).allowed).toBe(false)
    let ran = false
    await hf.once('done', () => {
      ran = true
      return 2
    })
    expect(ran).toBe(false)
    const { body } = await ask('GET', '/api/v1/audit?limit=10', 'E')
    const done = body.entries.map(({ action, target, count, outcome }: Record<string, unknown>) => ({
      action,
      target,
      count,
      outcome,
    }))
    expect(done).toContainEqual({ action: 'cache.clear', target: 'task:*', count: 2, outcome: 'done' })
    expect(done).toContainEqual(
      expect.objectContaining({ action: 'DELETE /api/v1/cache/clear', outcome: 'refused' }),
    )
  })

  it('[S3-6, S3-41, B19] keeps a tenant inside its namespace', async () => {
    const { hf, ask } = await start()
    await hf.cache.namespace('a').set('mine', 1)
    await hf.cache.namespace('b').set('theirs', 2)
    await hf.cache.set('root', 3)
    expect((await ask('GET', '/api/v1/cache/keys', 'T')).body.keys).toEqual(['mine'])
    for (const key of ['theirs', 'b|theirs', 'root', '../b|theirs']) {
      expect((await ask('GET', `/api/v1/cache/key/${encodeURIComponent(key)}`, 'T')).status).toBe(404)
    }
    expect((await ask('DELETE', '/api/v1/cache/clear?pattern=*', 'T')).body).toMatchObject({ deleted: 1 })
    expect((await ask('DELETE', `/api/v1/cache/clear?confirm=${hf.namespace}`, 'T')).status).toBe(400)
    expect(await hf.cache.namespace('b').get('theirs')).toBe(2)
    expect(await hf.cache.get('root')).toBe(3)
  })

  it('answers unknown paths, methods, queries and tricks with a problem, and changes nothing', async () => {
    const { hf, ask } = await start({ dashboard: false })
    await hf.cache.set('k', 1)
    const wrong: [string, string, number][] = [
      ['GET', '/', 404],
      ['GET', '/api/v1/cache/nothing', 404],
      ['GET', '/api/v1/cache/key/', 404],
      ['PUT', '/api/v1/cache/key/k', 405],
      ['POST', '/api/v1/cache/clear', 405],
      ['GET', '/api/v1/cache/keys?limit=-1', 400],
      ['GET', '/api/v1/cache/keys?limit=1e3', 400],
      ['GET', '/api/v1/cache/keys?limit=1&limit=2', 400],
      ['GET', '/api/v1/cache/keys?patern=*', 400],
      ['GET', '/api/v1/cache/keys?pattern=', 400],
      ['GET', `/api/v1/cache/keys?pattern=${'*'.repeat(2_000)}`, 400],
      ['GET', '/api/v1/cache/keys?cursor=1;2', 400],
      ['GET', '/api/v1/cache/key/%E0%A4%A', 400],
      ['GET', '/api/v1/cache/key/a%0Ab', 400],
      ['GET', '/api/v1/cache/key/a%00b', 400],
      ['DELETE', '/api/v1/cache/clear?dryRun=maybe', 400],
      ['DELETE', '/api/v1/cache/clear?pattern=*&reveal=true', 400],
    ]
    for (const [method, path, expected] of wrong) {
      const { status, type, body } = await ask(method, path, 'E')
      expect([path, status]).toEqual([path, expected])
      expect(type).toBe('application/problem+json')
      expect(body).toMatchObject({ status: expected, detail: expect.any(String) })
    }
    expect(await hf.cache.get('k')).toBe(1)
  })
})

describe('who may administer', () => {
  const hf = holdfast()
  afterAll(() => hf.close())

  it('takes signed tokens of the configured issuer, and none that is forged, expired or for another', async () => {
    const admin = createAdmin({ holdfast: hf, jwt: JWT })
    const sign = (claims: Record<string, unknown>, change: (jwt: SignJWT) => SignJWT = (jwt) => jwt) =>
      change(
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .setIssuer(JWT.issuer)
          .setAudience(JWT.audience)
          .setSubject('ada')
          .setExpirationTime('5m'),
      ).sign(new TextEncoder().encode(SECRET))
    const status = async (token: string) =>
      (await admin.fetch(request('GET', '/api/v1/cache/stats', token), HERE)).status
    expect(await status(await sign({ edition: 'business' }))).toBe(200)
    expect(await status(await sign({ edition: 'community' }))).toBe(403)
    expect(await status(await sign({ edition: 'root' }))).toBe(401)
    expect(await status(await sign({}))).toBe(401)
    expect(await status(await sign({ edition: 'business', tenant: 7 }))).toBe(401)
    expect(await status(await sign({ edition: 'business' }, (jwt) => jwt.setAudience('another')))).toBe(401)
    expect(
      await status(await sign({ edition: 'business' }, (jwt) => jwt.setIssuer('https://evil.example'))),
    ).toBe(401)
    expect(await status(await sign({ edition: 'business' }, (jwt) => jwt.setExpirationTime('-1m')))).toBe(401)
    const good = await sign({ edition: 'business' })
    const [head, body] = good.split('.')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    expect(await status(`${none}.${body}.`)).toBe(401)
    expect(await status(`${head}.${body}.${'A'.repeat(43)}`)).toBe(401)
  })

  it('[S3-37, S3-40] without tokens answers its own machine, and no page of another site there', async () => {
    expect(() => createAdmin({ holdfast: hf })).toThrow(/who may administer/)
    const admin = createAdmin({ holdfast: hf, open: true })
    const status = async (url: string, headers: Record<string, string> = {}, address = '127.0.0.1') =>
      (await admin.fetch(new Request(url, { headers }), { address })).status
    const url = 'http://127.0.0.1:9000/api/v1/cache/stats'
    expect(await status(url)).toBe(200)
    expect(await status(url, {}, '::1')).toBe(200)
    expect(await status(url, {}, '10.0.0.9')).toBe(403)
    expect(await status(url, { origin: 'https://evil.example' })).toBe(403)
    expect(await status(url, { 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await status('http://rebound.example:9000/api/v1/cache/stats')).toBe(403)
  })

  it('refuses weak or contradicting credentials when it is made', () => {
    const grant = { edition: 'business', name: 'x' } as const
    expect(() => createAdmin({ holdfast: hf, tokens: [{ ...grant, token: 'short' }] })).toThrow(
      /32 characters/,
    )
    expect(() => createAdmin({ holdfast: hf, tokens: [{ ...grant, sha256: 'zz' }] })).toThrow(/SHA-256/)
    expect(() => createAdmin({ holdfast: hf, tokens: GRANTS, open: true })).toThrow(/contradicts/)
    expect(() => createAdmin({ holdfast: hf, jwt: { ...JWT, secret: 'short' } })).toThrow(/32 bytes/)
    expect(() => createAdmin({ holdfast: hf, jwt: { ...JWT, audience: '' } })).toThrow(/audience/)
    expect(() => createAdmin({ holdfast: hf, tokens: [...GRANTS!, ...GRANTS!] })).toThrow(/name/)
  })

  it('[S2-25] limits how often somebody may change things, and strangers guess', async () => {
    const own = holdfast()
    open.push(own)
    const admin = createAdmin({
      holdfast: own,
      tokens: GRANTS,
      limits: { writes: '2/minute', strangers: '3/minute' },
    })
    const statuses: number[] = []
    for (let i = 0; i < 3; i++) statuses.push((await ask(admin, 'DELETE', '/api/v1/cache/key/x', 'B')).status)
    expect(statuses).toEqual([200, 200, 429])
    for (let i = 0; i < 3; i++) expect((await ask(admin, 'GET', '/api/v1/cache/stats')).status).toBe(401)
    expect((await ask(admin, 'GET', '/api/v1/cache/stats')).status).toBe(429)
    expect((await ask(admin, 'GET', '/api/v1/cache/stats', 'B')).status).toBe(200)
  })
})

function request(method: string, path: string, token?: string): Request {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Request(`http://admin.test${path}`, { method, headers })
}

interface Answer {
  readonly status: number
  readonly type: string | null
  // biome-ignore lint/suspicious/noExplicitAny: bodies are asserted field by field
  readonly body: any
}

async function ask(admin: Admin, method: string, path: string, who?: keyof typeof TOKENS): Promise<Answer> {
  const response = await admin.fetch(request(method, path, who && TOKENS[who]), HERE)
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: await response.json(),
  }
}
