import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OutboundStats } from '../../src/http/outbound-events.ts'
import { type HttpOrigin, startOrigin } from '../support/http-origin.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

describe('three processes that call one service', () => {
  let redis: RedisServer
  let origin: HttpOrigin
  let workers: Worker[]
  beforeAll(async () => {
    redis = await startRedis()
    let count = 0
    origin = await startOrigin((seen, response) => {
      const n = ++count
      setTimeout(() => {
        response.setHeader('cache-control', 'public, max-age=600')
        response.end(`${seen.path} for ${seen.headers['x-user']} ${n}`)
      }, 100)
    })
    const env = { REDIS_URL: redis.url, ORIGIN_URL: origin.url }
    const file = new URL('./outbound-worker.ts', import.meta.url)
    workers = await Promise.all([0, 1, 2].map(() => startWorker(file, { env, readyMs: 60_000 })))
  }, 90_000)
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
    await origin.stop()
    await redis.stop()
  })

  const ask = async (path: string, user: string, times = 20) =>
    (
      await Promise.all(
        workers.map((worker) => worker.ask<string[]>({ op: 'ask', path, times, user }, 30_000)),
      )
    ).flat()

  it('fetch once for 60 equal calls, each identity for itself, whatever its token [S0-13][B17]', async () => {
    for (let round = 0; round < 5; round++) {
      const path = `/products/${round}`
      const [ada, bob] = await Promise.all([ask(path, 'ada'), ask(path, 'bob')])
      expect(new Set(ada).size).toBe(1)
      expect(ada[0]).toContain(`${path} for ada`)
      expect(new Set(bob).size).toBe(1)
      expect(bob[0]).toContain(`${path} for bob`)
      expect(origin.calls(path)).toBe(2)
    }
    const stats = await Promise.all(workers.map((worker) => worker.ask<OutboundStats>({ op: 'stats' })))
    const sum = (name: keyof OutboundStats) => stats.reduce((total, one) => total + one[name], 0)
    expect([sum('requests'), sum('fetches'), sum('failures')]).toEqual([600, 10, 0])
    expect(sum('hits') + sum('misses') + sum('collapsed')).toBe(600)
  })

  it('all see an invalidation by one of them, once it is acknowledged [S0-18]', async () => {
    const path = '/invalidated'
    const before = new Set(await ask(path, 'ada'))
    for (let round = 0; round < 5; round++) {
      await workers[round % 3]!.ask({ op: 'invalidate' }, 30_000)
      const after = new Set(await ask(path, 'ada'))
      expect(after.size).toBe(1)
      for (const text of after) expect(before.has(text)).toBe(false)
      for (const text of after) before.add(text)
    }
    expect(origin.calls(path)).toBe(6)
  })

  it('share what undici’s interceptor stored', async () => {
    const first = await workers[0]!.ask<string>({ op: 'undici', path: '/rates' })
    await until('it is stored', async () => (await workers[0]!.ask<number>({ op: 'stored' })) === 1)
    for (const worker of workers) expect(await worker.ask({ op: 'undici', path: '/rates' })).toBe(first)
    expect(origin.calls('/rates')).toBe(1)
  })
})
