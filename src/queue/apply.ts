import type { Clock } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import { ConfigError, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { BatchContext, BatchHandler, Message, Outcome } from './options.ts'
import { inTransaction } from './sql.ts'
import type { SqlDatabase, SqlRunner } from './sql-database.ts'
import { checkType, quoteName, quoteTable, sqlText } from './sql-text.ts'

/** Into which table, and under which columns, a batch is written. */
export interface ApplyOptions<T> {
  /** A `pg` Pool or PGlite. */
  db: SqlDatabase
  /** `messages` or `public.messages`. */
  table: string
  /** The column that holds the message id. It needs a unique index: what is there twice is known by it. */
  id: string
  /** The other columns, and what of a message goes into each. `undefined` is NULL. */
  columns: Readonly<Record<string, (message: Message<T>) => unknown>>
  /**
   * When the id is there already. `nothing`: the row stays as it was; for messages. `update`: it takes
   * the new values; for states, with an id of what they are the state of (see `key`).
   * @default 'nothing'
   */
  onConflict?: 'nothing' | 'update' | undefined
  /** What goes into the `id` column instead of the message id: the id of a thing whose state is written. */
  key?: ((message: Message<T>) => string | number | bigint) | undefined
  /** With `update`: a column that rises; a row is left alone whose value is not lower. */
  newest?: string | undefined
  /** SQL types by column. @default read once from the catalogue */
  types?: Readonly<Record<string, string>> | undefined
  /**
   * More to do in the same transaction, for messages whose row is new. Only with `nothing`: what was
   * done before is not done again.
   */
  also?: ((tx: SqlRunner, fresh: readonly Message<T>[], context: BatchContext) => Promise<void>) | undefined
  /** For one transaction. @default '30s' */
  timeout?: Duration | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
}

const NAMES = [
  ...['db', 'table', 'id', 'columns', 'onConflict', 'key', 'newest', 'types', 'also', 'timeout', 'clock'],
]

/**
 * A handler that writes each batch with one `INSERT … SELECT FROM unnest(…) ON CONFLICT`, in one
 * transaction, keyed by message id: delivered twice, it is there once. Names are quoted, values
 * travel as parameters only.
 *
 *     const messages = hf.queue('messages', { handle: applyBatch({ db: pool, table: 'messages', id: 'id',
 *       columns: { session: (m) => m.body.session, text: (m) => m.body.text } }) })
 *
 * A row that the database refuses for what is in it is found by halving the batch and becomes a dead
 * letter at once; a missing parent row (23503) is tried again later; every other error is the
 * batch's, and it is tried again as a whole.
 * @throws InvalidOption, at once; ConfigError from the handler when the table does not fit
 */
export function applyBatch<T>(options: ApplyOptions<T>): BatchHandler<T> {
  const statement = new BatchInsert(options)
  return (batch, context) => statement.apply(batch, context)
}

class BatchInsert<T> {
  readonly #options: ApplyOptions<T>
  readonly #names: readonly string[]
  #types: Promise<readonly string[]> | undefined
  #text: string | undefined

  constructor(options: ApplyOptions<T>) {
    refuseUnknown(options, NAMES, 'applyBatch()')
    const { db, columns, id, onConflict = 'nothing', newest, also, types = {} } = options
    if (typeof db?.query !== 'function')
      throw new InvalidOption('db is no database', 'give a pg Pool or a PGlite')
    if (onConflict !== 'nothing' && onConflict !== 'update')
      throw new InvalidOption('onConflict is unknown', "write 'nothing' or 'update'")
    this.#options = options
    this.#names = [id, ...Object.keys(columns)]
    quoteTable(options.table, 'table')
    for (const name of this.#names) quoteName(name, 'a column')
    if (id in columns)
      throw new InvalidOption('the id column is in columns too', 'use key to say what it holds')
    if (newest !== undefined && (onConflict !== 'update' || !this.#names.includes(newest)))
      throw new InvalidOption('newest needs onConflict update, and a column', 'name one of columns')
    if (also && onConflict === 'update')
      throw new InvalidOption('also needs onConflict nothing', 'use applyOnce() to do something once')
    for (const [name, type] of Object.entries(types)) checkType(type, `types.${name}`)
  }

  async apply(batch: readonly Message<T>[], context: BatchContext): Promise<readonly Outcome[]> {
    try {
      await this.#insert(batch, context)
      return batch.map(() => ({ ok: true }))
    } catch (error) {
      const verdict = verdictOn(error)
      if (!verdict) throw error
      if (batch.length === 1) return [verdict]
      const middle = Math.ceil(batch.length / 2)
      return [
        ...(await this.apply(batch.slice(0, middle), context)),
        ...(await this.apply(batch.slice(middle), context)),
      ]
    }
  }

  async #insert(batch: readonly Message<T>[], context: BatchContext): Promise<void> {
    const { db, also, timeout, clock } = this.#options
    const types = await this.#columnTypes()
    this.#text ??= this.#statement(types)
    const text = this.#text
    const rows = this.#rows(batch)
    const values = this.#names.map((_, column) => rows.map((row) => sqlText(row[column], types[column]!)))
    await inTransaction(
      db,
      async (tx) => {
        const { rows: inserted } = await tx.query(text, values)
        if (!also) return
        // The cast below: the statement returns this column when `also` is given.
        const ids = new Set((inserted as { holdfast_id: string }[]).map((row) => row.holdfast_id))
        const fresh = batch.filter((message) => ids.delete(this.#idOf(message)))
        if (fresh.length > 0) await also(tx, fresh, context)
      },
      { timeout, signal: context.signal, clock },
    )
  }

  #idOf(message: Message<T>): string {
    return String(this.#options.key?.(message) ?? message.id)
  }

  /** With `update` one row may be touched once in a statement: the last of each id. */
  #rows(batch: readonly Message<T>[]): unknown[][] {
    const { columns, onConflict } = this.#options
    const readers = Object.values(columns)
    const all = batch.map((message) => [this.#idOf(message), ...readers.map((read) => read(message))])
    return onConflict === 'update' ? [...new Map(all.map((row) => [row[0], row])).values()] : all
  }

  #statement(types: readonly string[]): string {
    const { table, id, onConflict, newest, also } = this.#options
    const target = quoteTable(table, 'table')
    const names = this.#names.map((name) => quoteName(name, 'a column'))
    const key = quoteName(id, 'id')
    const given = names.map((_, index) => `$${index + 1}::text[]`).join(', ')
    const cast = names.map((_, index) => `c${index}::${types[index]}`).join(', ')
    const aliases = names.map((_, index) => `c${index}`).join(', ')
    const updated = names.slice(1).map((name) => `${name} = EXCLUDED.${name}`)
    const guard =
      newest === undefined
        ? ''
        : ` WHERE row_there.${quoteName(newest, 'newest')} < EXCLUDED.${quoteName(newest, 'newest')}`
    const resolution =
      onConflict === 'update' && updated.length > 0
        ? `DO UPDATE SET ${updated.join(', ')}${guard}`
        : 'DO NOTHING'
    return (
      `INSERT INTO ${target} AS row_there (${names.join(', ')}) ` +
      `SELECT ${cast} FROM unnest(${given}) AS given(${aliases}) ` +
      `ON CONFLICT (${key}) ${resolution}${also ? ` RETURNING ${key}::text AS holdfast_id` : ''}`
    )
  }

  /** Of all columns, in order. Asked once; again when asking failed. */
  #columnTypes(): Promise<readonly string[]> {
    this.#types ??= this.#readTypes().catch((error: unknown) => {
      this.#types = undefined
      throw error
    })
    return this.#types
  }

  async #readTypes(): Promise<readonly string[]> {
    const { db, table, types = {} } = this.#options
    if (this.#names.every((name) => types[name] !== undefined)) return this.#names.map((name) => types[name]!)
    // -1 and not the column's own length: a cast to varchar(9) would cut, an assignment refuses.
    const { rows } = await db.query(
      `SELECT attname::text AS name, format_type(atttypid, -1) AS type FROM pg_attribute
       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
      [quoteTable(table, 'table')],
    )
    // The cast below: these are the two columns selected above.
    const known = new Map((rows as { name: string; type: string }[]).map(({ name, type }) => [name, type]))
    if (known.size === 0)
      throw new ConfigError(`there is no table '${table}'`, 'create it, or look at the search path')
    return this.#names.map((name) => {
      const type = types[name] ?? known.get(name)
      if (type === undefined)
        throw new ConfigError(`'${table}' has no column '${name}'`, 'create it, or rename')
      return type
    })
  }
}

/**
 * What a database error says of the one message that caused it; undefined when it is not the
 * message's. Names and codes only: the text of such an error quotes the value.
 */
function verdictOn(error: unknown): Outcome | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  if (!/^2[23]\w{3}$/.test(error.code)) return undefined
  const place = ['constraint', 'column'].flatMap((name) => {
    const value: unknown = Reflect.get(error, name)
    return typeof value === 'string' ? [`${name} ${value}`] : []
  })
  const reason = [`the database refuses the row (${error.code})`, ...place].join(', ')
  return error.code === FOREIGN_KEY ? { retry: true, reason } : { dead: reason }
}

/** The row it points to may be on its way. */
const FOREIGN_KEY = '23503'
