import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { answerOf, closeDesks, type Desk, openDesk, TOKENS } from './desk.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(async () => {
  await closeDesks()
  await redis.stop()
})

const long = 'x'.repeat(2_000)

/** Method, path, status; the caller is Enterprise. */
const WRONG: readonly [string, string, number][] = [
  ['GET', '/', 404],
  ['GET', '/api/v2/cache/stats', 404],
  ['GET', '/api/v1/cache', 404],
  ['GET', '/api/v1/cache/stats/', 404],
  ['GET', '//api/v1/cache/stats', 404],
  ['GET', '/api/v1/cache/stats%2f', 404],
  ['GET', '/api/v1/CACHE/stats', 404],
  ['GET', '/api/v1/cache/key/', 404],
  ['PUT', '/api/v1/cache/key/k', 405],
  ['PATCH', '/api/v1/limits/a/b', 405],
  ['OPTIONS', '/api/v1/me', 405],
  ['POST', '/api/v1/cache/clear', 405],
  ['DELETE', '/api/v1/audit', 405],
  ['GET', '/api/v1/once/k/resolve', 405],
  ['GET', '/api/v1/cache/keys?limit=-1', 400],
  ['GET', '/api/v1/cache/keys?limit=0', 400],
  ['GET', '/api/v1/cache/keys?limit=1e3', 400],
  ['GET', '/api/v1/cache/keys?limit=0x10', 400],
  ['GET', '/api/v1/cache/keys?limit=1&limit=2', 400],
  ['GET', '/api/v1/cache/keys?limit=9999999999999', 400],
  ['GET', '/api/v1/cache/keys?patern=*', 400],
  ['GET', '/api/v1/cache/keys?pattern=', 400],
  ['GET', `/api/v1/cache/keys?pattern=${'*'.repeat(2_000)}`, 400],
  ['GET', '/api/v1/cache/keys?pattern=a%0Ab', 400],
  ['GET', '/api/v1/cache/keys?cursor=1;2', 400],
  ['GET', '/api/v1/cache/keys?cursor=0.0', 400],
  ['GET', `/api/v1/cache/keys?cursor=${'9'.repeat(60)}~1`, 400],
  ['GET', '/api/v1/cache/tags?cursor=..~1', 400],
  ['GET', '/api/v1/locks?cursor=~', 400],
  ['GET', '/api/v1/locks?limit=-1', 400],
  ['GET', '/api/v1/once?state=gone', 400],
  ['GET', '/api/v1/sessions?user=7', 400],
  ['GET', '/api/v1/sessions?store=a%0Ab', 400],
  ['GET', '/api/v1/history?seconds=-5', 400],
  ['GET', '/api/v1/history?seconds=', 400],
  ['GET', '/api/v1/slowlog?limit=-1', 400],
  ['GET', '/api/v1/audit?cursor=%00', 400],
  ['GET', '/api/v1/audit?limit=-1', 400],
  ['GET', '/api/v1/cache/key/%E0%A4%A', 400],
  ['GET', '/api/v1/cache/key/%ff', 400],
  ['GET', '/api/v1/cache/key/a%0Ab', 400],
  ['GET', '/api/v1/cache/key/a%00b', 400],
  ['GET', '/api/v1/cache/key/k?reveal=yes', 400],
  ['GET', '/api/v1/cache/explain/a%0D%0Ab', 400],
  ['DELETE', '/api/v1/cache/key/a%0Ab', 400],
  ['DELETE', '/api/v1/cache/tags/a%0Ab', 400],
  ['DELETE', '/api/v1/cache/tags/red?mode=softly', 400],
  ['DELETE', '/api/v1/cache/clear', 400],
  ['DELETE', '/api/v1/cache/clear?confirm=', 400],
  ['DELETE', '/api/v1/cache/clear?confirm=*', 400],
  ['DELETE', '/api/v1/cache/clear?dryRun=maybe', 400],
  ['DELETE', '/api/v1/cache/clear?pattern=*&reveal=true', 400],
  ['DELETE', '/api/v1/locks/l', 400],
  ['DELETE', '/api/v1/locks/l?confirm=L', 400],
  ['DELETE', '/api/v1/locks/a%0Ab?confirm=a%0Ab', 400],
  ['DELETE', '/api/v1/limits/chat/a%0Ab', 400],
  ['DELETE', '/api/v1/limits/chat/team:1', 400],
  ['DELETE', '/api/v1/sessions/web/short', 400],
  ['DELETE', '/api/v1/sessions/web/users/a%0Ab', 400],
  ['DELETE', '/api/v1/tokens/a%20b', 400],
  ['DELETE', '/api/v1/tokens/none~x', 404],
  ['GET', '/api/v1/queues/none/dead-letters', 404],
  ['DELETE', '/api/v1/queues/none/dead-letters/x', 404],
]

/** Bodies for `POST /api/v1/once/k/resolve`. */
const BODIES: readonly [body: string, type: string, number][] = [
  ['{"as":"done"', 'application/json', 400],
  ['[]', 'application/json', 400],
  ['null', 'application/json', 400],
  ['"retry"', 'application/json', 400],
  ['', 'application/json', 400],
  ['{"as":"done","surprise":1}', 'application/json', 400],
  ['{"as":"done","__proto__":{"as":"retry"}}', 'application/json', 400],
  ['{"as":["done"]}', 'application/json', 400],
  ['{"as":"retry","force":"yes"}', 'application/json', 400],
  ['{"as":"failed","error":7}', 'application/json', 400],
  ['{"as":"retry"}', 'text/plain', 415],
  ['as=retry', 'application/x-www-form-urlencoded', 415],
  [`{"as":"done","result":"${'x'.repeat(300_000)}"}`, 'application/json', 413],
]

