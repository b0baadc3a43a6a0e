import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { type Holdfast, holdfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBackend } from '../../src/cli/demo-backend.ts'
import { freePort } from '../../test/support/free-port.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { listen } from '../simulators/listen.ts'
import { type Postgres, startPostgres } from '../simulators/postgres.ts'
import { type SlowUpstream, startSlowUpstream } from '../simulators/slow-upstream.ts'
import { administration, adminTokens } from './administration.ts'
import { createApp } from './app.ts'
import { type TaskStore, TaskTable } from './db.ts'
import { startTasks } from './server.ts'

let postgres: Postgres
let upstream: SlowUpstream
let redis: RedisServer
const open: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  ;[postgres, upstream, redis] = await Promise.all([startPostgres(), startSlowUpstream(), startRedis()])
})
afterAll(async () => {
  for (const part of open.reverse()) await part.close()
  await stopAllRedis()
  await upstream.close()
  await postgres.close()
})

const TOKENS = {
  community: 'a-token-of-the-community-edition-0',
  business: 'a-token-of-the-business-edition-00',
  enterprise: 'a-token-of-the-enterprise-edition',
  'enterprise@a': 'an-enterprise-token-of-the-tenant-a',
  'enterprise@b': 'an-enterprise-token-of-the-tenant-b',
}

/** The backend as its environment makes it, on a free port. */
async function start(env: Record<string, string> = {}) {
  const server = await startTasks({
    DATABASE_URL: postgres.url,
    UPSTREAM_URL: upstream.url,
    PORT: '0',
    ADMIN_TOKENS: Object.entries(TOKENS)
      .map(([name, token]) => `${name}:${token}`)
      .join(),
    ...env,
  })
  open.push(server)
  return client(server.url)
}

