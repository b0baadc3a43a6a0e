import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const LOADER_MS = 20
/** Reads are given up after 100 ms, leases as well; a machine that is busy adds its own. */
const DEADLINES_MS = 200
const SLACK_MS = 800
const PER_SECOND = 400
/** Calls on their way at any moment, also on a busy machine. */
const IN_FLIGHT = 100

/** The settings that the package ships: haste is the subject here. */
describe('getOrSet at 400 calls a second', () => {
  let redis: RedisServer
  let live: LiveCache
  let stopped: boolean
  let driving: Promise<void>
  let worst: number
  let loads: number
  let answered: number
  let failures: unknown[]

  beforeEach(async () => {
    redis = await startRedis()
    // Without local copies every call needs Redis.
    live = await openCache(redis.url, { shipped: true, l1: false })
    stopped = false
    worst = loads = answered = 0
    failures = []
    driving = drive()
  })
  afterEach(async () => {
    stopped = true
    await driving
    await live.close()
    await redis.stop()
  })

  /** Arrivals do not wait for answers, as with callers from outside. */
  async function drive(): Promise<void> {
    const began = performance.now()
    const running = new Set<Promise<void>>()
    for (let n = 0; !stopped; ) {
      const due = Math.min(Math.floor(((performance.now() - began) / 1_000) * PER_SECOND), n + 40)
      for (; n < due; n++) {
        const call = ask(`k${n % 50}`).finally(() => running.delete(call))
        running.add(call)
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await Promise.all(running)
  }

  async function ask(key: string): Promise<void> {
    const began = performance.now()
    const load = async () => {
      loads++
      await new Promise((resolve) => setTimeout(resolve, LOADER_MS))
      return key
    }
    try {
      if ((await live.cache.getOrSet(key, load, { ttl: '1m' })) !== key) throw new Error('a wrong value')
      answered++
      worst = Math.max(worst, performance.now() - began)
    } catch (error) {
      failures.push(error)
    }
  }

  const hits = (): number => live.cache.stats().hits.l2
  const served = async (howMany: number): Promise<void> => {
    const goal = hits() + howMany
    await until('hits are served', () => hits() >= goal)
  }

  it('no call waits for a frozen Redis beyond its deadlines, and hits are back within 2 s of the thaw [S2-6]', async () => {
    await served(200)
    redis.pause()
    worst = 0
    const before = { loads, answered, errors: live.cache.stats().errors }
    await until('many calls were answered without it', () => answered - before.answered > 800, 15_000)
    expect(loads).toBeGreaterThan(before.loads)
    expect(live.cache.stats().errors).toBeGreaterThan(before.errors)
    expect(worst).toBeLessThan(DEADLINES_MS + LOADER_MS + SLACK_MS)
    redis.resume()
    const thawed = performance.now()
    await served(20)
    expect(performance.now() - thawed).toBeLessThan(2_000 + SLACK_MS)
    expect(failures).toEqual([])
  }, 40_000)

  it('loaders answer every call while Redis is dead, counted, and it recovers by itself [S2-6][S1-19][B6]', async () => {
    await served(200)
    await redis.kill()
    const before = { answered, ...live.cache.stats() }
    await until('many calls were answered without it', () => answered - before.answered > 800, 15_000)
    const during = live.cache.stats()
    expect(during.errors).toBeGreaterThan(before.errors)
    expect(during.bypassed).toBeGreaterThan(before.bypassed)
    // A look-up that could not be made is neither a hit nor a miss: the rate is not touched by it.
    // Only calls that were already on their way may still have been misses.
    expect(during.misses - before.misses).toBeLessThan(IN_FLIGHT)
    expect(during.errors - before.errors).toBeGreaterThan(800 - IN_FLIGHT)
    await redis.restart()
    const back = performance.now()
    await served(200)
    expect(performance.now() - back).toBeLessThan(5_000 + SLACK_MS)
    expect(failures).toEqual([])
  }, 40_000)
})
