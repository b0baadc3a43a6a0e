import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const HOLDER = new URL('./holder.ts', import.meta.url)
const SCALE = Number(process.env.HOLDFAST_TEST_SCALE ?? 1)

interface Storm {
  readonly accepted: number
  readonly refused: number
  readonly lost: number
  readonly unavailable: number
  readonly timeout: number
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('one lock and eight processes, checked at a SQL table by fencing tokens', () => {
  let server: RedisServer
  let table: PGlite
  let port: RedisPort
  let locks: Locks
  const workers: Worker[] = []
  const onEntry = new Set<(worker: Worker) => void>()
  /** The next of these processes that says that it is inside; nobody after two seconds without. */
  const entered = (among: readonly Worker[]) =>
    new Promise<Worker | undefined>((resolve) => {
      const hear = (worker: Worker) => {
        if (!among.includes(worker)) return
        onEntry.delete(hear)
        resolve(worker)
      }
      onEntry.add(hear)
      setTimeout(() => {
        onEntry.delete(hear)
        resolve(undefined)
      }, 2_000)
    })

  beforeAll(async () => {
    server = await startRedis()
    port = connectRedis(server.url)
    locks = new Locks({ redis: port, namespace: 'test' })
    table = await PGlite.create()
    await table.exec(`
      CREATE TABLE guarded (name text PRIMARY KEY, token bigint NOT NULL, writes int NOT NULL);
      CREATE TABLE journal (at serial PRIMARY KEY, name text NOT NULL, token bigint NOT NULL);
    `)
    workers.push(...(await Promise.all(Array.from({ length: 8 }, (_, index) => start(index)))))
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()))
    locks.close()
    await port.close()
    await table.close()
    await server.stop()
  })

  /** Every second process believes that it is an hour later, or earlier. */
  async function start(index: number): Promise<Worker> {
    const skew = [0, 3_600_000, 0, -3_600_000][index % 4]
    const worker = await startWorker(HOLDER, {
      env: { REDIS_URL: server.url, CLOCK_SKEW_MS: String(skew) },
    })
    worker.onMessage(async ({ write: id, token, inside }) => {
      if (inside) for (const hear of onEntry) hear(worker)
      if (typeof id !== 'number') return
      const accepted = await write('plan', Number(token))
      await worker.ask({ op: 'answer', write: id, accepted }).catch(() => {})
    })
    return worker
  }

  /** The recipe of the docs: the table itself refuses a token that is not newer. */
  async function write(name: string, token: number): Promise<boolean> {
    const taken = await table.query(
      `INSERT INTO guarded AS g VALUES ($1, $2, 1)
       ON CONFLICT (name) DO UPDATE SET token = excluded.token, writes = g.writes + 1
       WHERE g.token < excluded.token RETURNING writes`,
      [name, token],
    )
    if (taken.rows.length === 0) return false
    await table.query('INSERT INTO journal (name, token) VALUES ($1, $2)', [name, token])
    return true
  }

  async function journal(): Promise<number[]> {
    const { rows } = await table.query<{ token: string | number }>('SELECT token FROM journal ORDER BY at')
    return rows.map(({ token }) => Number(token))
  }

  async function emptyTable(): Promise<void> {
    await table.exec('TRUNCATE guarded; TRUNCATE journal RESTART IDENTITY')
  }

  it('never lets two in, refuses none of their writes, and hands out strictly rising tokens [S0-24] [L9]', async () => {
    await emptyTable()
    const count = 40 * SCALE
    const reports = await Promise.all(
      workers.map((worker) =>
        worker.ask<{ tokens: number[]; overlaps: number; refused: number }>(
          { op: 'turns', name: 'turns', count, ttl: 5_000 },
          60_000,
        ),
      ),
    )
    expect(reports.map(({ overlaps }) => overlaps)).toEqual(Array(8).fill(0))
    expect(reports.map(({ refused }) => refused)).toEqual(Array(8).fill(0))
    const order = await journal()
    expect(order).toHaveLength(8 * count)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(new Set(reports.flatMap(({ tokens }) => tokens)).size).toBe(8 * count)
  }, 90_000)

