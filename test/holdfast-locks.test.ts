import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../src/index.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'

describe('locks and run-once of an instance', () => {
  let data: RedisServer
  let cache: RedisServer
  beforeAll(async () => {
    ;[data, cache] = await Promise.all([startRedis(), startRedis()])
  })
  afterAll(() => Promise.all([data.stop(), cache.stop()]))

  it('work in process memory without any Redis [S0-24] [S0-23]', async () => {
    await using hf = holdfast()
    expect(await hf.lock('plan:1').run(({ fencingToken }) => fencingToken > 0)).toBe(true)
    expect(await hf.semaphore('s', 2).run(() => 2)).toBe(2)
    expect(await hf.readWrite('rw').write.run(() => 3)).toBe(3)
    expect(await hf.once('plan:1', () => 4)).toBe(4)
    expect(await hf.once('plan:1', () => 5)).toBe(4)
  })

  it('are shared by instances, live on the role that must not evict, and connect it at the first need', async () => {
    const redis = { cache: cache.url, data: data.url }
    await using first = holdfast({ redis, namespace: 'shop' })
    await using second = holdfast({ redis, namespace: 'shop' })
    expect(first.redis?.health().data).toBeUndefined()
    // The first use connects: on a busy machine that may take longer than the usual patience.
    const patience = '15s'
    const held = await first.lock('plan:1', { patience }).acquire()
    expect(await second.lock('plan:1', { patience }).tryAcquire()).toBeUndefined()
    expect(await data.cli('EXISTS', 'hf:shop:lock:{plan:1}:h')).toBe(1)
    expect(await cache.cli('EXISTS', 'hf:shop:lock:{plan:1}:h')).toBe(0)
    await held.release()
    expect(await first.once('plan:1', () => 'ran')).toBe('ran')
    expect(await second.once('plan:1', () => 'again')).toBe('ran')
    expect(await data.cli('EXISTS', 'hf:shop:once:{plan:1}')).toBe(1)
  })
})
