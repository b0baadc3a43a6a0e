import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres-server.ts'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const HOLDER = new URL('./sql-holder.ts', import.meta.url)
const SCALE = Number(process.env.HOLDFAST_TEST_SCALE ?? 1)
const FIGURES = process.env.HOLDFAST_TEST_FIGURES === '1'

interface Storm {
  readonly accepted: number
  readonly refused: number
  readonly lost: number
  readonly unavailable: number
  readonly timeout: number
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

// Where no PostgreSQL is installed, processes.test.ts proves the same with PGlite, one write at a time.
describe.skipIf(postgresMissing() !== undefined)(
  'one lock, eight processes, and a table of a real PostgreSQL',
  () => {
    let redis: RedisServer
    let postgres: PostgresServer
    let sql: pg.Client
    const workers: Worker[] = []

    beforeAll(async () => {
      ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
      sql = new pg.Client({ connectionString: postgres.url })
      await sql.connect()
      await sql.query(`
      CREATE TABLE guarded (name text PRIMARY KEY, token bigint NOT NULL, writes int NOT NULL);
      CREATE TABLE journal (at serial PRIMARY KEY, name text NOT NULL, token bigint NOT NULL);
      CREATE TABLE visits (
        token bigint PRIMARY KEY, pid int NOT NULL,
        came timestamptz NOT NULL DEFAULT clock_timestamp(), gone timestamptz
      );
      INSERT INTO guarded VALUES ('turns', 0, 0), ('storm', 0, 0);
    `)
      workers.push(...(await Promise.all(Array.from({ length: 8 }, (_, index) => start(index)))))
    }, 120_000)
    afterAll(async () => {
      await Promise.all(workers.map((worker) => worker.kill()))
      await sql?.end()
      await Promise.all([redis?.stop(), postgres?.stop()])
    })

    /** Every second process believes that it is an hour later, or earlier. */
    const start = (index: number) =>
      startWorker(HOLDER, {
        env: {
          REDIS_URL: redis.url,
          DATABASE_URL: postgres.url,
          CLOCK_SKEW_MS: String([0, 3_600_000, 0, -3_600_000][index % 4]),
        },
        readyMs: 90_000,
      })

    async function tokens(name: string): Promise<number[]> {
      const { rows } = await sql.query('SELECT token FROM journal WHERE name = $1 ORDER BY at', [name])
      return rows.map(({ token }: { token: string }) => Number(token))
    }

    it('has never two visitors at a time, refuses none of their writes, sees tokens rise [S0-24] [L9]', async () => {
      const count = 25 * SCALE
      const started = performance.now()
      const reports = await Promise.all(
        workers.map((worker) =>
          worker.ask<{ refused: number }>({ op: 'turns', name: 'turns', count, ttl: 10_000 }, 90_000),
        ),
      )
      const took = performance.now() - started
      expect(reports.map(({ refused }) => refused)).toEqual(Array(8).fill(0))
      const order = await tokens('turns')
      expect(order).toHaveLength(8 * count)
      expect(order).toEqual(order.toSorted((a, b) => a - b))
      const { rows } = await sql.query(`
      SELECT count(*)::int AS visits, count(DISTINCT pid)::int AS processes,
        (SELECT count(*)::int FROM visits a JOIN visits b ON a.token < b.token AND b.came < a.gone) AS overlaps,
        count(*) FILTER (WHERE gone IS NULL)::int AS open
      FROM visits
    `)
      expect(rows[0]).toEqual({ visits: 8 * count, processes: 8, overlaps: 0, open: 0 })
      if (FIGURES) console.info(`${8 * count} turns of 8 processes in ${Math.round(took)} ms: no overlap`)
    }, 120_000)

    it('accepts strictly rising tokens alone while holders and the server are frozen, killed and emptied [S0-24] [L21]', async () => {
      const ms = 6_000 * SCALE
      const doomed = await Promise.all([0, 1].map(start))
      const inside = new Set<Worker>()
      for (const worker of [...workers, ...doomed]) {
        worker.onMessage((message) => {
          if (message.inside) inside.add(worker)
        })
      }
      const entered = async (among: readonly Worker[]) => {
        inside.clear()
        for (const end = performance.now() + 2_000; performance.now() < end; await pause(2)) {
          const found = among.find((worker) => inside.has(worker))
          if (found) return found
        }
        return undefined
      }
      const ends = performance.now() + ms
      const storm = (worker: Worker) =>
        worker.ask<Storm>({ op: 'storm', name: 'storm', ttl: 300, ms }, ms + 60_000)
      const reports = workers.map(storm)
      for (const worker of doomed) void storm(worker).catch(() => {})
      const blows = [
        async () => {
          const victim = await entered(workers)
          victim?.pause()
          await pause(600)
          victim?.resume()
        },
        async () => {
          await (await entered(doomed.filter(({ alive }) => alive)))?.kill()
        },
        async () => {
          redis.pause()
          await pause(400)
          redis.resume()
        },
        () => redis.cli('SCRIPT', 'FLUSH'),
        () => redis.restart(),
      ]
      let dealt = 0
      for (; performance.now() < ends - 1_200; dealt++) {
        await pause(100)
        await blows[dealt % blows.length]!()
      }
      const seen = await Promise.all(reports)
      await Promise.all(doomed.map((worker) => worker.kill()))
      const total = (name: keyof Storm) => seen.reduce((sum, report) => sum + report[name], 0)
      const order = await tokens('storm')
      expect(order.length).toBeGreaterThan(5)
      expect(order).toEqual(order.toSorted((a, b) => a - b))
      expect(new Set(order).size).toBe(order.length)
      expect(order.length).toBeGreaterThanOrEqual(total('accepted'))
      const { rows } = await sql.query("SELECT token, writes FROM guarded WHERE name = 'storm'")
      expect([Number(rows[0].token), rows[0].writes]).toEqual([order.at(-1), order.length])
      // The faults did bite: otherwise this would prove nothing.
      const bites = (['refused', 'lost', 'unavailable', 'timeout'] as const).map(total)
      expect(bites.reduce((sum, each) => sum + each)).toBeGreaterThan(0)
      if (FIGURES) {
        const words = (['accepted', 'refused', 'lost', 'unavailable', 'timeout'] as const)
          .map((name) => `${name} ${total(name)}`)
          .join(', ')
        console.info(`${dealt} blows in ${ms} ms; journal ${order.length}, all tokens rising; ${words}`)
      }
    }, 180_000)
  },
)