describe.each(['embedded', 'redis'] as const)('the tasks API on %s', (driver) => {
  let api: Api
  beforeAll(async () => {
    api = await start(driver === 'redis' ? { REDIS_URL: redis.url } : {})
  })

  it('says where its cache is and that it is well', async () => {
    await expect.poll(async () => (await api.get('/healthz')).body.status).toBe('ok')
    expect((await api.get('/healthz')).body).toMatchObject({ driver, degraded: false })
    expect((await api.get('/stats')).body).toMatchObject({ enabled: true, hitRate: 0 })
  })

  it('caches a task, and drops it on update and on delete [S3-1][S3-2][S3-3][S3-12][S3-13][S3-15]', async () => {
    const { body: task } = await api.post('/api/v1/tasks', { name: 'write the report' })
    const path = `/api/v1/tasks/${task.id}`
    expect((await api.get(path)).cache).toBe('holdfast; fwd=uri-miss; stored')
    expect(await api.get(path)).toMatchObject({ cache: 'holdfast; hit', body: { name: 'write the report' } })
    expect((await api.patch(path, { name: 'send the report' })).status).toBe(200)
    const fresh = await api.get(path)
    expect(fresh).toMatchObject({
      cache: 'holdfast; fwd=uri-miss; stored',
      body: { name: 'send the report' },
    })
    expect((await api.delete(path)).status).toBe(204)
    expect((await api.get(path)).status).toBe(404)
    expect((await api.delete(path)).status).toBe(404)
  })

  it('drops the lists that a change could show up in, and no other tenant`s [S3-27][B21]', async () => {
    const mine = { 'x-tenant': `a-${driver}` }
    const other = { 'x-tenant': `b-${driver}` }
    const { body: task } = await api.post('/api/v1/tasks', { name: 'one' }, mine)
    await api.get('/api/v1/tasks?status=done', mine)
    await api.get('/api/v1/tasks', other)
    await api.patch(`/api/v1/tasks/${task.id}`, { status: 'done' }, mine)
    expect((await api.get('/api/v1/tasks?status=done', mine)).body.tasks).toMatchObject([{ id: task.id }])
    expect((await api.get('/api/v1/tasks', other)).cache).toBe('holdfast; hit')
  })

  it('never answers one tenant from what another was given [B17]', async () => {
    const { body: task } = await api.post('/api/v1/tasks', { name: 'secret' }, { 'x-tenant': 'owner' })
    const path = `/api/v1/tasks/${task.id}`
    for (let round = 0; round < 2; round++) {
      expect((await api.get(path, { 'x-tenant': 'owner' })).status).toBe(200)
      expect((await api.get(path, { 'x-tenant': 'guest' })).status).toBe(404)
      expect((await api.patch(path, { name: 'mine' }, { 'x-tenant': 'guest' })).status).toBe(404)
    }
    expect((await api.get(path, { 'x-tenant': 'owner' })).body.name).toBe('secret')
  })

  it('asks the slow upstream once for a hundred parallel requests [S0-14][S2-46]', async () => {
    const before = upstream.calls()
    const currency = driver === 'redis' ? 'GBP' : 'CHF'
    const answers = await Promise.all(Array.from({ length: 100 }, () => api.get(`/api/v1/rates/${currency}`)))
    expect(new Set(answers.map((answer) => answer.body.asOf)).size).toBe(1)
    expect(upstream.calls() - before).toBe(1)
    expect((await api.get(`/api/v1/rates/${currency}`)).cache).toBe('holdfast; hit')
    const missing = await Promise.all(Array.from({ length: 5 }, () => api.get('/api/v1/rates/XXX')))
    expect(missing.map((answer) => answer.status)).toEqual([404, 404, 404, 404, 404])
  })

  it('lets each edition administer what it may, and nobody without a token [S3-4][S3-5][S3-41]', async () => {
    const { body: task } = await api.post('/api/v1/tasks', { name: 'listed' }, { 'x-tenant': 'a' })
    await api.get(`/api/v1/tasks/${task.id}`, { 'x-tenant': 'a' })
    const key = encodeURIComponent(`a|task:${task.id}`)
    const calls: [method: string, path: string, business: number][] = [
      ['GET', 'stats', 200],
      ['GET', 'keys?pattern=*task:*&limit=100', 403],
      ['GET', `key/${key}`, 403],
      ['DELETE', 'clear?pattern=*task:*&dryRun=true', 200],
      ['DELETE', `key/${encodeURIComponent('nothing')}`, 200],
    ]
    for (const base of ['/api/v1/cache', '/admin/api/v1/cache']) {
      for (const [method, path, business] of calls) {
        const statuses = [undefined, ...Object.values(TOKENS)].map(async (token) => {
          const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
          return (await api.send(method, `${base}/${path}`, undefined, headers)).status
        })
        expect([path, await Promise.all(statuses.slice(0, 4))]).toEqual([path, [401, 403, business, 200]])
      }
    }
  })

  it('shows figures, lists, reads and clears at the paths of S3 [S3-18][S3-19][S3-20][S3-21][S3-22][S3-23]', async () => {
    const as = (token: string) => (method: string, path: string) =>
      api.send(method, `/api/v1/cache/${path}`, undefined, { authorization: `Bearer ${token}` })
    const admin = as(TOKENS.enterprise)
    const made = await api.post('/api/v1/tasks', { name: 'shown' })
    const path = `/api/v1/tasks/${made.body.id}`
    const key = `task:${made.body.id}`
    await api.get(path)
    expect((await admin('GET', 'stats')).body).toMatchObject({
      stats: { total_keys: expect.any(Number), hits: expect.any(Number), hit_rate: expect.any(Number) },
    })
    const listed = (await admin('GET', 'keys?pattern=task:*&limit=100')).body
    expect(listed).toMatchObject({ pattern: 'task:*', limit: 100, total_found: listed.keys.length })
    expect(listed.keys).toContain(key)
    expect((await admin('GET', `key/${key}`)).body).toMatchObject({ key, value: { name: 'shown' } })
    expect((await admin('DELETE', 'clear')).status).toBe(400)
    expect((await admin('DELETE', 'clear?pattern=task:*&dryRun=true')).status).toBe(200)
    expect((await api.get(path)).cache).toBe('holdfast; hit')
    expect((await admin('DELETE', 'clear?pattern=task:*')).status).toBe(200)
    expect((await api.get(path)).cache).toBe('holdfast; fwd=uri-miss; stored')
  })

  it('shows a tenant its own keys alone, by the names that they have there [S3-6][B17]', async () => {
    const as = (name: 'enterprise@a' | 'enterprise@b') => (path: string) =>
      api.get(`/api/v1/cache/${path}`, { authorization: `Bearer ${TOKENS[name]}` })
    const { body: task } = await api.post('/api/v1/tasks', { name: 'of a' }, { 'x-tenant': 'a' })
    await api.get(`/api/v1/tasks/${task.id}`, { 'x-tenant': 'a' })
    expect((await as('enterprise@a')('keys?pattern=task:*')).body.keys).toContain(`task:${task.id}`)
    expect((await as('enterprise@a')(`key/task:${task.id}`)).body.value.name).toBe('of a')
    expect((await as('enterprise@b')('keys')).body.keys).toEqual([])
    expect((await as('enterprise@b')(`key/task:${task.id}`)).status).toBe(404)
  })

  it('asks for what will be wanted before anybody does [S3-42]', async () => {
    const before = upstream.calls()
    const warm = await start({
      WARM: 'CHF,EUR,XXX',
      HOLDFAST_NAMESPACE: `warm-${driver}`,
      ...(driver === 'redis' ? { REDIS_URL: redis.url } : {}),
    })
    expect(upstream.calls() - before).toBe(3)
    for (const currency of ['CHF', 'EUR']) {
      expect((await warm.get(`/api/v1/rates/${currency}`)).cache).toBe('holdfast; hit')
    }
  })

  it('answers wrong requests with problem details and the right status', async () => {
    const json = { 'content-type': 'application/json' }
    const raw = (method: string, path: string, body?: string, headers: Record<string, string> = json) =>
      api.send(method, path, body, headers)
    const id = '123e4567-e89b-12d3-a456-426614174000'
    const cases = [
      [await raw('GET', '/api/v1/tasks/7'), 400],
      [await raw('GET', `/api/v1/tasks/${id}`), 404],
      [await raw('GET', '/api/v1/tasks?status=odd'), 400],
      [await raw('GET', '/api/v1/nothing'), 404],
      [await raw('POST', '/api/v1/tasks', '{"name":'), 400],
      [await raw('POST', '/api/v1/tasks', '{"name":"a"}', { 'content-type': 'text/plain' }), 415],
      [await raw('POST', '/api/v1/tasks', '{"name":""}'), 422],
      [await raw('POST', '/api/v1/tasks', '{"name":"a","id":"b"}'), 422],
      [await raw('POST', '/api/v1/tasks', JSON.stringify({ name: 'a'.repeat(70_000) })), 413],
      [await raw('PATCH', `/api/v1/tasks/${id}`, '{"status":"odd"}'), 422],
      [await raw('PATCH', `/api/v1/tasks/${id}`, '{"status":"done"}'), 404],
      [await raw('GET', '/api/v1/tasks', undefined, { 'x-tenant': 'a:b' }), 400],
    ] as const
    for (const [answer, status] of cases) {
      expect(answer).toMatchObject({ status, type: 'application/problem+json', body: { status } })
    }
  })

  it('caches nothing when CACHE_ENABLED is false [S4-9]', async () => {
    const off = await start({
      CACHE_ENABLED: 'false',
      ...(driver === 'redis' ? { REDIS_URL: redis.url } : {}),
    })
    const { body: task } = await off.post('/api/v1/tasks', { name: 'plain' })
    for (let round = 0; round < 2; round++) {
      expect((await off.get(`/api/v1/tasks/${task.id}`)).cache).toBe('holdfast; fwd=bypass')
    }
  })

  it('never caches again what a slow reader read before an update [S3-15]', async () => {
    const source = driver === 'redis' ? redis.url : undefined
    const table = await TaskTable.open(postgres.url)
    open.push(table)
    const gate = new Gate()
    const slow = {
      ...bound(table),
      async find(tenant: string, id: string) {
        const task = await table.find(tenant, id)
        await gate.pass()
        return task
      },
    }
    const one = holdfast({ redis: source, namespace: `race-${driver}` })
    const two = driver === 'redis' ? holdfast({ redis: source, namespace: `race-${driver}` }) : one
    open.push(one, two)
    const app = (hf: Holdfast, tasks: TaskStore) =>
      createApp({ hf, tasks, rates: async () => ({}), admin: administration(hf, adminTokens(undefined)) })
    const reader = await serve(app(one, slow))
    const writer = await serve(app(two, bound(table)))
    for (let round = 0; round < 5; round++) {
      const { body: task } = await writer.post('/api/v1/tasks', { name: 'old' })
      const path = `/api/v1/tasks/${task.id}`
      const held = gate.close()
      const running = reader.get(path)
      await held
      expect((await writer.patch(path, { name: 'new' })).status).toBe(200)
      const started = reader.get(path)
      gate.open()
      await running
      expect((await started).body.name).toBe('new')
      expect((await reader.get(path)).body.name).toBe('new')
      expect((await writer.get(path)).body.name).toBe('new')
    }
  })
})