describe.each(['memory', 'Redis'])('bad input to the administration in %s', (where) => {
  async function setUp(): Promise<Desk> {
    const desk = await openDesk(where === 'Redis' ? redis.url : undefined)
    const { hf } = desk
    await hf.cache.set('k', 1, { tags: ['red'] })
    await hf.once('k', () => 'first')
    await hf.limiter('chat', { user: '1/hour' }).consume({ user: '1' })
    await hf.sessions('web').create({ a: 1 }, { user: 'ada' })
    await hf.lock('l', { renew: false, ttl: '5m' }).acquire()
    return desk
  }

  async function expectUntouched({ hf }: Desk): Promise<void> {
    expect(await hf.cache.get('k')).toBe(1)
    expect(await hf.once('k', () => 'again')).toBe('first')
    expect((await hf.limiter('chat', { user: '1/hour' }).peek({ user: '1' })).allowed).toBe(false)
    expect((await hf.sessions('web').list()).sessions).toHaveLength(1)
    expect((await hf.lock('l').inspect()).holders).toHaveLength(1)
  }

  it('is answered with the right problem, changes nothing, and stands in the audit log [S2-24, S3-41]', async () => {
    const desk = await setUp()
    for (const [method, path, expected] of WRONG) {
      const { status, type, body } = await desk.ask(method, path, 'E')
      expect([method, path, status]).toEqual([method, path, expected])
      expect(type).toBe('application/problem+json')
      expect(body).toMatchObject({ status: expected, detail: expect.any(String), title: expect.any(String) })
      const { body: log } = await desk.ask('GET', '/api/v1/audit?limit=1', 'E')
      const target = expect.any(String)
      expect([path, log.entries[0]]).toMatchObject([path, { who: 'eve', outcome: 'refused', target }])
    }
    await expectUntouched(desk)
  })

  it('as a body is refused by shape, kind and size [S3-41]', async () => {
    const desk = await setUp()
    for (const [text, type, expected] of BODIES) {
      const headers = { authorization: `Bearer ${TOKENS.E}`, 'content-type': type }
      const url = 'http://admin.test/api/v1/once/k/resolve'
      const request = new Request(url, { method: 'POST', headers, body: text })
      const answer = await answerOf(await desk.admin.fetch(request, { address: '127.0.0.1' }))
      expect([text.slice(0, 40), answer.status]).toEqual([text.slice(0, 40), expected])
      expect(answer.type).toBe('application/problem+json')
    }
    expect((await desk.ask('DELETE', '/api/v1/cache/key/k', 'E', { a: 1 })).status).toBe(400)
    await expectUntouched(desk)
  })

  it('as a limit of 10⁹ is brought down to what is allowed [S3-22]', async () => {
    const { ask } = await setUp()
    expect((await ask('GET', '/api/v1/cache/keys?limit=1000000000', 'E')).body.limit).toBe(1_000)
    for (const path of ['locks', 'once', 'cache/tags', 'sessions', 'tokens', 'audit', 'slowlog']) {
      expect([path, (await ask('GET', `/api/v1/${path}?limit=1000000000`, 'E')).status]).toEqual([path, 200])
    }
  })

  it('as a token is refused without a hint, and told to the audit log without the token [S3-38, S3-40]', async () => {
    const desk = await setUp()
    const tokens = [
      '',
      'x',
      long,
      'e'.repeat(39),
      `${'e'.repeat(40)} `,
      '\u00e9'.repeat(40),
      `${TOKENS.E},${TOKENS.B}`,
    ]
    const headers = [
      ...tokens.map((token) => `Bearer ${token}`),
      `Basic ${Buffer.from(`eve:${TOKENS.E}`).toString('base64')}`,
      TOKENS.E,
    ]
    for (const authorization of headers) {
      let request: Request
      try {
        request = new Request('http://admin.test/api/v1/audit', { headers: { authorization } })
      } catch {
        continue // no header at all
      }
      // Space around a field is no part of it.
      const isGood = authorization.trim() === `Bearer ${TOKENS.E}`
      const { status, type } = await answerOf(await desk.admin.fetch(request, { address: '10.0.0.1' }))
      expect([authorization.slice(0, 60), status]).toEqual([authorization.slice(0, 60), isGood ? 200 : 401])
      if (!isGood) expect(type).toBe('application/problem+json')
    }
    const cookie = new Request('http://admin.test/api/v1/audit', { headers: { cookie: `token=${TOKENS.E}` } })
    expect((await desk.admin.fetch(cookie, { address: '10.0.0.1' })).status).toBe(401)
    const { body } = await desk.ask('GET', '/api/v1/audit', 'E')
    expect(body.entries[0]).toMatchObject({ who: 'unknown', outcome: 'refused', address: '10.0.0.1' })
    for (const token of Object.values(TOKENS)) expect(JSON.stringify(body)).not.toContain(token)
    await expectUntouched(desk)
  })

  it('in a flood leaves room in the audit log for what was done [S3-41]', async () => {
    const { hf, ask } = await setUp()
    await hf.cache.set('gone', 1)
    await ask('DELETE', '/api/v1/cache/key/gone', 'B')
    for (let i = 0; i < 300; i++) await ask('GET', '/api/v1/nothing', 'B')
    const { body } = await ask('GET', '/api/v1/audit?limit=1000', 'E')
    expect(body.entries.length).toBeLessThan(250)
    expect(body.entries.some(({ action }: { action: string }) => action === 'cache.delete')).toBe(true)
  })
})