  it('lets the next one in when the lease of a holder killed with -9 ends, not before [S0-24]', async () => {
    const doomed = await start(0)
    await doomed.ask({ op: 'hold', name: 'killed', ttl: 1_000 })
    const waiting = locks.lock('killed').acquire({ wait: '10s' })
    await until('it is in line', async () => (await locks.lock('killed').inspect()).waiting === 1)
    const [holder] = (await locks.lock('killed').inspect()).holders
    await doomed.kill()
    const started = performance.now()
    const lease = await waiting
    const took = performance.now() - started
    expect(took).toBeLessThan((holder?.leaseMs ?? 0) + 500)
    expect(lease.fencingToken).toBeGreaterThan(holder?.fence ?? 0)
    await lease.release()
  })

  it('refuses at the table what a holder writes that was frozen beyond its lease [S0-24]', async () => {
    await emptyTable()
    const frozen = await start(1)
    const old = await frozen.ask<number>({ op: 'hold', name: 'frozen', ttl: 300 })
    frozen.pause()
    const next = await locks.lock('frozen').acquire({ wait: '5s' })
    expect(next.fencingToken).toBeGreaterThan(old)
    expect(await write('plan', next.fencingToken)).toBe(true)
    frozen.resume()
    const late = await frozen.ask<{ accepted: boolean; lost: string }>({ op: 'writeLate' })
    expect(late.accepted).toBe(false)
    expect(late.lost).toBeDefined()
    expect(await journal()).toEqual([next.fencingToken])
    await next.release()
    await frozen.kill()
  })

  it('passes over a process that was killed while it stood at the head of the line [L22]', async () => {
    const held = await locks.lock('line').acquire()
    const doomed = await start(2)
    await doomed.ask({ op: 'queue', name: 'line' })
    await until('it listens', async () =>
      String(await server.cli('HGETALL', 'hf:test:lock:{line}')).includes('c:p'),
    )
    const next = locks.lock('line').acquire({ wait: '10s' })
    await until('both are in line', async () => (await locks.lock('line').inspect()).waiting === 2)
    await doomed.kill()
    await until('the server saw it go', async () => {
      const list = String(await server.cli('CLIENT', 'LIST', 'TYPE', 'pubsub'))
      return list.trim().split('\n').length <= 1 + workers.length
    })
    const started = performance.now()
    await held.release()
    await (await next).release()
    expect(performance.now() - started).toBeLessThan(1_500)
  })

  it('keeps the order of tokens while holders are killed and frozen and the server is frozen, killed and emptied [S0-24] [L21]', async () => {
    await emptyTable()
    const ms = 10_000 * SCALE
    const doomed = await Promise.all([0, 1, 2].map(start))
    const ends = performance.now() + ms
    const storm = (worker: Worker) =>
      worker.ask<Storm>({ op: 'storm', name: 'storm', ttl: 300, ms }, ms + 30_000)
    const reports = workers.map(storm)
    for (const worker of doomed) void storm(worker).catch(() => {})
    const blows = [
      async () => {
        const victim = await entered(workers)
        victim?.pause()
        await pause(700)
        victim?.resume()
      },
      async () => {
        await (await entered(doomed.filter(({ alive }) => alive)))?.kill()
      },
      async () => {
        server.pause()
        await pause(400)
        server.resume()
      },
      () => server.restart(),
    ]
    for (let round = 0; performance.now() < ends - 1_500; round++) {
      await pause(150)
      await blows[round % blows.length]!()
    }
    const seen = await Promise.all(reports)
    await Promise.all(doomed.map((worker) => worker.kill()))
    const order = await journal()
    const total = (name: keyof Storm) => seen.reduce((sum, report) => sum + report[name], 0)
    expect(order.length).toBeGreaterThan(50)
    // The table alone would refuse a smaller token; that no token was given twice is ours.
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(new Set(order).size).toBe(order.length)
    // Every accepted write is in the journal, whoever made it, the killed included.
    expect(order.length).toBeGreaterThanOrEqual(total('accepted'))
    // The faults did bite: otherwise this test would prove nothing.
    expect(total('lost') + total('refused')).toBeGreaterThan(0)
  }, 120_000)
})