describe('the tasks API on a shared Redis', () => {
  it('lets two processes see each other`s changes at once [S2-12][S3-15]', async () => {
    const script = fileURLToPath(new URL('./server.ts', import.meta.url))
    const env = { DATABASE_URL: postgres.url, UPSTREAM_URL: upstream.url, REDIS_URL: redis.url, PORT: '0' }
    const backends = await Promise.all([startBackend(script, env), startBackend(script, env)])
    open.push(...backends.map(({ stop }) => ({ close: stop })))
    const [one, two] = backends.map(({ url }) => client(url)) as [Api, Api]
    await expect.poll(async () => (await one.get('/healthz')).body.status).toBe('ok')
    await expect.poll(async () => (await two.get('/healthz')).body.status).toBe('ok')
    const { body: task } = await one.post('/api/v1/tasks', { name: '0' })
    const path = `/api/v1/tasks/${task.id}`
    await one.get(path)
    expect((await two.get(path)).cache).toBe('holdfast; hit')
    for (let round = 1; round <= 20; round++) {
      const [writer, reader] = round % 2 ? [one, two] : [two, one]
      await writer.patch(path, { name: String(round) })
      expect((await reader.get(path)).body.name).toBe(String(round))
      expect((await writer.get(path)).body.name).toBe(String(round))
    }
    const before = upstream.calls()
    const answers = Array.from({ length: 100 }, (_, i) => (i % 2 ? one : two).get('/api/v1/rates/VND'))
    expect((await Promise.all(answers)).every((answer) => answer.status === 200)).toBe(true)
    expect(upstream.calls() - before).toBe(1)
  })

  it.each([
    [{}, 300_000],
    [{ CACHE_TTL: '7' }, 7_000],
  ])('keeps a task no longer than its time to live: %o [S3-10][S3-14]', async (env, most) => {
    const namespace = `ttl-${most}`
    const api = await start({ REDIS_URL: redis.url, HOLDFAST_NAMESPACE: namespace, ...env })
    await expect.poll(async () => (await api.get('/healthz')).body.status).toBe('ok')
    const { body: task } = await api.post('/api/v1/tasks', { name: 'short' })
    await api.get(`/api/v1/tasks/${task.id}`)
    const keys = (await redis.cli('KEYS', `hf:{${namespace}:*e:task:*`)) as string[]
    expect(keys).toHaveLength(1)
    const left = Number(await redis.cli('PTTL', keys[0]!))
    expect(left).toBeGreaterThan(most - 3_000)
    expect(left).toBeLessThanOrEqual(most)
  })

  it('goes on when Redis dies, never goes back in time, and shares again when it is back [S1-19][S1-20][S1-27]', async () => {
    const own = await startRedis()
    const [one, two] = await Promise.all([start({ REDIS_URL: own.url }), start({ REDIS_URL: own.url })])
    for (const api of [one, two])
      await expect.poll(async () => (await api.get('/healthz')).body.status).toBe('ok')
    const { body: task } = await one.post('/api/v1/tasks', { name: '0' })
    const path = `/api/v1/tasks/${task.id}`
    await two.get(path)
    await own.kill()
    for (let round = 1; round <= 5; round++) {
      expect((await one.patch(path, { name: String(round) })).status).toBe(200)
      expect(await one.get(path)).toMatchObject({ status: 200, body: { name: String(round) } })
      expect((await two.get('/api/v1/tasks')).status).toBe(200)
    }
    expect((await one.get('/healthz')).body).toMatchObject({ degraded: true })
    await own.restart()
    for (const api of [one, two]) {
      await expect.poll(async () => (await api.get('/healthz')).body.status, { timeout: 5_000 }).toBe('ok')
      expect((await api.get(path)).body.name).toBe('5')
    }
    expect((await two.get(path)).cache).toBe('holdfast; hit')
  })

  it('answers without the Redis that it was told to use, and says so [S0-1][S0-27][S1-20]', async () => {
    const port = String(await freePort())
    const api = await start({ REDIS_ENABLED: 'true', REDIS_HOST: '127.0.0.1', REDIS_PORT: port })
    expect(await api.get('/healthz')).toMatchObject({
      status: 200,
      body: { driver: 'redis', degraded: true },
    })
    expect(await api.get('/api/v1/rates/EUR')).toMatchObject({ status: 200, body: { currency: 'EUR' } })
    expect((await api.get('/api/v1/tasks')).status).toBe(200)
  })
})

