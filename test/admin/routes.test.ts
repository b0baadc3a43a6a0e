import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'
import { until } from '../support/until.ts'
import { closeDesks, openDesk } from './desk.ts'

let redis: RedisServer
let idp: TokenServer
beforeAll(async () => {
  redis = await startRedis()
  idp = await startTokenServer()
})
afterEach(closeDesks)
afterAll(async () => {
  await idp.stop()
  await redis.stop()
})

const enc = encodeURIComponent

describe.each(['memory', 'Redis'])('administration of an instance in %s', (where) => {
  const open = () => openDesk(where === 'Redis' ? redis.url : undefined)

  it('tells who asks what they may do, without a secret of the target [S3-5, S2-21]', async () => {
    const { ask } = await open()
    const { body } = await ask('GET', '/api/v1/me', 'B')
    expect(body).toMatchObject({
      name: 'bob',
      edition: 'business',
      driver: where === 'Redis' ? 'redis' : 'embedded',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    })
    expect(body.permissions).toContain('cache.clear')
    expect(body.permissions).not.toContain('audit')
    expect(body.target).toContain(where === 'Redis' ? redis.url.replace('redis://', '') : 'memory')
    expect((await ask('GET', '/api/v1/me', 'T')).body.namespace).toBe('a')
  })

  it('shows the last minute and the last hour [S0-34, S0-36, S2-5]', async () => {
    const { hf, ask } = await open()
    for (let i = 0; i < 4; i++) await hf.cache.getOrSet('k', () => 1, { ttl: '1m' })
    const { body } = await ask('GET', '/api/v1/overview', 'B')
    expect(body.cache).toMatchObject({ enabled: true, hits: 3, misses: 1, hitRate: 75, loads: 1 })
    expect(body.status).toBe('ok')
    const history = await ask('GET', '/api/v1/history?seconds=600', 'B')
    expect(history.body.stepSeconds).toBeGreaterThan(0)
    expect(history.body.at.length).toBe(history.body.series.hits.length)
  })

  it('explains why a key is or is not served [S3-34]', async () => {
    const { hf, ask } = await open()
    await hf.cache.getOrSet('k', () => ({ a: 1 }), { ttl: '5m', tags: ['red', 'blue'], stale: '1h' })
    const fresh = (await ask('GET', '/api/v1/cache/explain/k', 'E')).body
    expect(fresh).toMatchObject({
      key: 'k',
      state: 'fresh',
      refusedBy: null,
      writtenBy: 'this process',
      parts: { namespace: '', key: 'k', name: 'k', hashed: false },
    })
    expect(fresh.tags.map(({ tag }: { tag: string }) => tag).sort()).toEqual(['blue', 'red'])
    expect(fresh.verdict).toMatch(/^A hit/)
    expect(fresh.ttl).toBeGreaterThan(200)
    await hf.cache.expireTag('red')
    const stale = (await ask('GET', '/api/v1/cache/explain/k', 'E')).body
    expect(stale.state).toBe('stale')
    expect(stale.tags.find(({ tag }: { tag: string }) => tag === 'red').invalidatedAt).toEqual(
      expect.any(String),
    )
    await hf.cache.delete('k')
    const absent = (await ask('GET', '/api/v1/cache/explain/k', 'E')).body
    expect(absent).toMatchObject({ state: 'absent', tier: 'none', writtenBy: null })
    expect(absent.verdict).toMatch(/^A miss/)
  })

  it('reports hits, keys, bytes and lives by namespace [B18, S0-37, S3-30, S3-32]', async () => {
    const { hf, ask } = await open()
    const users = hf.cache.namespace('users')
    for (let i = 0; i < 3; i++) await users.getOrSet('1', () => 'x'.repeat(100), { ttl: '30s' })
    await hf.cache.set('root', 1, { ttl: '2h' })
    const { body } = await ask('GET', '/api/v1/cache/namespaces', 'B')
    const own = body.find(({ namespace }: { namespace: string }) => namespace === 'users')
    expect(own).toMatchObject({ enabled: true, hits: 2, misses: 1, hitRate: 66.7, keys: 1, sampled: false })
    expect(own.bytes).toBeGreaterThan(50)
    expect(
      own.ttlHistogram.find(({ underSeconds }: { underSeconds: number }) => underSeconds === 60).keys,
    ).toBe(1)
    const root = body.find(({ namespace }: { namespace: string }) => namespace === '')
    expect(root).toMatchObject({ keys: 1, hits: 0 })
    expect(own).toHaveProperty('expiredUnreadShare')
  })

  it('lists tags, counts what one would take, and invalidates it hard or soft [S3-43]', async () => {
    const { hf, ask } = await open()
    for (let i = 0; i < 3; i++) await hf.cache.set(`p${i}`, i, { ttl: '1m', tags: ['red'], stale: '1h' })
    await hf.cache.set('q', 1, { ttl: '1m', tags: ['a tag, with: all/of it'] })
    const { body } = await ask('GET', '/api/v1/cache/tags', 'E')
    expect(body.tags.map(({ tag }: { tag: string }) => tag).sort()).toEqual(['a tag, with: all/of it', 'red'])
    expect((await ask('DELETE', '/api/v1/cache/tags/red?dryRun=true', 'B')).body).toEqual({
      tag: 'red',
      mode: 'hard',
      dryRun: true,
      would_invalidate: 3,
      exact: true,
    })
    expect(await hf.cache.has('p0')).toBe(true)
    await ask('DELETE', '/api/v1/cache/tags/red?mode=soft', 'B')
    expect((await hf.cache.inspect('p0')).state).toBe('stale')
    expect((await ask('DELETE', '/api/v1/cache/tags/red', 'B')).status).toBe(200)
    expect((await hf.cache.inspect('p0')).state).not.toBe('stale')
    expect(await hf.cache.has('q')).toBe(true)
    await ask('DELETE', `/api/v1/cache/tags/${enc('a tag, with: all/of it')}`, 'B')
    expect(await hf.cache.has('q')).toBe(false)
    const dated = (await ask('GET', '/api/v1/cache/tags?pattern=re*', 'E')).body.tags
    if (dated.length > 0) expect(dated[0].invalidatedAt).toEqual(expect.any(String))
  })

  it('shows who is refused, what they have left, and resets them [S2-25, S4-3]', async () => {
    const { hf, ask } = await open()
    const chat = hf.limiter('chat', { user: '2/hour', ip: '100/hour' })
    for (let i = 0; i < 5; i++) await chat.consume({ user: '7' })
    await chat.consume({ ip: '2001:db8::1' })
    const list = await until('the figures are told', async () => {
      const { body } = await ask('GET', '/api/v1/limits', 'E')
      const found = body.find(({ name }: { name: string }) => name === 'chat')
      return found?.denied === 3 && found
    })
    expect(list).toMatchObject({ kind: 'limiter', algorithm: 'sliding', allowed: 3, enabled: true })
    expect(list.limits).toEqual(['user: 2/1h', 'ip: 100/1h'])
    expect(list.topDenied[0]).toMatchObject({ subject: 'user:7', denied: 3, lastAt: expect.any(String) })
    const left = await ask('GET', `/api/v1/limits/chat/${enc('user:7')}`, 'E')
    expect(left.body.limits[0]).toMatchObject({ limit: 'user: 2/1h', most: 2, remaining: 0 })
    const seen = await ask('GET', `/api/v1/limits/chat/${enc('ip:2001:db8::9')}`, 'E')
    expect(seen.body.limits[0]).toMatchObject({ most: 100, remaining: 99 })
    expect((await ask('DELETE', `/api/v1/limits/chat/${enc('user:7')}`, 'E')).status).toBe(200)
    expect((await chat.consume({ user: '7' })).allowed).toBe(true)
    expect((await ask('GET', '/api/v1/limits/none/user:7', 'E')).status).toBe(404)
    expect((await ask('GET', `/api/v1/limits/chat/${enc('team:1')}`, 'E')).status).toBe(400)
  })

  it('shows who holds a lock and who waits, and takes it away with a word of confirmation [S0-24]', async () => {
    const { hf, ask } = await open()
    const lease = await hf.lock('plan:42', { renew: false, ttl: '1m' }).acquire()
    let later: Awaited<ReturnType<ReturnType<typeof hf.lock>['acquire']>> | undefined
    const waiting = hf.lock('plan:42').acquire({ wait: '30s' })
    void waiting.then((got) => {
      later = got
    })
    const { body } = await until('it waits', async () => {
      const seen = await ask('GET', '/api/v1/locks?pattern=plan:*', 'E')
      return seen.body.locks[0]?.waiters === 1 ? seen : undefined
    })
    expect(body.locks).toHaveLength(1)
    expect(body.locks[0]).toMatchObject({
      name: 'plan:42',
      kind: 'lock',
      mode: 'exclusive',
      fencingToken: String(lease.fencingToken),
      holders: 1,
      holder: expect.stringMatching(/^[\w-]{12}$/),
    })
    expect(body.locks[0].leaseLeftMs).toBeGreaterThan(10_000)
    expect((await ask('DELETE', '/api/v1/locks/plan:42', 'E')).status).toBe(400)
    expect((await ask('DELETE', '/api/v1/locks/plan:42?confirm=plan', 'E')).status).toBe(400)
    expect(later).toBeUndefined()
    const gone = await ask('DELETE', '/api/v1/locks/plan:42?confirm=plan:42', 'E')
    expect(gone.body).toEqual({ name: 'plan:42', released: 1 })
    const next = await waiting
    expect(Number(next.fencingToken)).toBeGreaterThan(Number(lease.fencingToken))
    await lease.release()
    expect((await hf.lock('plan:42').inspect()).holders).toHaveLength(1)
    await next.release()
    expect((await ask('DELETE', '/api/v1/locks/plan:42?confirm=plan:42', 'E')).status).toBe(404)
    const semaphore = await hf.semaphore('exports', 3).acquire()
    const { read } = hf.readWrite('book')
    const reader = await read.acquire()
    const others = (await ask('GET', '/api/v1/locks', 'E')).body.locks
    const modes = others.map(({ name, mode }: Record<string, string>) => `${name} ${mode}`).sort()
    expect(modes).toEqual(['book read', 'exports permit'])
    await Promise.all([semaphore.release(), reader.release()])
  })

  it('lists run-once records without results, and settles one by hand [S0-23]', async () => {
    const { hf, ask } = await open()
    await hf.once('order:1', () => ({ secret: 'result-in-clear' }))
    await hf
      .once('order:2', async (step) => {
        await step('charge', () => 1)
        throw new Error('boom')
      })
      .catch(() => undefined)
    const { body } = await ask('GET', '/api/v1/once?pattern=order:*', 'E')
    const byKey = Object.fromEntries(body.records.map((one: { key: string }) => [one.key, one]))
    expect(byKey['order:1']).toMatchObject({ state: 'done', attempts: 1, startedAt: expect.any(String) })
    expect(byKey['order:2']).toMatchObject({ state: 'retryable', step: 'charge', steps: 1 })
    expect(JSON.stringify(body)).not.toContain('result-in-clear')
    const filtered = await ask('GET', '/api/v1/once?state=done', 'E')
    expect(filtered.body.records).toHaveLength(1)
    const path = '/api/v1/once/order:2/resolve'
    expect((await ask('POST', path, 'E', { as: 'gone' })).status).toBe(400)
    expect((await ask('POST', path, 'E', { as: 'retry', result: 1 })).status).toBe(400)
    expect((await ask('POST', '/api/v1/once/none/resolve', 'E', { as: 'retry' })).status).toBe(404)
    expect((await ask('POST', path, 'E', { as: 'done', result: 'by hand' })).body).toEqual({
      key: 'order:2',
      as: 'done',
    })
    expect(await hf.once('order:2', () => 'ran again')).toBe('by hand')
    let finish = (_: string): void => {}
    const running = hf.once(
      'order:3',
      () =>
        new Promise<string>((resolve) => {
          finish = resolve
        }),
    )
    await until('it runs', async () => (await hf.once.inspect('order:3'))?.state === 'running')
    expect((await ask('POST', '/api/v1/once/order:3/resolve', 'E', { as: 'retry' })).status).toBe(409)
    finish('done')
    await running
  })

  it('counts sessions, lists them without values, and ends them [S1-1, S0-22]', async () => {
    const { hf, ask } = await open()
    const chat = hf.sessions<{ cart: string; step: number }>('chat')
    const one = await chat.create({ cart: 'cart-in-clear', step: 1 }, { user: 'ada' })
    await chat.create({ cart: 'b', step: 2 }, { user: 'bea' })
    await hf.sessions('web').create({ a: 1 })
    const { body } = await ask('GET', '/api/v1/sessions?store=chat', 'E')
    expect(body.stores).toMatchObject([
      { name: 'chat', count: 2 },
      { name: 'web', count: 1 },
    ])
    expect(body.sessions.map(({ user }: { user: string }) => user).sort()).toEqual(['ada', 'bea'])
    expect(body.sessions[0].fields.sort()).toEqual(['cart', 'step'])
    const text = JSON.stringify(body)
    expect(text).not.toContain('cart-in-clear')
    expect(text).not.toContain(one.id)
    const mine = (await ask('GET', '/api/v1/sessions?store=chat&user=ada', 'E')).body.sessions
    expect(mine).toHaveLength(1)
    expect(Date.parse(mine[0].expiresAt)).toBeGreaterThan(Date.parse(mine[0].createdAt))
    const path = `/api/v1/sessions/chat/${mine[0].idHash}`
    expect((await ask('DELETE', path, 'E')).body).toEqual({ store: 'chat', revoked: 1 })
    expect(await chat.load(one.id)).toBeUndefined()
    expect((await ask('DELETE', path, 'E')).status).toBe(404)
    expect((await ask('DELETE', '/api/v1/sessions/chat/users/bea', 'E')).body.revoked).toBe(1)
    expect((await ask('GET', '/api/v1/sessions?store=chat', 'E')).body.sessions).toEqual([])
    expect((await ask('DELETE', `/api/v1/sessions/chat/${enc('../x')}`, 'E')).status).toBe(400)
    expect((await ask('GET', '/api/v1/sessions?user=ada', 'E')).status).toBe(400)
  })

  it('tells of tokens their fingerprints and lives, and drops one [S0-2, S0-3]', async () => {
    const { hf, ask } = await open()
    idp.expiresIn = 3_600
    const tokens = hf.tokens({
      tokenUrl: idp.tokenUrl,
      ...CLIENT,
      local: 0,
    })
    const secret = await tokens.get()
    const { body } = await ask('GET', '/api/v1/tokens', 'E')
    expect(body).toHaveLength(1)
    expect(body[0]).toMatchObject({
      client: 'shop-client',
      state: 'valid',
      fingerprint: (await tokens.describe()).fingerprint,
    })
    expect(Date.parse(body[0].expiresAt)).toBeGreaterThan(Date.now() + 600_000)
    for (const known of idp.secrets()) expect(JSON.stringify(body)).not.toContain(known)
    expect(idp.secrets()).toContain(secret)
    const path = `/api/v1/tokens/${enc(body[0].name)}`
    expect((await ask('DELETE', path, 'E')).body).toMatchObject({ invalidated: true })
    expect((await tokens.describe()).state).toBe('absent')
    expect((await ask('DELETE', path, 'E')).status).toBe(404)
    expect((await ask('DELETE', `/api/v1/tokens/${enc('x}{y')}`, 'E')).status).toBe(400)
  })

  it('shows queues, holds them, and replays or drops what was given up [S1-25, S1-22]', async () => {
    const { hf, ask } = await open()
    let isBroken = true
    const done: string[] = []
    const queue = hf.queue<{ id: string; password: string }>('mail', {
      partitions: 1,
      retry: { attempts: 1, first: '1ms' },
      id: ({ id }) => id,
      handle: (batch) =>
        batch.map(({ body }) => {
          if (isBroken) return { dead: 'no such address' }
          done.push(body.id)
          return { ok: true }
        }),
    })
    for (const id of ['a', 'b', 'c']) await queue.add({ id, password: 'pw-in-clear' })
    await until('they died', async () => (await queue.stats()).dead === 3, 20_000, 20)
    const mail = async () =>
      (await ask('GET', '/api/v1/queues', 'B')).body.find(({ name }: { name: string }) => name === 'mail')
    expect(await mail()).toMatchObject({
      backend: where === 'Redis' ? 'bullmq' : 'embedded',
      durability: 'memory',
      failed: 3,
      waiting: 0,
      paused: false,
      partitions: [{ index: 0 }],
    })
    const base = '/api/v1/queues/mail/dead-letters'
    const first = (await ask('GET', `${base}?limit=2`, 'E')).body
    expect(first).toMatchObject({ total: 3, cursor: '2' })
    expect(first.letters[0]).toMatchObject({
      reason: 'no such address',
      body: { password: '[redacted]' },
      attempts: expect.any(Number),
    })
    expect((await ask('GET', `${base}?limit=2&cursor=2`, 'E')).body.letters).toHaveLength(1)
    isBroken = false
    expect((await ask('POST', '/api/v1/queues/mail/pause', 'B')).body).toEqual({ name: 'mail', paused: true })
    expect((await mail()).paused).toBe(true)
    expect((await ask('POST', `${base}/a/replay`, 'E')).body).toMatchObject({ replayed: 1 })
    expect((await ask('DELETE', `${base}/b`, 'E')).body).toMatchObject({ dropped: 1 })
    expect((await ask('DELETE', `${base}/b`, 'E')).status).toBe(404)
    expect((await ask('POST', `${base}/replay?dryRun=true`, 'E')).body).toMatchObject({ would_replay: 1 })
    expect((await ask('POST', `${base}/replay`, 'E')).body).toMatchObject({ replayed: 1 })
    expect(done).toEqual([])
    expect((await ask('POST', '/api/v1/queues/mail/resume', 'B')).body.paused).toBe(false)
    await until('they are handled', () => done.length === 2, 20_000, 20)
    expect(done.sort()).toEqual(['a', 'c'])
    expect((await ask('POST', '/api/v1/queues/none/pause', 'B')).status).toBe(404)
  })

  it('tells the slow commands with keys redacted, and the findings of the doctor [S3-34, S2-24]', async () => {
    const { hf, ask } = await open()
    if (where === 'Redis') {
      await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '0')
      await hf.redis?.command('HSET', 'user:secret-id', 'f', 'value-in-clear')
      await redis.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '10000')
    }
    const { status, body } = await ask('GET', '/api/v1/slowlog?limit=50', 'E')
    expect(status).toBe(200)
    const text = JSON.stringify(body)
    expect(text).not.toContain('secret-id')
    expect(text).not.toContain('value-in-clear')
    if (where === 'Redis') {
      const own = body.find(({ command }: { command: string }) => command === 'HSET')
      expect(own.keys[0]).toMatch(/^hf:desk\d+:raw:#[0-9a-f]{8}$/)
    } else expect(body).toEqual([])
    const doctor = await ask('GET', '/api/v1/doctor', 'B')
    expect(doctor.body.score).toBeGreaterThan(0)
    expect(doctor.body.findings.map(({ id }: { id: string }) => id)).toContain('D1')
  })

  it('writes down who did what, to how many, and pages through it [S3-41]', async () => {
    const { hf, ask } = await open()
    for (let i = 0; i < 5; i++) {
      await hf.cache.set(`k${i}`, i)
      await ask('DELETE', `/api/v1/cache/key/k${i}`, 'B')
    }
    await ask('GET', '/api/v1/audit', 'B')
    const first = (await ask('GET', '/api/v1/audit?limit=4', 'E')).body
    expect(first.entries[0]).toMatchObject({
      who: 'bob',
      action: 'GET /api/v1/audit',
      outcome: 'refused',
      address: '127.0.0.1',
    })
    expect(first.entries[1]).toMatchObject({
      action: 'cache.delete',
      target: 'k4',
      count: 1,
      outcome: 'done',
    })
    const rest = (await ask('GET', `/api/v1/audit?limit=4&cursor=${first.cursor}`, 'E')).body
    expect(rest.entries.map(({ target }: { target: string }) => target)).toEqual(['k1', 'k0'])
    expect(rest.cursor).toBeUndefined()
    expect((await ask('GET', '/api/v1/audit?cursor=x', 'E')).status).toBe(400)
  })
})

