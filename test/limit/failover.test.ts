import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLimiter } from '../../src/limit/limiter.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { until } from '../support/until.ts'

describe('limits and a failover that loses the last writes', () => {
  let master: RedisServer
  let replica: RedisServer
  let proxy: TestProxy
  let redis: RedisPort

  beforeAll(async () => {
    master = await startRedis()
    replica = await startReplica(master)
    proxy = await startProxy(master.port)
    redis = connectRedis(proxy.url)
    await redis.ready(10_000)
  })
  afterAll(async () => {
    await redis.close()
    await proxy.stop()
    await replica.stop()
    await master.stop()
  })

  it('go on by what the promoted replica knows: no more than the lost calls are admitted twice, none is charged twice [L14]', async () => {
    const limiter = createLimiter({
      redis,
      name: 'fo',
      limits: '20/hour',
      onUnavailable: 'deny',
      deadline: 5_000,
      denyCache: 0,
    })
    const allowed = async (calls: number) => {
      let count = 0
      for (let call = 0; call < calls; call++) if ((await limiter.consume('a')).allowed) count++
      return count
    }
    expect(await allowed(5)).toBe(5)
    const known = await master.cli('DUMP', 'hf:app:rl:fo:{a}')
    await until(
      'the replica has the count',
      async () => String(await replica.cli('DUMP', 'hf:app:rl:fo:{a}')) === String(known),
    )
    // From here on the replica hears nothing: it will be promoted with this older counter.
    await replica.cli('REPLICAOF', 'NO', 'ONE')
    expect(await allowed(6)).toBe(6)

    proxy.retarget(replica.port)
    await master.kill()
    proxy.cut()
    await until('the new master decides', async () => (await limiter.peek('a')).degraded === false)
    expect((await limiter.peek('a')).remaining).toBe(15)
    expect(await allowed(30)).toBe(15)
    expect(Number(await replica.cli('PTTL', 'hf:app:rl:fo:{a}'))).toBeGreaterThan(0)
    await limiter.close()
  }, 30_000)
})