type Api = ReturnType<typeof client>

function client(url: string) {
  const send = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await answer.text()
    return {
      status: answer.status,
      cache: answer.headers.get('cache-status'),
      type: answer.headers.get('content-type'),
      body: text ? JSON.parse(text) : undefined,
    }
  }
  const withBody =
    (method: string) =>
    (path: string, body: unknown, headers: Record<string, string> = {}) =>
      send(method, path, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
  return {
    send,
    get: (path: string, headers?: Record<string, string>) => send('GET', path, undefined, headers),
    delete: (path: string) => send('DELETE', path),
    post: withBody('POST'),
    patch: withBody('PATCH'),
  }
}

async function serve(app: ReturnType<typeof createApp>): Promise<Api> {
  const server = await listen(createServer(getRequestListener(app.fetch)))
  open.push(server)
  return client(`http://127.0.0.1:${server.port}`)
}

function bound(table: TaskTable): TaskStore {
  return {
    find: table.find.bind(table),
    list: table.list.bind(table),
    add: table.add.bind(table),
    update: table.update.bind(table),
    remove: table.remove.bind(table),
  }
}

/** Holds the first one that passes after `close()`; everybody else walks through. */
class Gate {
  #reached: (() => void) | undefined
  #opened = Promise.resolve()
  open = () => {}

  close(): Promise<void> {
    this.#opened = new Promise((resolve) => {
      this.open = resolve
    })
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  async pass(): Promise<void> {
    const reached = this.#reached
    if (!reached) return
    this.#reached = undefined
    reached()
    await this.#opened
  }
}
