import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { until } from '../support/until.ts'

describe('locks and a failover that loses the last writes', () => {
  let master: RedisServer
  let replica: RedisServer
  let proxy: TestProxy
  let port: RedisPort
  let locks: Locks

  beforeAll(async () => {
    master = await startRedis()
    replica = await startReplica(master)
    proxy = await startProxy(master.port)
    port = connectRedis(proxy.url)
    await port.ready(10_000)
    locks = new Locks({ redis: port, namespace: 'test' })
  })
  afterAll(async () => {
    locks.close()
    await port.close()
    await proxy.stop()
    await replica.stop()
    await master.stop()
  })

  it('gives newer tokens than ever before, tells the holder, and lets those in line in [L21] [L14] [S0-24]', async () => {
    const lock = locks.lock('fo', { ttl: 600 })
    await lock.run(() => 1)
    const counter = String(await master.cli('HGET', 'hf:test:lock:{fo}', 'f'))
    await until(
      'the replica has the counter',
      async () => (await replica.cli('HGET', 'hf:test:lock:{fo}', 'f')) === counter,
    )
    // From here on the replica hears nothing: it will be promoted with this older counter.
    await replica.cli('REPLICAOF', 'NO', 'ONE')
    let newest = 0
    for (let round = 0; round < 20; round++) newest = await lock.run((lease) => lease.fencingToken)
    const held = await lock.acquire()
    const waiting = locks.lock('fo').acquire({ wait: '15s' })
    await until('it is in line', async () => (await lock.inspect()).waiting === 1)

    proxy.retarget(replica.port)
    await master.kill()
    proxy.cut()
    const next = await waiting
    expect(Number(await replica.cli('HGET', 'hf:test:lock:{fo}', 'f'))).toBe(next.fencingToken)
    expect(next.fencingToken).toBeGreaterThan(held.fencingToken)
    expect(held.fencingToken).toBeGreaterThan(newest)
    await until('the old holder was told', () => held.signal.aborted, 2_000)
    expect(['stolen', 'unreachable', 'vanished']).toContain(held.lost)
    next.assertHeld()
    expect(await next.release()).toBe(true)
  })
})
