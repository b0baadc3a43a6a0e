import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { PATIENT } from '../support/redis-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

let redis: RedisServer
let port: RedisPort
beforeAll(async () => {
  redis = await startRedis()
  port = connectRedis(redis.url, PATIENT)
  await port.ready(20_000)
})
afterAll(async () => {
  await port.close()
  await redis.stop()
})

let names = 0
describe.each(['memory', 'Redis'])('locks in %s', (where) => {
  const open = () => new Locks(where === 'Redis' ? { redis: port, namespace: `list${names++}` } : {})

  it('taken away by an operator are lost to their holder and go to as many as waited for them [S0-24]', async () => {
    const locks = open()
    const lease = await locks.lock('plan', { ttl: '600ms' }).acquire()
    expect(await locks.evict('plan')).toBe(1)
    await until('the holder learns it', () => lease.lost !== undefined)
    expect(lease.signal.aborted).toBe(true)
    expect(() => lease.assertHeld()).toThrow()
    const pair = locks.semaphore('pair', 2, { renew: false, ttl: '5m' })
    const held = [await pair.acquire(), await pair.acquire()]
    const waiting = [1, 2, 3].map(() => pair.acquire({ wait: '30s' }))
    await until('they wait', async () => (await pair.inspect()).waiting === 3)
    expect(await locks.evict('pair')).toBe(2)
    const [first, second] = await Promise.all(waiting.slice(0, 2))
    const { holders, waiting: left } = await pair.inspect()
    expect([holders.length, left]).toEqual([2, 1])
    const newest = Math.max(...held.map((one) => Number(one.fencingToken)))
    for (const one of [first!, second!]) expect(Number(one.fencingToken)).toBeGreaterThan(newest)
    await first!.release()
    await (await waiting[2]!).release()
    expect(await locks.evict('nobody')).toBe(0)
    locks.close()
  })

  it('are listed while they are held or waited for, by pattern and page [S1-23]', async () => {
    const locks = open()
    const leases = await Promise.all(['a:1', 'a:2', 'b*[1]'].map((name) => locks.lock(name).acquire()))
    const { read } = locks.readWrite('a:book')
    leases.push(await read.acquire())
    const all = (await locks.list()).locks.map(({ name, kind }) => `${kind} ${name}`).sort()
    expect(all).toEqual(['lock a:1', 'lock a:2', 'lock b*[1]', 'rwlock a:book'])
    const some = (await locks.list({ pattern: 'a:?' })).locks.map(({ name }) => name).sort()
    expect(some).toEqual(['a:1', 'a:2'])
    expect((await locks.list({ pattern: 'b\\*\\[1\\]' })).locks).toHaveLength(1)
    await expect(locks.list({ limit: 0 })).rejects.toThrow(/limit/)
    await expect(locks.list({ pattern: 'a\n' })).rejects.toThrow(/control/)
    for (const lease of leases) await lease.release()
    expect((await locks.list()).locks).toEqual([])
    locks.close()
  })
})
