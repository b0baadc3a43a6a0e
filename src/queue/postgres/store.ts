import { type Clock, sleep } from '../../base/clock.ts'
import { type BullStore, loadBullmq } from '../bullmq/library.ts'
import { QueueUnavailable, QueueUncertain } from '../errors.ts'

/** What BullMQ's PostgreSQL backend has beside the verbs of every backend. */
export interface PostgresStore extends BullStore {
  forQueue(name: string): PostgresStore
  /** All of one queue in one statement, in their order. */
  addJobs(jobs: readonly { readonly job: object; readonly jobId: string }[]): Promise<string[]>
  /** Back to wait; with `lifo` to the front. */
  retryJob(jobId: string, lifo: boolean, token: string): Promise<void>
  query(text: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** A connection string, or the options of a `pg` pool. */
export type PostgresConnection = string | Readonly<Record<string, unknown>>

/** Opens BullMQ's tables, in its schema `bullmq` unless `schema` says otherwise, and makes them if they are missing. */
export async function openStore(
  connection: PostgresConnection,
  name: string,
  deadline: number,
): Promise<PostgresStore> {
  const library = await loadBullmq()
  const given = typeof connection === 'string' ? { connectionString: connection } : connection
  const limits = { connectionTimeoutMillis: deadline, query_timeout: deadline * 2 }
  const options = { connection: { migrate: true, ...limits, ...given } }
  return library.createPostgresBackend(name, options) as PostgresStore
}

/** PostgreSQL's own words for it: five characters. Then the statement had no effect. */
const SQLSTATE = /^[0-9A-Z]{5}$/
const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ETIMEDOUT'])

export function verdictOf(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const isClear = NOT_CONNECTED.has(code) || (SQLSTATE.test(code) && !code.startsWith('08'))
  const mend = 'see the cause'
  return isClear
    ? new QueueUnavailable('PostgreSQL did not take the message', { cause: error, mend })
    : new QueueUncertain('PostgreSQL did not confirm the message in time', { cause: error })
}

/** Rejects with QueueUnavailable when `work` takes longer; what becomes of it then nobody hears. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  work.catch(() => {})
  try {
    const late = sleep(clock, ms, over.signal).then(() => {
      throw new QueueUnavailable('PostgreSQL did not answer in time', { mend: 'see to the database' })
    })
    return await Promise.race([work, late])
  } finally {
    over.abort(new Error('answered'))
  }
}
