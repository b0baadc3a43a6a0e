import { Pool } from 'pg'
import { describe, expect, it } from 'vitest'
import { postgresMissing, startPostgres } from './postgres-server.ts'

describe.skipIf(postgresMissing() !== undefined)('a real PostgreSQL of our own', () => {
  it('starts, crashes, keeps what was committed, freezes, thaws and is gone', async () => {
    const postgres = await startPostgres()
    await postgres.query('CREATE TABLE t (n int)')
    await postgres.query('INSERT INTO t VALUES ($1)', [1])
    await postgres.kill()
    expect(postgres.alive).toBe(false)
    await expect(postgres.query('SELECT 1')).rejects.toThrow()
    await postgres.restart()
    expect(await postgres.query('SELECT n FROM t')).toEqual([{ n: 1 }])

    const pool = new Pool({ connectionString: postgres.url })
    pool.on('error', () => {})
    await pool.query('SELECT 1')
    postgres.pause()
    const answer = pool.query('SELECT 2 AS n')
    const early = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))])
    expect(early).toBe('silence')
    postgres.resume()
    expect((await answer).rows).toEqual([{ n: 2 }])
    await pool.end()
    await postgres.stop()
    expect(postgres.alive).toBe(false)
  })
})
