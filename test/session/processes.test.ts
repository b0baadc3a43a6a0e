import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { createSessions } from '../../src/session/sessions.ts'
import { PATIENT_DIAL } from '../support/patience.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { startProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { until } from '../support/until.ts'

const FILE = new URL('./worker.ts', import.meta.url)
const ROUNDS = 40

interface Storm {
  readonly replaced: string[]
  readonly logins: string[]
  readonly after?: string
}

describe('sessions over several processes', () => {
  let redis: RedisServer
  let workers: Worker[] = []

  beforeAll(async () => {
    redis = await startRedis()
    // One of them touches at each look: a touch in flight must not bring a revoked session back.
    workers = await Promise.all(
      ['60000', '0', '60000'].map((every) =>
        startWorker(FILE, { env: { REDIS_URL: redis.url, TOUCH_EVERY: every } }),
      ),
    )
  }, 60_000)
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()))
    await redis.stop()
  })

  it(`leaves nothing of before a revoke-all that races with logins, touches and new ids in three processes, ${ROUNDS} rounds [L28] [S0-21]`, async () => {
    const ask = <T>(op: string, rest: (at: number) => object = () => ({})) =>
      Promise.all(workers.map((worker, at) => worker.ask<T>({ op, ...rest(at) }, 60_000)))
    let dead = 0
    let alive = 0
    for (let round = 0; round < ROUNDS; round++) {
      const user = `user-${round}`
      const before = (await ask<string[]>('login', () => ({ user, count: 2 }))).flat()
      expect(await ask('usable', () => ({ ids: before }))).toEqual(workers.map(() => before.map(() => true)))
      const mark = await workers[0]!.ask<string>({ op: 'mark', user })
      const storms = await ask<Storm>('storm', (at) => ({
        user,
        mark,
        // All use the same old sessions, as the tabs of one browser do.
        ids: before,
        revoke: at === round % workers.length,
      }))
      const replaced = storms.flatMap((storm) => storm.replaced)
      for (const old of await ask<boolean[]>('usable', () => ({ ids: [...before, ...replaced] }))) {
        expect(old, `round ${round}: a session of before is usable`).not.toContain(true)
      }
      const after = storms.flatMap((storm) => storm.after ?? [])
      expect(after).toHaveLength(1)
      expect(await ask('usable', () => ({ ids: after }))).toEqual(workers.map(() => [true]))
      const logins = storms.flatMap((storm) => storm.logins)
      const seen = await ask<boolean[]>('usable', () => ({ ids: logins }))
      expect(seen[1]).toEqual(seen[0])
      expect(seen[2]).toEqual(seen[0])
      const usable = seen[0]!.filter(Boolean).length
      dead += logins.length - usable
      alive += usable
      expect(await ask('listed', () => ({ user }))).toEqual(workers.map(() => usable + 1))
    }
    // The race was one: some logins came before the revocation, some after it.
    expect(dead).toBeGreaterThan(0)
    expect(alive).toBeGreaterThan(0)
  }, 120_000)
})

describe('sessions and a failover', () => {
  let master: RedisServer
  let replica: RedisServer
  let port: RedisPort

  it('go on at the new master: what had reached it is there, what had not is logged out, nothing comes back [S4-4] [S0-20]', async () => {
    master = await startRedis()
    replica = await startReplica(master)
    const proxy = await startProxy(master.port)
    port = connectRedis(proxy.url, PATIENT_DIAL)
    await port.ready(10_000)
    const sessions = createSessions<{ n: number }>({ redis: port, name: 'fo', deadline: '5s' })
    try {
      const kept = await sessions.create({ n: 1 }, { user: 'anna' })
      const ended = await sessions.create({ n: 2 }, { user: 'bo' })
      const revoked = await sessions.create({ n: 3 }, { user: 'cy' })
      for (const { id } of [kept, ended, revoked]) expect(await sessions.load(id)).toBeDefined()
      await sessions.destroy(ended.id)
      await sessions.revokeUser('cy')
      const count = await master.cli('DBSIZE')
      await until('the replica has it all', async () => {
        const [ours, theirs] = [await master.cli('INFO', 'replication'), await replica.cli('DBSIZE')]
        const offset = /master_repl_offset:(\d+)/.exec(String(ours))?.[1]
        return theirs === count && String(ours).includes(`offset=${offset},`)
      })
      // From here on the replica hears nothing: these are lost with the master.
      await replica.cli('REPLICAOF', 'NO', 'ONE')
      const lost = await sessions.create({ n: 4 }, { user: 'anna' })
      await sessions.update(kept.id, { n: 10 })
      const slow = await sessions.load(lost.id)

      proxy.retarget(replica.port)
      await master.kill()
      proxy.cut()
      const found = await until('sessions answer again', () => sessions.load(kept.id).catch(() => undefined))
      expect(found.data).toEqual({ n: 1 })
      expect(await sessions.load(ended.id)).toBeUndefined()
      expect(await sessions.load(revoked.id)).toBeUndefined()
      expect(await sessions.load(lost.id)).toBeUndefined()
      // A request that had loaded it before must not write it anew.
      expect(await sessions.update(slow!, { n: 5 })).toBe(false)
      expect(await sessions.load(lost.id)).toBeUndefined()
      expect(await sessions.listByUser('anna')).toHaveLength(1)
      expect(await sessions.update(found, { n: 11 })).toBe(true)
      expect((await sessions.load(kept.id))?.data).toEqual({ n: 11 })
      expect(await sessions.revokeUser('anna')).toBe(1)
    } finally {
      await port.close()
      await proxy.stop()
      await replica.stop()
      await master.stop()
    }
  }, 60_000)
})
