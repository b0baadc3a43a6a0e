import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { closeDesks, openDesk } from './desk.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterEach(async () => {
  redis.resume()
  await closeDesks()
})
afterAll(() => redis.stop())

/** Deadlines are seconds; the rest is for a machine that is busy. */
const BOUND_MS = 30_000
const DEFAULTS = { deadlines: undefined }

describe('the administration while Redis does not answer', () => {
  it('answers every read in bounded time: with what this process knows, or that it cannot know [S1-20, S3-34]', async () => {
    const { hf, admin, ask } = await openDesk(redis.url, {}, DEFAULTS)
    await hf.cache.set('k', 1)
    redis.pause()
    const began = performance.now()
    const reads = admin.routes.filter(({ method, answers }) => method === 'GET' && answers !== 'stream')
    const answers = await Promise.all(
      reads.map(async ({ path }) => [path, await ask('GET', path.replace(/:\w+/g, 'k'), 'E')] as const),
    )
    expect(performance.now() - began).toBeLessThan(BOUND_MS)
    for (const [path, { status, type, headers }] of answers) {
      expect([path, [200, 404, 503]]).toEqual([path, expect.arrayContaining([status])])
      if (status !== 503) continue
      expect([path, type]).toEqual([path, 'application/problem+json'])
      expect(headers.get('retry-after')).toBe('1')
    }
    const known = new Map(answers)
    for (const path of ['me', 'overview', 'history', 'health', 'limits', 'audit', 'doctor', 'openapi.json']) {
      expect([path, known.get(`/api/v1/${path}`)?.status]).toEqual([path, 200])
    }
    expect(known.get('/api/v1/locks')?.status).toBe(503)
    await until('it is noticed', async () => {
      const { body } = await ask('GET', '/api/v1/health', 'E')
      return body.status === 'degraded'
    })
  }, 60_000)

  it('says of a change that it failed, and keeps that in its own part of the audit log [S3-41]', async () => {
    const { hf, ask } = await openDesk(redis.url, {}, DEFAULTS)
    await hf.cache.set('k', 1)
    redis.pause()
    for (const path of ['cache/key/k', 'cache/tags/red', 'locks/l?confirm=l', 'limits/api/user:1']) {
      const { status } = await ask('DELETE', `/api/v1/${path}`, 'E')
      expect([path, status]).toEqual([path, 503])
    }
    const { body } = await ask('GET', '/api/v1/audit', 'E')
    const outcomes = body.entries.map(({ action, outcome }: Record<string, string>) => `${outcome} ${action}`)
    expect(outcomes).toContain('failed DELETE /api/v1/cache/key/:key')
    expect(outcomes).toContain('failed DELETE /api/v1/locks/:name')
  }, 60_000)
})

describe('a cache that is switched off', () => {
  it('is told to be off, not to miss [S4-9]', async () => {
    const { hf, ask } = await openDesk(undefined, {}, { cache: { enabled: false } })
    await hf.cache.getOrSet('k', () => 1)
    expect((await ask('GET', '/api/v1/cache/stats', 'B')).body.status).toBe('disabled')
    expect((await ask('GET', '/api/v1/overview', 'B')).body).toMatchObject({
      status: 'off',
      cache: { enabled: false },
    })
    expect((await ask('GET', '/api/v1/cache/explain/k', 'E')).body).toMatchObject({
      state: 'disabled',
      refusedBy: 'off',
    })
    const [root] = (await ask('GET', '/api/v1/cache/namespaces', 'B')).body
    expect(root).toMatchObject({ enabled: false, hitRate: null })
  })
})
