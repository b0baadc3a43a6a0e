import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Algorithm } from '../../src/limit/spec.ts'
import { most } from '../../src/testing/limit-contract.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

interface Report {
  admitted: number[]
  asked: number
}

describe('four processes on one limiter', () => {
  let server: RedisServer
  let workers: Worker[]
  beforeAll(async () => {
    server = await startRedis()
    const file = new URL('./limit-worker.ts', import.meta.url)
    workers = await Promise.all(
      [1, 2, 3, 4].map(() => startWorker(file, { env: { REDIS_URL: server.url }, readyMs: 60_000 })),
    )
  }, 90_000)
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
    await server.stop()
  })

  const cases: [algorithm: Algorithm, denyCache: number, limits: string, limit: number, windowMs: number][] =
    [
      ['sliding', 0, '50 per 200ms', 50, 200],
      ['sliding', 1_000, '50 per 200ms', 50, 200],
      ['log', 0, '50 per 200ms', 50, 200],
      ['sliding', 1_000, '30/s', 30, 1_000],
    ]
  it.each(cases)(
    'never admit more than the limit in any window: %s, deny cache %i, %s [S0-7, S0-8, S0-9, S0-11]',
    async (algorithm, denyCache, limits, limit, windowMs) => {
      const name = `${algorithm}-${denyCache}-${windowMs}`
      const ms = windowMs * 4
      const reports = await Promise.all(
        workers.map((worker) =>
          worker.ask<Report>({ op: 'hammer', name, limits, algorithm, ms, denyCache }, 30_000),
        ),
      )
      const hits = reports.flatMap((report) => report.admitted.map((at) => ({ at, cost: 1 })))
      expect(hits.every((hit) => hit.at > 0)).toBe(true)
      expect(most(hits, windowMs * 1_000)).toBe(limit)
      expect(hits.length).toBeGreaterThanOrEqual(limit * 3)
      expect(reports.reduce((sum, report) => sum + report.asked, 0)).toBeGreaterThan(hits.length)
    },
    40_000,
  )
})
