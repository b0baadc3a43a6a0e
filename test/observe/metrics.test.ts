import { Registry } from 'prom-client'
import { afterEach, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { degraded, replies } from '../../src/http/counts.ts'
import { outbound } from '../../src/http/outbound.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { startRedis } from '../support/redis-server.ts'

const open: Holdfast[] = []
function instance(options: Parameters<typeof holdfast>[0] = {}): Holdfast {
  const hf = holdfast(options)
  open.push(hf)
  return hf
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((hf) => hf.close()))
})

/** One series of an exposition, by its name and labels in any order. */
function series(text: string, name: string, labels: Record<string, string> = {}): number | undefined {
  for (const line of text.split('\n')) {
    const [, found, inside = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (found !== name) continue
    if (Object.entries(labels).every(([key, word]) => inside.includes(`${key}="${word}"`)))
      return Number(value)
  }
  return undefined
}

describe('metrics', () => {
  it('[S2-34, S2-35, S2-36, S2-37, S2-5, S2-18, S2-19] counts a scripted 70/30 run exactly, under the names of the trade', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    for (let i = 0; i < 30; i++) await hf.cache.getOrSet(`k${i}`, () => i, { ttl: '1m' })
    for (let i = 0; i < 70; i++) await hf.cache.getOrSet(`k${i % 30}`, () => i, { ttl: '1m' })
    const text = await metrics.text()
    const hits = ['l1', 'l2', 'stale'].map((tier) => series(text, 'cache_hits_total', { tier }) ?? 0)
    expect(hits.reduce((a, b) => a + b)).toBe(70)
    expect(series(text, 'cache_misses_total', { namespace: 'default' })).toBe(30)
    expect(series(text, 'cache_errors_total', { namespace: 'default' })).toBe(0)
    expect(series(text, 'holdfast_cache_hit_ratio', { namespace: 'default' })).toBeCloseTo(0.7)
    expect(series(text, 'cache_response_seconds_count', { op: 'get' })).toBe(100)
    metrics.close()
  })

  it('shows each namespace for itself, and the root without them', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf, latency: false })
    const users = hf.cache.namespace('users')
    await users.getOrSet('1', () => 1, { ttl: '1m' })
    await users.getOrSet('1', () => 1, { ttl: '1m' })
    await hf.cache.getOrSet('x', () => 1, { ttl: '1m' })
    const text = await metrics.text()
    expect(series(text, 'cache_misses_total', { namespace: 'users' })).toBe(1)
    expect(series(text, 'cache_misses_total', { namespace: 'default' })).toBe(1)
    expect(series(text, 'holdfast_cache_hit_ratio', { namespace: 'users' })).toBe(0.5)
    expect(text).not.toContain('cache_response_seconds')
    metrics.close()
  })

  it('[B6] adds a second instance to the same series, and leaves nothing behind after the last', async () => {
    const register = new Registry()
    const first = instance()
    const second = instance({ namespace: 'other' })
    const one = createMetrics({ holdfast: first, register })
    const two = createMetrics({ holdfast: second, register })
    await first.cache.getOrSet('x', () => 1, { ttl: '1m' })
    await second.cache.getOrSet('x', () => 1, { ttl: '1m' })
    expect(series(await register.metrics(), 'cache_misses_total')).toBe(2)
    one.close()
    one.close()
    expect(series(await register.metrics(), 'cache_misses_total')).toBe(1)
    two.close()
    expect(await register.metrics()).toBe('\n')
    createMetrics({ holdfast: first, register }).close()
  })

  it('[B6] counts an outage as errors, so that the hit rate does not lie, and says how long it lasted', async () => {
    const server = await startRedis()
    const hf = instance({ redis: server.url, cache: { l1: false } })
    const metrics = createMetrics({ holdfast: hf })
    await hf.ready()
    await hf.cache.getOrSet('x', () => 1, { ttl: '1m' })
    await hf.cache.getOrSet('x', () => 1, { ttl: '1m' })
    expect(series(await metrics.text(), 'holdfast_redis_up', { role: 'cache' })).toBe(1)
    await server.kill()
    await expect
      .poll(async () => series(await metrics.text(), 'holdfast_redis_up', { role: 'cache' }))
      .toBe(0)
    await hf.cache.getOrSet('x', () => 1, { ttl: '1m' })
    const text = await metrics.text()
    expect(series(text, 'cache_errors_total', { namespace: 'default' })).toBeGreaterThan(0)
    expect(series(text, 'holdfast_cache_hit_ratio', { namespace: 'default' })).toBe(0.5)
    expect(series(text, 'holdfast_redis_events_total', { event: 'lost' })).toBeGreaterThan(0)
    expect(series(text, 'holdfast_redis_degraded_seconds_total')).toBeGreaterThan(0)
    metrics.close()
    await server.stop()
  })

  it('counts limits, locks and run-once by outcome, and shows no key or identity', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    const limiter = hf.limiter('chat', '1/minute')
    await limiter.consume({ user: 'ada-lovelace' })
    await limiter.consume({ user: 'ada-lovelace' })
    await hf.lock('plan-of-ada').run(() => 1)
    await hf.once('order-of-ada', () => 1)
    await hf.once('order-of-ada', () => 1)
    const text = await metrics.text()
    expect(series(text, 'holdfast_limit_decisions_total', { limiter: 'chat', outcome: 'allowed' })).toBe(1)
    expect(series(text, 'holdfast_limit_decisions_total', { limiter: 'chat', outcome: 'denied' })).toBe(1)
    expect(series(text, 'holdfast_lock_events_total', { event: 'acquired' })).toBeGreaterThan(0)
    expect(series(text, 'holdfast_lock_held_seconds_count')).toBeGreaterThan(0)
    expect(series(text, 'holdfast_once_calls_total', { outcome: 'ran' })).toBe(1)
    expect(series(text, 'holdfast_once_calls_total', { outcome: 'repeated' })).toBe(1)
    expect(text).not.toContain('ada')
    metrics.close()
  })

  it('[S1-25] shows depth and age of a queue, and what became of its messages', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const queue = hf.queue<number>('mail', {
      handle: async (batch) => {
        await gate
        return batch.map(({ body }) => (body === 3 ? { dead: 'no such address' } : { ok: true }))
      },
    })
    await queue.addMany([1, 2, 3])
    const depth = async (state: string) =>
      series(await metrics.text(), 'holdfast_queue_depth', { queue: 'mail', state })
    await expect.poll(() => depth('unsettled')).toBe(3)
    expect(series(await metrics.text(), 'holdfast_queue_oldest_seconds', { queue: 'mail' })).toBeGreaterThan(
      0,
    )
    open()
    await expect.poll(() => depth('dead')).toBe(1)
    const text = await metrics.text()
    expect(series(text, 'holdfast_queue_added_total', { queue: 'mail', outcome: 'stored' })).toBe(3)
    expect(series(text, 'holdfast_queue_settled_total', { queue: 'mail', outcome: 'done' })).toBe(2)
    expect(series(text, 'holdfast_queue_settled_total', { queue: 'mail', outcome: 'dead' })).toBe(1)
    expect(text).not.toContain('no such address')
    metrics.close()
  })

  it('bounds the names that the code may bring', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    for (let i = 0; i < 250; i++)
      await hf.cache.namespace(`tenant-${i}`).getOrSet('x', () => 1, { ttl: '1m' })
    const text = await metrics.text()
    const shown = new Set(
      [...text.matchAll(/cache_misses_total\{namespace="([^"]+)"/g)].map(([, name]) => name),
    )
    expect(shown.size).toBeLessThanOrEqual(201)
    expect(series(text, 'cache_misses_total', { namespace: 'other' })).toBeGreaterThanOrEqual(50)
    metrics.close()
  })

  it('[S0-37] tells entries that were read from those that expired unread', async () => {
    const clock = new FakeClock()
    const hf = instance({ clock })
    const metrics = createMetrics({ holdfast: hf, clock })
    for (let i = 0; i < 10; i++) await hf.cache.getOrSet(`k${i}`, () => i, { ttl: '1m' })
    for (let i = 0; i < 4; i++) await hf.cache.getOrSet(`k${i}`, () => i, { ttl: '1m' })
    await hf.cache.getOrSet('k0', () => 0, { ttl: '1m' })
    const fate = async (name: string) =>
      series(await metrics.text(), 'holdfast_cache_entries_total', { namespace: 'default', fate: name })
    expect(await fate('read')).toBe(4)
    expect(await fate('expired-unread')).toBe(0)
    await clock.advance(61_000)
    expect(await fate('read')).toBe(4)
    expect(await fate('expired-unread')).toBe(6)
    metrics.close()
  })

  it('[S0-34, S0-35, S3-28, S3-44] shows memory and its bound, keys, connections and what waits for an answer', async () => {
    const server = await startRedis({ config: { maxmemory: '50mb', 'maxmemory-policy': 'allkeys-lru' } })
    const hf = instance({ redis: server.url })
    const metrics = createMetrics({ holdfast: hf })
    await hf.ready('20s')
    await hf.cache.getOrSet('x', () => 1, { ttl: '1m' })
    const text = await metrics.text()
    expect(series(text, 'holdfast_redis_memory_bytes', { role: 'cache', kind: 'used' })).toBeGreaterThan(1e5)
    expect(series(text, 'holdfast_redis_memory_bytes', { role: 'cache', kind: 'max' })).toBe(50 * 1024 * 1024)
    expect(series(text, 'holdfast_redis_keys', { role: 'cache' })).toBeGreaterThan(0)
    expect(series(text, 'holdfast_redis_clients', { role: 'cache', state: 'connected' })).toBeGreaterThan(0)
    expect(series(text, 'holdfast_redis_removed_keys', { role: 'cache', why: 'evicted' })).toBe(0)
    expect(series(text, 'holdfast_redis_round_trips_total')).toBeGreaterThan(0)
    expect(series(text, 'holdfast_redis_pending')).toBeDefined()
    expect(series(text, 'holdfast_redis_round_trip_seconds', { role: 'cache' })).toBeGreaterThan(0)
    await server.kill()
    expect(series(await metrics.text(), 'holdfast_redis_up', { role: 'cache' })).toBeDefined()
    metrics.close()
    await server.stop()
  })

  it('counts the response cache and calls to other services, without an address', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    const upstream = outbound(
      async () => new Response('{}', { headers: { 'content-type': 'application/json' } }),
      {
        cache: hf.cache,
        routes: [{ name: 'products', match: 'https://shop.test/products/*', ttl: '1m', identity: 'shared' }],
      },
    )
    await (await upstream('https://shop.test/products/ada')).text()
    await (await upstream('https://shop.test/products/ada')).text()
    replies.publish({ outcome: 'hit', reason: '', status: 304, ms: 2 })
    degraded.publish({ what: 'cut', error: undefined })
    const text = await metrics.text()
    expect(series(text, 'holdfast_outbound_requests_total', { route: 'products', outcome: 'miss' })).toBe(1)
    expect(series(text, 'holdfast_outbound_requests_total', { route: 'products', outcome: 'hit' })).toBe(1)
    expect(series(text, 'holdfast_outbound_seconds_count', { route: 'products', outcome: 'hit' })).toBe(1)
    expect(series(text, 'holdfast_http_replies_total', { outcome: 'hit', status: '3xx' })).toBe(1)
    expect(series(text, 'holdfast_http_degraded_total', { what: 'cut' })).toBe(1)
    expect(text).not.toContain('ada')
    metrics.close()
  })

  it('counts sessions by kind and the tokens of all clients, and shows no id, user or secret', async () => {
    const hf = instance()
    const metrics = createMetrics({ holdfast: hf })
    const sessions = hf.sessions<{ step: number }>('chat')
    const { id } = await sessions.create({ step: 1 }, { user: 'ada' })
    await sessions.load(id)
    await sessions.load('no-such-session-anywhere')
    const tokens = hf.tokens({
      tokenUrl: 'https://login.test/token',
      clientId: 'client-of-ada',
      clientSecret: 'secret-of-ada',
      fetch: async () =>
        Response.json({ access_token: 'token-of-ada', token_type: 'Bearer', expires_in: 3600 }),
    })
    await tokens.get()
    await tokens.get()
    const text = await metrics.text()
    const session = (event: string) => series(text, 'holdfast_session_events_total', { store: 'chat', event })
    expect([session('created'), session('loaded'), session('missed')]).toEqual([1, 1, 1])
    const token = (event: string) => series(text, 'holdfast_token_events_total', { event })
    expect([token('call'), token('local'), token('failure')]).toEqual([1, 1, 0])
    for (const secret of ['ada', id]) expect(text).not.toContain(secret)
    metrics.close()
  })
})
