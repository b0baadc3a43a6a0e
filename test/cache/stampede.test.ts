import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

interface Rush {
  readonly loads: number
  readonly good: number
  readonly ms: number
}

/** What the shipped settings promise: a lease lapses after 2 s without its holder. */
const LEASE_MS = 2_000

describe('a cold key that many processes want at once', () => {
  let redis: RedisServer
  let workers: Worker[]
  const loading: number[] = []

  beforeAll(async () => {
    redis = await startRedis()
    const file = new URL('./cache-worker.ts', import.meta.url)
    const env = { REDIS_URL: redis.url }
    workers = await Promise.all([1, 2, 3, 4].map(() => startWorker(file, { env, readyMs: 60_000 })))
    for (const worker of workers) worker.onMessage((message) => loading.push(Number(message.loading)))
  }, 90_000)
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
    await redis.stop()
  })

  const rush = (worker: Worker, key: string, callers: number, loadMs: number): Promise<Rush> =>
    worker.ask<Rush>({ op: 'rush', key, callers, loadMs }, 40_000)

  it('is loaded exactly once by four processes of 250 callers each [S2-46][S3-46]', async () => {
    for (let round = 0; round < 5; round++) {
      const seen = await Promise.all(workers.map((worker) => rush(worker, `hot${round}`, 250, 100)))
      expect(seen.map(({ good }) => good)).toEqual([250, 250, 250, 250])
      expect(seen.reduce((sum, { loads }) => sum + loads, 0)).toBe(1)
    }
  }, 60_000)

  it('is taken over when the process that loads it is killed, and no other caller sees an error', async () => {
    loading.length = 0
    const [first, ...others] = workers as [Worker, ...Worker[]]
    const lost = rush(first, 'orphan', 10, 60_000).catch((error: unknown) => error)
    await until('the first one loads', () => loading.includes(first.pid))
    const waiting = Promise.all(others.map((worker) => rush(worker, 'orphan', 50, 100)))
    await first.kill()
    expect(await lost).toBeInstanceOf(Error)
    const seen = await waiting
    expect(seen.map(({ good }) => good)).toEqual([50, 50, 50])
    expect(seen.reduce((sum, { loads }) => sum + loads, 0)).toBe(1)
    // Far below the 10 s after which a waiter would load beside the holder.
    for (const { ms } of seen) expect(ms).toBeLessThan(LEASE_MS + 3_000)
  }, 60_000)
})
