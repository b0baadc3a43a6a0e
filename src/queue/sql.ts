import { type Clock, systemClock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { ApplyTimeout } from './errors.ts'
import type { SqlClient, SqlDatabase, SqlPool, SqlRunner } from './sql-database.ts'

/** How long a transaction may take. */
export interface TransactionOptions {
  /**
   * From the wait for a connection to the end of COMMIT. The server is told too, so that a statement
   * ends there as well. @default '30s'
   */
  timeout?: Duration | undefined
  /** Ends it early: the transaction is rolled back. */
  signal?: AbortSignal | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

/**
 * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. A
 * connection that failed, or that did not answer in time, is not used again.
 * @throws ApplyTimeout when the time is over, whatever `work` and the database throw
 */
export async function inTransaction<T>(
  db: SqlDatabase,
  work: (tx: SqlRunner) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const { clock = systemClock, signal } = options
  const ms = toMs(options.timeout ?? '30s', 'timeout')
  if (ms === 0) throw new InvalidOption('timeout is 0', 'give the transaction some time')
  signal?.throwIfAborted()
  const limit = new Deadline(clock, ms, signal)
  try {
    if ('transaction' in db) return await limit.race(db.transaction(work))
    return await inPool(db, work, limit, ms)
  } finally {
    limit.end()
  }
}

async function inPool<T>(
  pool: SqlPool,
  work: (tx: SqlRunner) => Promise<T>,
  limit: Deadline,
  ms: number,
): Promise<T> {
  const connecting = pool.connect()
  // Who comes too late must not keep a place in the pool.
  const client = await limit.race(connecting, () => connecting.then((late) => late.release(), ignore))
  // Between two statements nobody listens for the end of a connection, and that would end the process.
  client.on?.('error', ignore)
  let usable = false
  try {
    await limit.race(client.query(`BEGIN; SET LOCAL statement_timeout = ${Math.ceil(ms)}`))
    try {
      const result = await limit.race(work(client))
      await limit.race(client.query('COMMIT'))
      usable = true
      return result
    } catch (error) {
      if (!limit.over) usable = await rolledBack(client, limit)
      throw error
    }
  } finally {
    client.removeListener?.('error', ignore)
    // A destroyed socket tells the server too: it rolls back.
    client.release(!usable)
  }
}

async function rolledBack(client: SqlClient, limit: Deadline): Promise<boolean> {
  try {
    await limit.race(client.query('ROLLBACK'))
    return true
  } catch {
    return false
  }
}

/** The end of the time of one transaction. */
class Deadline {
  over = false
  readonly #end: Promise<never>
  readonly #stop: () => void

  constructor(clock: Clock, ms: number, signal: AbortSignal | undefined) {
    let fail: (error: unknown) => void = ignore
    this.#end = new Promise<never>((_, reject) => {
      fail = (error) => {
        this.over = true
        reject(error)
      }
    })
    this.#end.catch(ignore)
    const timer = clock.after(ms, () => fail(new ApplyTimeout(ms)), true)
    const onAbort = () => fail(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#stop = () => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** @throws what `work` throws, or the end of the time; then `late` sees to what may still come */
  async race<T>(work: Promise<T>, late: () => unknown = ignore): Promise<T> {
    work.catch(ignore)
    try {
      return await Promise.race([work, this.#end])
    } catch (error) {
      if (this.over) late()
      throw error
    }
  }

  end(): void {
    this.#stop()
  }
}

function ignore(): void {}
