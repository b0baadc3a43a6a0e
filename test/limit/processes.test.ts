import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Algorithm } from '../../src/limit/spec.ts'
import { most } from '../../src/testing/limit-contract.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

interface Report {
  admitted: number[]
  asked: number
  degraded: number
}

describe('four processes on one limiter', () => {
  let server: RedisServer
  let workers: Worker[]
  beforeAll(async () => {
    server = await startRedis()
    const file = new URL('./limit-worker.ts', import.meta.url)
    workers = await Promise.all(
      // One believes that it is an hour later, one an hour earlier.
      [0, 3_600_000, 0, -3_600_000].map((skew) =>
        startWorker(file, {
          env: { REDIS_URL: server.url, CLOCK_SKEW_MS: String(skew) },
          readyMs: 60_000,
        }),
      ),
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
    'never admit more than the limit in any window: %s, deny cache %i, %s, clocks an hour apart [S0-7, S0-8, S0-9, S0-11, L9]',
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

  it('never exceed it either while the server is frozen and its scripts are flushed, and go on by themselves [S0-8, L10, L14]', async () => {
    const [limit, windowMs, ms] = [40, 250, 5_000]
    const request = {
      op: 'hammer',
      name: 'faults',
      limits: '40 per 250ms',
      algorithm: 'sliding',
      ms,
      denyCache: 0,
    }
    const hammering = Promise.all(workers.map((worker) => worker.ask<Report>(request, ms + 30_000)))
    const ends = performance.now() + ms - 1_500
    let blows = 0
    for (; performance.now() < ends; blows++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      await server.cli('SCRIPT', 'FLUSH')
      // Every third time for longer than the connection is believed in.
      const pause = blows % 3 === 2 ? 1_100 : 150
      server.pause()
      await new Promise((resolve) => setTimeout(resolve, pause))
      server.resume()
    }
    const reports = await hammering
    const hits = reports.flatMap((report) => report.admitted.map((at) => ({ at, cost: 1 })))
    const worst = most(hits, windowMs * 1_000)
    expect(worst).toBeLessThanOrEqual(limit)
    expect(hits.length).toBeGreaterThan(limit * 3)
    const total = (name: 'asked' | 'degraded') => reports.reduce((sum, report) => sum + report[name], 0)
    // The faults did bite, and were over: each of them was let in again in the last second.
    expect(total('degraded')).toBeGreaterThan(0)
    const last = Math.max(...hits.map((hit) => hit.at))
    for (const { admitted } of reports) expect(last - Math.max(...admitted)).toBeLessThan(1_500_000)
    if (process.env.HOLDFAST_TEST_FIGURES === '1') {
      console.info(
        `${blows} blows, ${total('asked')} asked, ${hits.length} admitted, ${total('degraded')} refused without Redis; ` +
          `at most ${worst} of ${limit} in any window`,
      )
    }
  }, 60_000)
})