describe('what other processes use', () => {
  it('is seen too, where Redis is shared: limiters, locks, sessions, queues [S1-18, S0-5]', async () => {
    const namespace = `both${process.pid}`
    const app = await openDesk(redis.url, {}, { namespace })
    const serve = await openDesk(redis.url, {}, { namespace })
    const limiter = app.hf.limiter('api', '1/hour')
    for (let i = 0; i < 3; i++) await limiter.consume({ user: '1' })
    const lease = await app.hf.lock('shared').acquire()
    await app.hf.sessions('web').create({ a: 1 }, { user: 'ada' })
    const queue = app.hf.queue('jobs', { partitions: 2 })
    await queue.add({ n: 1 })
    const { ask } = serve
    await until('the figures arrive', async () => {
      const { body } = await ask('GET', '/api/v1/limits', 'E')
      return body.find(({ name }: { name: string }) => name === 'api')?.denied === 2
    })
    expect((await ask('DELETE', '/api/v1/limits/api/user:1', 'E')).status).toBe(200)
    await until('the reset is heard', async () => (await limiter.peek({ user: '1' })).remaining === 1)
    expect((await ask('GET', '/api/v1/locks', 'E')).body.locks[0]).toMatchObject({ name: 'shared' })
    const sessions = (await ask('GET', '/api/v1/sessions?store=web', 'E')).body.sessions
    expect(sessions).toMatchObject([{ user: 'ada', fields: ['a'] }])
    const queues = (await ask('GET', '/api/v1/queues', 'B')).body
    expect(queues).toMatchObject([{ name: 'jobs', waiting: 1, partitions: [{ index: 0 }, { index: 1 }] }])
    await lease.release()
  })
})
