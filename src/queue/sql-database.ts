/** What is used of `pg` (pool or client) and of PGlite. */
export interface SqlRunner {
  /** One statement, its values as parameters. */
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

/** What is used of a `pg` Pool. */
export interface SqlPool extends SqlRunner {
  /** A connection for a transaction. */
  connect(): Promise<SqlClient>
}

/** What is used of a client of a `pg` pool. */
export interface SqlClient extends SqlRunner {
  /** True: the connection is not to be used again. */
  release(destroy?: boolean): void
  on?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
}

/** What is used of PGlite. */
export interface SqlLite extends SqlRunner {
  /** Runs `work` in a transaction, and commits when it resolves. */
  transaction<T>(work: (tx: SqlRunner) => Promise<T>): Promise<T>
}

/** A `pg` Pool or PGlite, told apart by their shape. */
export type SqlDatabase = SqlPool | SqlLite
