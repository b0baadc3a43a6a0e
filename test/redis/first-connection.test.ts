import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { FIRST_CONNECTION_MS } from '../../src/redis/first-connection.ts'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { freePort } from '../support/free-port.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'

describe('the first call of a process', () => {
  let redis: RedisServer
  let idp: TokenServer
  let proxy: TestProxy
  let hf: Holdfast
  const made: Holdfast[] = []
  const fresh = (redis: string | { cluster: string[] }) => {
    const one = holdfast({ redis, namespace: 'cold', deadlines: { connect: '10s' } })
    made.push(one)
    return one
  }

  beforeAll(async () => {
    redis = await startRedis()
    idp = await startTokenServer()
  })
  beforeEach(async () => {
    // On a line of its own, on which each message takes its time: nothing is connected yet.
    proxy = await startProxy(redis.port)
    proxy.latency(15)
    hf = fresh(proxy.url)
  })
  afterEach(async () => {
    await Promise.all(made.splice(0).map((each) => each.close()))
    await proxy.stop()
  })
  afterAll(async () => {
    await idp.stop()
    await redis.stop()
  })

  const tokens = () => hf.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT })
  const firsts: [what: string, call: () => Promise<unknown>, answer: unknown][] = [
    ['a lock', () => hf.lock('x').run(() => 'ran'), 'ran'],
    ['a lock that must not wait', async () => Boolean(await hf.lock('y').tryAcquire()), true],
    ['a lock without patience', () => hf.lock('z', { patience: 0 }).run(() => 'ran'), 'ran'],
    ['a look at a lock', async () => (await hf.lock('x').inspect()).waiting, 0],
    ['a semaphore', () => hf.semaphore('s', 2).run(() => 'ran'), 'ran'],
    ['a run', () => hf.once('job', () => 'ran', { retain: '1s' }), 'ran'],
    ['a run without patience', () => hf.once('now', () => 'ran', { patience: 0, retain: '1s' }), 'ran'],
    ['a look at a run', async () => (await hf.once.inspect('unknown')) ?? 'nothing known', 'nothing known'],
    ['a verdict on a run', () => hf.once.resolve('unknown', 'retry'), 'absent'],
    ['a session', async () => (await hf.sessions('web').create({ a: 1 })).data, { a: 1 }],
    [
      'a session that is loaded',
      async () => (await hf.sessions('web').load('x'.repeat(34))) ?? 'none',
      'none',
    ],
    ['a list of sessions', () => hf.sessions('web').listByUser('anna'), []],
    ['a token', async () => [/^at-/.test(await tokens().get()), tokens().counters().alone], [true, 0]],
  ]
  it.each(firsts)('waits for the first connection instead of failing: %s', async (_, call, answer) => {
    expect(hf.redis?.health().data?.nodes[0]?.state ?? 'connecting').toBe('connecting')
    expect(await call()).toEqual(answer)
    expect(proxy.opened).toBeGreaterThan(0)
  })

  it('waits in a cluster, too, whose map is not known yet', async () => {
    const cluster: TestCluster = await startCluster()
    try {
      hf = fresh({ cluster: [...cluster.urls] })
      const [a, b, c] = await Promise.all([
        hf.sessions('web', { deadline: '10s' }).create({ a: 1 }),
        hf.once('job', () => 'ran', { patience: '10s' }),
        hf.lock('x', { patience: '10s' }).run(() => 'ran'),
      ])
      expect([a.data, b, c]).toEqual([{ a: 1 }, 'ran', 'ran'])
    } finally {
      await made.pop()?.close()
      await cluster.stop()
    }
  })

  it('does not count the time for which the program itself was busy', async () => {
    const session = hf.sessions('web').create({ a: 1 })
    const run = hf.once('busy', () => 'ran', { patience: 0 })
    const until = performance.now() + FIRST_CONNECTION_MS + 200
    while (performance.now() < until) {
      // As a program that loads its modules.
    }
    expect((await session).data).toEqual({ a: 1 })
    expect(await run).toBe('ran')
  })

  it('is refused typed after a second where there is no Redis, and the next one at once', async () => {
    hf = fresh(`redis://127.0.0.1:${await freePort()}`)
    const web = hf.sessions('web')
    const refusals = async () => {
      const started = performance.now()
      const outcomes = await Promise.allSettled([
        web.create({}),
        hf.once('job', () => 'ran', { patience: 0 }),
        hf.lock('x', { patience: 0 }).run(() => 'ran'),
      ])
      const codes = outcomes.map((each) => (each.status === 'rejected' ? each.reason.code : each.value))
      return { codes, took: performance.now() - started }
    }
    const codes = ['REDIS_UNAVAILABLE', 'ONCE_UNAVAILABLE', 'LOCK_UNAVAILABLE']
    const first = await refusals()
    expect(first.codes).toEqual(codes)
    expect(first.took).toBeGreaterThan(FIRST_CONNECTION_MS * 0.9)
    expect(first.took).toBeLessThan(FIRST_CONNECTION_MS * 5)
    const second = await refusals()
    expect(second.codes).toEqual(codes)
    expect(second.took).toBeLessThan(FIRST_CONNECTION_MS * 0.9)
  })

  it('ends when the instance is closed or the caller gives up meanwhile', async () => {
    hf = fresh(`redis://127.0.0.1:${await freePort()}`)
    const stop = new AbortController()
    const lock = hf.lock('x').acquire({ signal: stop.signal })
    const run = hf.once('job', () => 'ran', { signal: stop.signal })
    stop.abort(new Error('left'))
    await expect(lock).rejects.toThrow('left')
    await expect(run).rejects.toThrow('left')
    const session = hf.sessions('web').create({})
    const started = performance.now()
    await Promise.all([expect(session).rejects.toMatchObject({ code: 'CLOSED' }), hf.close()])
    expect(performance.now() - started).toBeLessThan(FIRST_CONNECTION_MS * 0.9)
  })
})
