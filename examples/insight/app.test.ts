import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { holdfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBackend } from '../../src/cli/demo-backend.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { freePort } from '../../test/support/free-port.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { until } from '../../test/support/until.ts'
import { LLM_KEY, type Llm, startLlm } from '../simulators/llm.ts'
import { type Postgres, startPostgres } from '../simulators/postgres.ts'
import { FAULTS } from '../simulators/simulator.ts'
import { Accounts } from './accounts.ts'
import { Analyst } from './analyst.ts'
import { createApp } from './app.ts'
import { Client } from './client.ts'
import { Connections } from './connection.ts'
import { Database } from './database.ts'
import { startInsight } from './server.ts'
import { LIMITS, settingsFrom, TTLS } from './settings.ts'

const PEOPLE = ['ada@acme', 'bob@acme', 'eve@evil', 'pat@embedded', 'pat@redis']
const PASSWORD = 'a-password'
const SALES = 'region,sales\nnorth,10\nsouth,32'
const TOTAL = 'What is the total of sales?'
const HIT = 'holdfast; hit'
const MISS = 'holdfast; fwd=uri-miss; stored'

let postgres: Postgres
let llm: Llm
let redis: RedisServer
const open: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  ;[postgres, llm, redis] = await Promise.all([startPostgres(), startLlm(), startRedis()])
})
afterAll(async () => {
  for (const part of open.reverse()) await part.close()
  await stopAllRedis()
  await llm.close()
  await postgres.close()
})

const environment = (env: Record<string, string>) => ({
  DATABASE_URL: postgres.url,
  LLM_URL: llm.url,
  PORT: '0',
  ACCOUNTS: PEOPLE.map((user) => `${user}:${PASSWORD}`).join(),
  ENCRYPTION_KEY: KEY,
  HOLDFAST_NAMESPACE: `insight-${++instances}`,
  ...env,
})
let instances = 0
const KEY = randomBytes(32).toString('base64')

/** The backend as its environment makes it, on a free port. */
async function start(env: Record<string, string> = {}, clock?: FakeClock) {
  const server = await startInsight(environment(env), clock)
  open.push(server)
  const healthy = async () => (await new Client(server.url).get('/healthz')).body?.status === 'ok'
  return {
    url: server.url,
    healthy: () => until('it is connected', healthy, 20_000),
    as: async (user: string) => {
      const client = new Client(server.url)
      expect((await client.signIn(user, PASSWORD)).status).toBe(200)
      return client
    },
  }
}

async function upload(client: Client, csv = SALES): Promise<string> {
  const added = await client.csv('POST', '/api/v1/datasets?name=sales', csv)
  expect(added).toMatchObject({ status: 201, body: { name: 'sales', rows: csv.split('\n').length - 1 } })
  return added.body.id
}

