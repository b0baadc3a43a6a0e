/**
 * The worker of `postgres.test.ts`: takes the lock and writes to a PostgreSQL table under its token,
 * on a connection of its own.
 */
import pg from 'pg'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { serve, tell } from '../support/processes.ts'

const skewMs = Number(process.env.CLOCK_SKEW_MS ?? 0)
const realNow = Date.now
Date.now = () => realNow() + skewMs

const redis = connectRedis(process.env.REDIS_URL!)
const locks = new Locks({ redis, namespace: 'sql' })
const sql = new pg.Client({ connectionString: process.env.DATABASE_URL! })
await Promise.all([redis.ready(20_000), sql.connect()])

/** The recipe of the docs, and a journal in the same transaction. */
async function write(name: string, token: number): Promise<boolean> {
  await sql.query('BEGIN')
  try {
    const { rowCount } = await sql.query(
      'UPDATE guarded SET token = $2, writes = writes + 1 WHERE name = $1 AND token < $2',
      [name, token],
    )
    if (rowCount === 1) await sql.query('INSERT INTO journal (name, token) VALUES ($1, $2)', [name, token])
    await sql.query('COMMIT')
    return rowCount === 1
  } catch (error) {
    await sql.query('ROLLBACK')
    throw error
  }
}

serve({
  /** Turns as everybody should take them; every visit is entered in a book, by the database's clock. */
  async turns({ name, count, ttl }) {
    let refused = 0
    for (let turn = 0; turn < Number(count); turn++) {
      await locks.lock(String(name), { ttl: Number(ttl), wait: '60s' }).run(async ({ fencingToken }) => {
        await sql.query('INSERT INTO visits (token, pid) VALUES ($1, $2)', [fencingToken, process.pid])
        if (!(await write(String(name), fencingToken))) refused++
        await sql.query('UPDATE visits SET gone = clock_timestamp() WHERE token = $1', [fencingToken])
      })
    }
    return { refused }
  },

  /** As careless as a process can be: it writes although its lock may be lost. */
  async storm({ name, ttl, ms }) {
    const end = performance.now() + Number(ms)
    const seen = { accepted: 0, refused: 0, lost: 0, unavailable: 0, timeout: 0 }
    while (performance.now() < end) {
      try {
        await locks.lock(String(name), { ttl: Number(ttl), wait: '2s' }).run(
          async ({ fencingToken, signal }) => {
            tell({ inside: true })
            await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 60))
            if (signal.aborted) seen.lost++
            seen[(await write(String(name), fencingToken)) ? 'accepted' : 'refused']++
          },
          { onLost: 'return' },
        )
      } catch (error) {
        const code = String((error as { code?: string }).code)
        if (code === 'LOCK_UNAVAILABLE') seen.unavailable++
        else if (code === 'LOCK_TIMEOUT') seen.timeout++
        else throw error
      }
    }
    return seen
  },
})
