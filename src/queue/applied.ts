import type { Clock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { refuseUnknown } from '../base/options.ts'
import type { BatchContext, BatchHandler, Message } from './options.ts'
import { inTransaction } from './sql.ts'
import type { SqlDatabase, SqlRunner } from './sql-database.ts'
import { quoteTable } from './sql-text.ts'

/** Ids of messages whose effect is committed: one row each, written in the transaction of the effect. */
export const APPLIED_TABLE = 'holdfast_applied'
const PRUNE_ROWS = 10_000

/** Makes the table of ids where it is missing. */
export async function createAppliedTable(db: SqlRunner, table: string = APPLIED_TABLE): Promise<void> {
  const target = quoteTable(table, 'table')
  await db.query(
    `CREATE TABLE IF NOT EXISTS ${target} (id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`,
  )
}

/**
 * Marks messages as applied, within your transaction, and answers which of them are new: do the
 * effect for those and commit. An id that another transaction is marking is waited for. What is
 * rolled back is not applied.
 */
export async function applied(
  tx: SqlRunner,
  ids: readonly string[],
  table: string = APPLIED_TABLE,
): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  // In one order everywhere, so that two that share ids wait for each other in a row, not in a ring.
  const sorted = [...new Set(ids)].sort()
  const { rows } = await tx.query(
    `INSERT INTO ${quoteTable(table, 'table')} (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING id`,
    [sorted],
  )
  // The cast below: the statement returns this column.
  return new Set((rows as { id: string }[]).map(({ id }) => id))
}

/**
 * Forgets ids that are older than `age`. A message that is delivered again after that is applied
 * again: keep them longer than anything can wait in a queue, its dead letters included.
 * @returns how many were removed
 */
export async function pruneApplied(
  db: SqlRunner,
  age: Duration,
  table: string = APPLIED_TABLE,
): Promise<number> {
  const target = quoteTable(table, 'table')
  const seconds = toMs(age, 'age') / 1_000
  let removed = 0
  for (;;) {
    const { rows } = await db.query(
      `WITH gone AS (DELETE FROM ${target} WHERE id IN (SELECT id FROM ${target}
       WHERE at < now() - make_interval(secs => $1::float8) LIMIT ${PRUNE_ROWS}) RETURNING 1)
       SELECT count(*)::int AS count FROM gone`,
      [seconds],
    )
    // The cast below: the statement returns one row with this column.
    const [{ count }] = rows as [{ count: number }]
    removed += count
    if (count < PRUNE_ROWS) return removed
  }
}

/** An effect, and the database that it takes place in. */
export interface ApplyOnceOptions<T> {
  /** A `pg` Pool or PGlite. */
  db: SqlDatabase
  /** What to do for messages whose effect is not committed yet, oldest first. Everything through `tx`. */
  effect: (tx: SqlRunner, fresh: readonly Message<T>[], context: BatchContext) => Promise<void>
  /** Table of ids, see `createAppliedTable`. @default 'holdfast_applied' */
  table?: string | undefined
  /** For one transaction. @default '30s' */
  timeout?: Duration | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

/**
 * A handler for any effect in a database: the ids of the batch and the effect are committed
 * together, so each message has its effect once, however often it is delivered.
 */
export function applyOnce<T>(options: ApplyOnceOptions<T>): BatchHandler<T> {
  refuseUnknown(options, ['db', 'effect', 'table', 'timeout', 'clock'], 'applyOnce()')
  const { db, effect, table = APPLIED_TABLE, timeout, clock } = options
  quoteTable(table, 'table')
  return async (batch, context) => {
    await inTransaction(
      db,
      async (tx) => {
        const ids = await applied(
          tx,
          batch.map(({ id }) => id),
          table,
        )
        const fresh = batch.filter(({ id }) => ids.delete(id))
        if (fresh.length > 0) await effect(tx, fresh, context)
      },
      { timeout, signal: context.signal, clock },
    )
  }
}
