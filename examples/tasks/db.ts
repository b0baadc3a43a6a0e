import pg from 'pg'

export const STATUSES = ['pending', 'running', 'done'] as const

export interface Task {
  id: string
  name: string
  status: (typeof STATUSES)[number]
  updatedAt: string
}

export type TaskChange = Partial<Pick<Task, 'name' | 'status'>>

const COLUMNS = `id, name, status, to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "updatedAt"`
const SCHEMA = `
  create table if not exists tasks (
    id uuid primary key default gen_random_uuid(), tenant text not null, name text not null,
    status text not null default 'pending', updated_at timestamptz not null default clock_timestamp());
  create index if not exists tasks_by_tenant on tasks (tenant, updated_at desc);
  create table if not exists task_history (
    task uuid not null, change text not null, at timestamptz not null default clock_timestamp())`

export type TaskStore = Pick<TaskTable, 'find' | 'list' | 'add' | 'update' | 'remove'>

/** The tasks table. Knows nothing of caching. */
export class TaskTable {
  readonly #pool: pg.Pool

  private constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  static async open(url: string): Promise<TaskTable> {
    const pool = new pg.Pool({ connectionString: url, max: 4 })
    pool.on('error', () => {}) // an idle connection was cut; the next query opens another
    // Two processes may start at once, and "if not exists" alone is not safe against that.
    await inTransaction(pool, async (client) => {
      await client.query('select pg_advisory_xact_lock(4801)')
      await client.query(SCHEMA)
    })
    return new TaskTable(pool)
  }

  async find(tenant: string, id: string): Promise<Task | undefined> {
    const sql = `select ${COLUMNS} from tasks where id = $1 and tenant = $2`
    return (await this.#pool.query<Task>(sql, [id, tenant])).rows[0]
  }

  async list(tenant: string, status: Task['status'] | undefined): Promise<Task[]> {
    const sql = `select ${COLUMNS} from tasks where tenant = $1 and ($2::text is null or status = $2)
      order by updated_at desc limit 50`
    return (await this.#pool.query<Task>(sql, [tenant, status ?? null])).rows
  }

  async add(tenant: string, { name, status }: TaskChange): Promise<Task> {
    const sql = `insert into tasks (tenant, name, status) values ($1, $2, $3) returning ${COLUMNS}`
    return (await this.#pool.query<Task>(sql, [tenant, name, status ?? 'pending'])).rows[0]!
  }

  update(tenant: string, id: string, { name, status }: TaskChange): Promise<Task | undefined> {
    const sql = `update tasks set name = coalesce($3, name), status = coalesce($4, status),
      updated_at = clock_timestamp() where id = $1 and tenant = $2 returning ${COLUMNS}`
    return this.#change('update', id, sql, [id, tenant, name, status])
  }

  remove(tenant: string, id: string): Promise<Task | undefined> {
    return this.#change(
      'delete',
      id,
      `delete from tasks where id = $1 and tenant = $2 returning ${COLUMNS}`,
      [id, tenant],
    )
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  #change(kind: string, id: string, sql: string, values: unknown[]): Promise<Task | undefined> {
    return inTransaction(this.#pool, async (client) => {
      const { rows } = await client.query<Task>(sql, values)
      if (rows[0]) await client.query('insert into task_history (task, change) values ($1, $2)', [id, kind])
      return rows[0]
    })
  }
}

async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    client.release()
    return result
  } catch (error) {
    client.release(true) // whatever state it is in: the server rolls back when it is closed
    throw error
  }
}
