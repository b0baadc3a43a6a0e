import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import type { BatchContext, Message } from '../../src/queue/options.ts'
import type { SqlDatabase } from '../../src/queue/sql-database.ts'
import { postgresMissing, startPostgres } from '../support/postgres-server.ts'

export interface Database {
  readonly db: SqlDatabase
  run(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** PGlite always, a real server through `pg` where there is one. */
export const DATABASES: readonly {
  readonly name: string
  readonly skip: boolean
  open(): Promise<Database>
}[] = [
  {
    name: 'PGlite',
    skip: false,
    async open() {
      const db = await PGlite.create()
      return {
        db,
        run: async (text, values) => (await db.query<Record<string, unknown>>(text, values)).rows,
        close: () => db.close(),
      }
    },
  },
  {
    name: `PostgreSQL by pg${postgresMissing() ? ` (${postgresMissing()})` : ''}`,
    skip: postgresMissing() !== undefined,
    async open() {
      const server = await startPostgres()
      const db = new pg.Pool({ connectionString: server.url, max: 8 })
      db.on('error', () => {})
      return {
        db,
        run: async (text, values) => (await db.query(text, values)).rows,
        async close() {
          await db.end()
          await server.stop()
        },
      }
    },
  },
]

export const context: BatchContext = {
  queue: 'test',
  partition: 0,
  fence: 1,
  signal: new AbortController().signal,
}

export function message<T>(id: string, body: T, position = 0): Message<T> {
  return { id, body, key: undefined, at: 1_700_000_000_000, attempt: 1, redelivered: false, position }
}