describe.each(['embedded', 'redis'] as const)('the insight API on %s', (driver) => {
  let insight: Awaited<ReturnType<typeof start>>
  const place = (): Record<string, string> => (driver === 'redis' ? { REDIS_URL: redis.url } : {})
  const unlimited = {
    RATE_LIMIT_QUERY: '9999/minute',
    RATE_LIMIT_AUTH: '999/minute',
    RATE_LIMIT_UPLOAD: '999/hour',
  }
  beforeAll(async () => {
    insight = await start({ ...place(), ...unlimited })
    await insight.healthy()
  })

  it('lists, shows and asks from the cache, and remembers the conversation [S4-1][S4-4]', async () => {
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    expect(await ada.get('/api/v1/datasets')).toMatchObject({ status: 200, cache: MISS })
    expect((await ada.get('/api/v1/datasets')).cache).toBe(HIT)
    expect(await ada.get(`/api/v1/datasets/${id}`)).toMatchObject({ cache: MISS, body: { csv: SALES } })
    expect((await ada.get(`/api/v1/datasets/${id}`)).cache).toBe(HIT)
    const before = llm.calls().total
    const answer = 'The total sales over 2 rows is 42.'
    expect(await ada.ask(id, TOTAL)).toMatchObject({ cache: MISS, body: { answer, model: 'sim-small' } })
    expect(await ada.ask(id, '  what is the TOTAL of sales ')).toMatchObject({ cache: HIT, body: { answer } })
    expect(llm.calls().total - before).toBe(1)
    const { history } = (await ada.get('/api/v1/session')).body
    expect(history).toEqual([
      { dataset: id, question: TOTAL, answer },
      { dataset: id, question: 'what is the TOTAL of sales', answer },
    ])
    expect(await ada.get('/api/v1/models')).toMatchObject({ body: { models: ['sim-small', 'sim-large'] } })
    expect((await ada.get('/api/v1/models')).cache).toBe(HIT)
    expect((await ada.send('POST', '/api/v1/auth/sign-out')).status).toBe(204)
    expect((await ada.get('/api/v1/session')).status).toBe(401)
  })

  it('answers from a changed content at once, and from a removed one never', async () => {
    const [ada, bob] = [await insight.as('ada@acme'), await insight.as('bob@acme')]
    const id = await upload(ada)
    await bob.get('/api/v1/datasets')
    await bob.ask(id, TOTAL)
    expect((await ada.csv('PUT', `/api/v1/datasets/${id}/content`, `${SALES}\nwest,8`)).status).toBe(200)
    expect((await bob.ask(id, TOTAL)).body.answer).toBe('The total sales over 3 rows is 50.')
    const row = (await bob.get('/api/v1/datasets')).body.datasets.find((one: { id: string }) => one.id === id)
    expect(row.rows).toBe(3)
    expect((await ada.send('DELETE', `/api/v1/datasets/${id}`)).status).toBe(204)
    expect((await bob.get(`/api/v1/datasets/${id}`)).status).toBe(404)
    expect((await bob.ask(id, TOTAL)).status).toBe(404)
    expect((await bob.get('/api/v1/datasets')).text).not.toContain(id)
  })

  it('shares answers within a team, and never answers one team from another`s cache [B17]', async () => {
    const [ada, bob, eve] = await Promise.all(PEOPLE.slice(0, 3).map((user) => insight.as(user)))
    const id = await upload(ada!)
    await ada!.ask(id, TOTAL)
    expect((await bob!.ask(id, TOTAL)).cache).toBe(HIT)
    for (let round = 0; round < 2; round++) {
      expect((await eve!.get(`/api/v1/datasets/${id}`)).status).toBe(404)
      expect((await eve!.ask(id, TOTAL)).status).toBe(404)
      expect((await eve!.csv('PUT', `/api/v1/datasets/${id}/content`, SALES)).status).toBe(404)
      expect((await eve!.send('DELETE', `/api/v1/datasets/${id}`)).status).toBe(404)
      expect((await eve!.get('/api/v1/datasets')).text).not.toContain(id)
    }
    expect((await ada!.get(`/api/v1/datasets/${id}`)).status).toBe(200)
  })

  it('imports from a database of the team, read only, from known servers alone', async () => {
    const allowed = await start({ ...place(), PG_HOSTS: '127.0.0.1' })
    const ada = await allowed.as(`pat@${driver}`)
    expect((await ada.get('/api/v1/connection')).status).toBe(404)
    expect((await ada.put('/api/v1/connection', { url: 'postgres://u:p@10.0.0.1/x' })).status).toBe(422)
    expect((await ada.put('/api/v1/connection', { url: postgres.url })).status).toBe(204)
    expect((await ada.get('/api/v1/connection')).body).toMatchObject({ host: '127.0.0.1', user: 'postgres' })
    const sql = `select n, 'a "b", c' as text from generate_series(1, 3) n`
    const imported = await ada.post('/api/v1/datasets/import?name=numbers', { sql })
    expect(imported).toMatchObject({ status: 201, body: { columns: ['n', 'text'], rows: 3 } })
    expect((await ada.ask(imported.body.id, 'highest n')).body.answer).toContain('is 3.')
    for (const bad of [
      'delete from datasets returning 1',
      'select 1) a; commit; select (1',
      'select 1; select 2',
      'nonsense',
    ]) {
      const refused = await ada.post('/api/v1/datasets/import?name=numbers', { sql: bad })
      expect([bad, refused.status, refused.text.includes('postgres')]).toEqual([bad, 422, false])
    }
    expect((await ada.get(`/api/v1/datasets/${imported.body.id}`)).status).toBe(200)
  })

  it('answers wrong requests with problem details and the right status', async () => {
    const ada = await insight.as('ada@acme')
    const [nobody, eve] = [new Client(insight.url), await insight.as('eve@evil')]
    const id = await upload(ada)
    const json = { 'content-type': 'application/json' }
    const cases = [
      [await nobody.get('/api/v1/datasets'), 401],
      [await nobody.ask(id, TOTAL), 401],
      [await nobody.signIn('ada@acme', 'wrong-password'), 401],
      [await nobody.signIn('toString', 'wrong-password'), 401],
      [await nobody.signIn('a\u0000b', 'wrong-password'), 400],
      [await nobody.post('/api/v1/auth/sign-in', { user: 7 }), 422],
      [await nobody.get('/api/v1/nothing'), 404],
      [await ada.get('/api/v1/datasets/7'), 400],
      [await ada.get('/api/v1/datasets/123e4567-e89b-12d3-a456-426614174000'), 404],
      [await ada.csv('POST', '/api/v1/datasets', SALES), 400],
      [await ada.csv('POST', '/api/v1/datasets?name=a', ''), 415],
      [await ada.post('/api/v1/datasets?name=a', {}), 415],
      [await ada.send('POST', '/api/v1/datasets?name=a', 'a', { 'content-type': 'text/plain' }), 415],
      [await ada.csv('POST', '/api/v1/datasets?name=a', 'a,a\n1,2'), 422],
      [await ada.csv('POST', '/api/v1/datasets?name=a', 'a,b\n1'), 422],
      [await ada.csv('POST', '/api/v1/datasets?name=a', 'a,b\n1,\0'), 422],
      [await ada.csv('POST', '/api/v1/datasets?name=a', `a\n${'1\n'.repeat(1_100_000)}`), 413],
      [await ada.send('POST', `/api/v1/datasets/${id}/query`, '{"question":', json), 400],
      [await ada.ask(id, ' '), 422],
      [await ada.post(`/api/v1/datasets/${id}/query`, { question: 'a', more: 1 }), 422],
      [await ada.post(`/api/v1/datasets/${id}/query`, { question: 'a', model: 'none' }), 422],
      [await ada.put('/api/v1/connection', { url: 'http://127.0.0.1/' }), 422],
      [await eve.post('/api/v1/datasets/import?name=a', { sql: 'select 1' }), 404],
    ] as const
    for (const [index, [answer, status]] of cases.entries()) {
      expect([index, answer.status, answer.type, answer.body?.status]).toEqual([
        index,
        status,
        'application/problem+json',
        status,
      ])
    }
  })

  it('refuses call n+1 of each category with 429, whatever the others have used [S4-21][S4-22][S4-23][S4-24][S4-25]', async () => {
    const limited = await start(place())
    await limited.healthy()
    const ada = await limited.as('ada@acme')
    const id = await upload(ada)
    const calls: Record<keyof typeof LIMITS, [() => ReturnType<Client['get']>, used: number]> = {
      default: [() => ada.get('/api/v1/models'), 0],
      query: [() => ada.ask(id, TOTAL), 0],
      upload: [() => ada.csv('PUT', `/api/v1/datasets/${id}/content`, SALES), 1],
      dataset_ops: [() => ada.get('/api/v1/datasets'), 0],
      auth: [() => ada.signIn('ada@acme', PASSWORD), 1],
    }
    for (const [category, [call, used]] of Object.entries(calls)) {
      const limit = Number.parseInt(LIMITS[category as keyof typeof LIMITS], 10)
      for (let n = used; n < limit; n++)
        expect([category, n, (await call()).status]).toEqual([category, n, 200])
      const refused = await call()
      expect([category, refused.status, refused.type]).toEqual([category, 429, 'application/problem+json'])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })

  it('counts 20 queries a minute per user and per address, and believes no X-Forwarded-For [S4-3]', async () => {
    const limited = await start(place())
    await limited.healthy()
    const [ada, bob] = [await limited.as('ada@acme'), await limited.as('bob@acme')]
    const id = await upload(ada)
    for (let n = 0; n < 20; n++) expect((await ada.ask(id, TOTAL)).status).toBe(200)
    const spoofed = (n: number) => ({
      'x-forwarded-for': `198.51.100.${n}`,
      forwarded: `for=198.51.100.${n}`,
    })
    for (let n = 0; n < 3; n++) expect((await ada.ask(id, TOTAL, spoofed(n))).status).toBe(429)
    // Another user of the same address shares the address's limit, whatever he says it is.
    for (let n = 0; n < 3; n++) expect((await bob.ask(id, TOTAL, spoofed(n))).status).toBe(429)
  })

  it('counts an IPv6 network as one address, by its /64 [S4-3]', async () => {
    const { options, encryptionKey } = settingsFrom({
      ...environment(place()),
      RATE_LIMIT_DEFAULT: '5/minute',
    })
    const hf = holdfast(options)
    const app = await createApp({
      hf,
      database: await Database.open(postgres.url),
      analyst: new Analyst(llm.url, LLM_KEY),
      accounts: new Accounts(undefined),
      connections: new Connections(encryptionKey, undefined),
      sessionLife: 60_000,
      secureCookie: false,
    })
    open.push(app)
    const from = async (remoteAddress: string) =>
      (await app.inject({ url: '/api/v1/models', remoteAddress })).statusCode
    for (let n = 1; n <= 5; n++) expect(await from(`2001:db8:7:7::${n}`)).toBe(200)
    expect(await from('2001:db8:7:7:ffff::1')).toBe(429)
    expect(await from('2001:db8:7:8::1')).toBe(200)
    expect(await from('192.0.2.1')).toBe(200)
  })

  it('is administered by who brings the token, where there is one', async () => {
    const token = 'a-token-of-32-characters-or-more'
    const administered = new Client((await start({ ...place(), ADMIN_TOKEN: token })).url)
    const path = '/admin/api/v1/cache/stats'
    expect((await administered.get(path)).status).toBe(401)
    expect((await administered.get(path, { authorization: `Bearer ${token}` })).status).toBe(200)
    expect((await new Client(insight.url).get(path)).status).toBe(404)
  })

  it('caches nothing with CACHE_ENABLED=false and refuses nothing with RATE_LIMIT_ENABLED=false [S4-9]', async () => {
    const off = await start({ ...place(), CACHE_ENABLED: 'false', RATE_LIMIT_ENABLED: 'false' })
    const ada = await off.as('ada@acme')
    const id = await upload(ada)
    for (let n = 0; n < 25; n++) {
      expect(await ada.ask(id, TOTAL)).toMatchObject({ status: 200, cache: 'holdfast; fwd=bypass' })
      expect((await ada.get('/api/v1/datasets')).cache).toBe('holdfast; fwd=bypass')
    }
    expect((await ada.get('/stats')).body).toMatchObject({ enabled: false })
  })
})

describe('the insight API and its LLM', () => {
  it('goes on with its last answers while the LLM fails in any way, where that is allowed', async () => {
    const clock = new FakeClock()
    const insight = await start({ QUERY_STALE: '3600', RATE_LIMIT_QUERY: '999/minute' }, clock)
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    const { body } = await ada.ask(id, TOTAL)
    for (const kind of FAULTS) {
      await clock.advance(301_000)
      // A late answer is still an answer; every other fault is none.
      llm.fault({ kind, times: 1, ms: 20 })
      expect([kind, await ada.ask(id, TOTAL)]).toMatchObject([
        kind,
        { status: 200, body: { answer: body.answer } },
      ])
    }
    llm.reset()
    await clock.advance(301_000)
    expect(await ada.ask(id, TOTAL)).toMatchObject({ status: 200, cache: MISS })
  })

  it('says what is wrong where there is no last answer, and asks again', async () => {
    const insight = await start()
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    for (const kind of FAULTS.filter((one) => one !== 'slow')) {
      llm.fault({ kind, times: 1 })
      const failed = await ada.ask(id, TOTAL)
      expect([kind, failed.status, failed.type]).toEqual([
        kind,
        kind === '429' ? 503 : 502,
        'application/problem+json',
      ])
    }
    expect((await ada.ask(id, TOTAL)).status).toBe(200)
    llm.reset()
  })

  it('asks once for fifty who ask the same at once', async () => {
    const insight = await start({ RATE_LIMIT_QUERY: '999/minute' })
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    const before = llm.calls().total
    const answers = await Promise.all(Array.from({ length: 50 }, () => ada.ask(id, 'lowest sales')))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.answer}`)).size).toBe(1)
    expect(llm.calls().total - before).toBe(1)
  })
})

describe('the insight API on a shared Redis', () => {
  const pttl = async (key: string) => Number(await redis.cli('PTTL', key))

  it.each([
    [{}, TTLS],
    [
      { CACHE_TTL_DATASET_LIST: '33', CACHE_TTL_QUERY_RESULT: '44', CACHE_TTL_SESSION_STATE: '900' },
      { ...TTLS, dataset_list: 33, query_result: 44, session_state: 900 },
    ],
  ])(
    'keeps each of six namespaces for its time, and nothing of a connection in clear: %o [S4-15][S4-16][S4-17][S4-18][S4-19][S4-20][S4-26][S4-27][S4-32][B27]',
    async (env, ttls) => {
      const namespace = `lives-${Object.keys(env).length}`
      const insight = await start({
        ...env,
        REDIS_URL: redis.url,
        HOLDFAST_NAMESPACE: namespace,
        PG_HOSTS: '127.0.0.1',
      })
      await insight.healthy()
      const ada = await insight.as('ada@acme')
      const id = await upload(ada)
      const url = `${postgres.url.replace('postgres@', 'postgres:nobody-may-see@')}`
      await ada.put('/api/v1/connection', { url })
      for (const path of ['models', 'datasets', `datasets/${id}`, 'connection']) {
        expect((await ada.get(`/api/v1/${path}`)).status).toBe(200)
      }
      expect((await ada.ask(id, 'a question that nobody may see')).status).toBe(200)
      const keys = (await redis.cli('KEYS', `hf:*${namespace}*`)) as string[]
      for (const [name, seconds] of Object.entries(ttls)) {
        const pattern = name === 'session_state' ? /:session:\{insight~/ : new RegExp(`:e:${name}\\|`)
        const found = keys.filter((key) => pattern.test(key))
        expect([name, found.length > 0]).toEqual([name, true])
        const lives = await Promise.all(found.map(pttl))
        expect([name, Math.max(...lives) > (seconds - 20) * 1_000]).toEqual([name, true])
        expect([name, lives.every((ms) => ms <= seconds * 1_000)]).toEqual([name, true])
        expect(await redis.cli('TYPE', found[0]!)).toBe(name === 'session_state' ? 'hash' : 'string')
      }
      for (const key of keys) {
        const text =
          (await redis.cli('TYPE', key)) === 'string'
            ? await redis.cli('GET', key)
            : await redis.cli('DUMP', key)
        expect(`${key} ${text}`).not.toMatch(/nobody-may-see|nobody may see/)
      }
    },
  )

  it('lets two processes share sessions, answers and changes', async () => {
    const script = fileURLToPath(new URL('./server.ts', import.meta.url))
    const env = { ...environment({ REDIS_URL: redis.url }), RATE_LIMIT_QUERY: '999/minute' }
    const backends = await Promise.all([startBackend(script, env), startBackend(script, env)])
    open.push(...backends.map(({ stop }) => ({ close: stop })))
    const [one, two] = backends.map(({ url }) => url) as [string, string]
    for (const url of [one, two]) {
      await expect
        .poll(async () => (await new Client(url).get('/healthz')).body.status, { timeout: 20_000 })
        .toBe('ok')
    }
    const first = new Client(one)
    await first.signIn('ada@acme', PASSWORD)
    const second = first.at(two)
    const id = await upload(first)
    await first.ask(id, TOTAL)
    expect(await second.ask(id, TOTAL)).toMatchObject({ status: 200, cache: HIT })
    for (let round = 1; round <= 10; round++) {
      const [writer, reader] = round % 2 ? [first, second] : [second, first]
      await writer.csv('PUT', `/api/v1/datasets/${id}/content`, `sales\n${round}`)
      expect((await reader.ask(id, TOTAL)).body.answer).toBe(`The total sales over 1 rows is ${round}.`)
    }
    await second.send('POST', '/api/v1/auth/sign-out')
    expect((await first.get('/api/v1/session')).status).toBe(401)
  })

  it('answers from its loaders when Redis dies under it, and shares again when it is back [S4-34]', async () => {
    const own = await startRedis()
    const insight = await start({ REDIS_URL: own.url, RATE_LIMIT_QUERY: '999/minute' })
    await insight.healthy()
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    await own.kill()
    for (let round = 2; round <= 3; round++) {
      expect((await ada.csv('PUT', `/api/v1/datasets/${id}/content`, `sales\n${round}`)).status).toBe(200)
      expect((await ada.ask(id, TOTAL)).body.answer).toContain(`is ${round}.`)
      expect((await ada.get('/api/v1/datasets')).status).toBe(200)
      expect((await ada.get('/api/v1/models')).status).toBe(200)
    }
    expect(await new Client(insight.url).signIn('bob@acme', PASSWORD)).toMatchObject({
      status: 503,
      type: 'application/problem+json',
    })
    await own.restart()
    await insight.healthy()
    const bob = await insight.as('bob@acme')
    expect((await bob.ask(id, TOTAL)).body.answer).toContain('is 3.')
    expect((await bob.ask(id, TOTAL)).cache).toBe(HIT)
  })

  it('answers without the Redis that it was told to use [S4-34]', async () => {
    const insight = await start({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
    const client = new Client(insight.url)
    expect(await client.get('/healthz')).toMatchObject({ status: 200, body: { status: 'degraded' } })
    expect(await client.get('/api/v1/models')).toMatchObject({ status: 200, cache: 'holdfast; fwd=bypass' })
    expect((await client.signIn('ada@acme', PASSWORD)).status).toBe(503)
  })

  it('answers from its loaders while Redis has no memory left [S4-37]', async () => {
    const full = await startRedis({ config: { maxmemory: '3mb', 'maxmemory-policy': 'noeviction' } })
    const insight = await start({ REDIS_URL: full.url, RATE_LIMIT_QUERY: '999/minute' })
    await insight.healthy()
    const ada = await insight.as('ada@acme')
    const id = await upload(ada)
    const filler = 'x'.repeat(100_000)
    for (let n = 0; n < 100; n++) await full.cli('SET', `filler:${n}`, filler).catch(() => {})
    await expect(full.cli('SET', 'filler:more', filler)).rejects.toThrow('OOM')
    for (let round = 1; round <= 3; round++) {
      expect((await ada.ask(id, `${TOTAL} ${round}`)).status).toBe(200)
      expect((await ada.get('/api/v1/datasets')).status).toBe(200)
      expect((await ada.csv('PUT', `/api/v1/datasets/${id}/content`, `sales\n${round}`)).status).toBe(200)
      expect((await ada.ask(id, TOTAL)).body.answer).toContain(`is ${round}.`)
    }
  })
})
