import { type Clock, sleep } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import { toMs } from '../base/duration.ts'
import { QueueUnavailable } from './errors.ts'
import { tellFault } from './events.ts'
import type { Checked } from './intake.ts'
import { inTransaction } from './sql.ts'
import type { SqlDatabase, SqlRunner } from './sql-database.ts'
import { quoteTable } from './sql-text.ts'

export interface OutboxSetup {
  readonly clock: Clock
  readonly namespace: string
  readonly queue: string
  readonly db: SqlDatabase
  readonly table: string
  readonly relay: boolean
  readonly batch: number
  readonly poll: Duration
  /** Puts messages into the queue; resolves when all are durable there. */
  send(messages: readonly Checked[]): Promise<void>
}

interface Row {
  readonly seq: string | number
  readonly id: string
  readonly key: string | null
  readonly state: string | null
  readonly at: string | number
  readonly text: string
}

/** Longest pause after rounds that failed, ms. */
const MAX_PAUSE = 5_000

/**
 * The statement that makes the table of an outbox. A row lives from the transaction that wrote it
 * until the relay has passed it on.
 */
export function outboxTable(table = 'holdfast_outbox'): string {
  return `CREATE TABLE IF NOT EXISTS ${quoteTable(table, 'table')} (
  seq bigserial PRIMARY KEY,
  queue text NOT NULL,
  id text NOT NULL,
  key text,
  state text,
  at bigint NOT NULL,
  text text NOT NULL
)`
}

/**
 * Messages that come to be with a transaction of the user's own, and the relay that passes them on.
 * One relay at a time passes on the rows of a queue, in the order of their numbers, and deletes them
 * in the same transaction: a relay that dies in between leaves them to the next, which sends them
 * again under the same ids.
 */
export class Outbox {
  readonly #setup: OutboxSetup
  readonly #table: string
  readonly #pollMs: number
  readonly #stop = new AbortController()
  #nudge = new AbortController()
  readonly #running: Promise<void>

  constructor(setup: OutboxSetup) {
    this.#setup = setup
    this.#table = quoteTable(setup.table, 'outbox.table')
    this.#pollMs = toMs(setup.poll, 'outbox.poll')
    this.#running = setup.relay ? this.#run() : Promise.resolve()
  }

  /** Writes the rows of messages, within `tx` where there is one. One statement. */
  async write(messages: readonly Checked[], tx: SqlRunner | undefined): Promise<void> {
    const { db, queue } = this.#setup
    const columns = [
      messages.map(({ id }) => id),
      messages.map(({ key }) => key ?? null),
      messages.map(({ coalesce }) => coalesce ?? null),
      messages.map(({ at }) => at),
      messages.map(({ text }) => text),
    ]
    const insert = `INSERT INTO ${this.#table} (queue, id, key, state, at, text)
      SELECT $1, id, key, state, at, text
      FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
        WITH ORDINALITY AS row (id, key, state, at, text, place) ORDER BY place`
    try {
      await (tx ?? db).query(insert, [queue, ...columns])
    } catch (error) {
      // In a transaction of the user's the error is his: the transaction is over by it.
      if (tx) throw error
      throw new QueueUnavailable('the row of the message could not be written', {
        cause: error,
        mend: 'see the cause; the table is made by outboxTable()',
      })
    }
    this.#nudge.abort()
  }

  /** Rows that were not passed on. */
  async waiting(): Promise<number> {
    const { db, queue } = this.#setup
    const { rows } = await db.query(`SELECT count(*)::int AS n FROM ${this.#table} WHERE queue = $1`, [queue])
    return (rows[0] as { n: number }).n
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the queue is being closed'))
    this.#nudge.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#setup
    let pause = this.#pollMs
    while (!this.#stop.signal.aborted) {
      this.#nudge = new AbortController()
      try {
        const passed = await this.#round()
        pause = this.#pollMs
        // A full round was not the last.
        if (passed >= this.#setup.batch) continue
      } catch (error) {
        tellFault(this.#setup, 'relay', error)
        pause = Math.min(MAX_PAUSE, Math.max(50, pause * 2))
      }
      await sleep(clock, pause, this.#nudge.signal).catch(() => {})
    }
  }

  /** Answers how many rows were passed on. */
  #round(): Promise<number> {
    const { db, queue, batch, clock, send } = this.#setup
    return inTransaction(
      db,
      async (tx) => {
        // Two relays side by side would pass on a later row before an earlier one.
        const lock = `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS mine`
        const { rows: locks } = await tx.query(lock, [`holdfast outbox ${this.#table} ${queue}`])
        if (!(locks[0] as { mine: boolean }).mine) return 0
        const { rows } = await tx.query(
          `SELECT seq, id, key, state, at, text FROM ${this.#table} WHERE queue = $1
           ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED`,
          [queue, batch],
        )
        const found = rows as Row[]
        if (found.length === 0) return 0
        await send(found.map(messageOf))
        await tx.query(`DELETE FROM ${this.#table} WHERE seq = ANY($1::bigint[])`, [
          found.map(({ seq }) => seq),
        ])
        return found.length
      },
      { clock, signal: this.#stop.signal },
    )
  }
}

function messageOf({ id, key, state, at, text }: Row): Checked {
  return {
    id,
    key: key ?? undefined,
    coalesce: state ?? undefined,
    text,
    bytes: Buffer.byteLength(text),
    at: Number(at),
  }
}
