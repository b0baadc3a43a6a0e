import pg from 'pg'

export interface DatasetHead {
  id: string
  name: string
  /** Another one with each content. */
  version: string
  columns: string[]
  rows: number
}

export interface Dataset extends DatasetHead {
  csv: string
}

export type NewContent = Pick<Dataset, 'columns' | 'rows' | 'csv'>

const SCHEMA = `
  create table if not exists datasets (
    id uuid primary key default gen_random_uuid(), team text not null, name text not null,
    version uuid not null default gen_random_uuid(), columns jsonb not null, rows int not null,
    csv text not null, created_at timestamptz not null default clock_timestamp());
  create index if not exists datasets_by_team on datasets (team, created_at);
  create table if not exists connections (team text primary key, sealed text not null)`
const HEAD = 'id, name, version, columns, rows'

/** The tables of teams. Knows nothing of caching. */
export class Database {
  readonly #pool: pg.Pool

  private constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  static async open(url: string): Promise<Database> {
    const pool = new pg.Pool({ connectionString: url, max: 4 })
    pool.on('error', () => {}) // an idle connection was cut; the next query opens another
    // Several processes start at once, and "if not exists" alone is not safe against that.
    await pool.query(`begin; select pg_advisory_xact_lock(4831); ${SCHEMA}; commit`)
    return new Database(pool)
  }

  list(team: string): Promise<DatasetHead[]> {
    return this.#rows(`select ${HEAD} from datasets where team = $1 order by created_at limit 200`, [team])
  }

  async find(team: string, id: string): Promise<Dataset | undefined> {
    return (
      await this.#rows<Dataset>(`select ${HEAD}, csv from datasets where id = $2 and team = $1`, [team, id])
    )[0]
  }

  async add(team: string, name: string, { columns, rows, csv }: NewContent): Promise<DatasetHead> {
    const sql = `insert into datasets (team, name, columns, rows, csv) values ($1, $2, $3, $4, $5) returning ${HEAD}`
    return (await this.#rows<DatasetHead>(sql, [team, name, JSON.stringify(columns), rows, csv]))[0]!
  }

  async replace(
    team: string,
    id: string,
    { columns, rows, csv }: NewContent,
  ): Promise<DatasetHead | undefined> {
    const sql = `update datasets set columns = $3, rows = $4, csv = $5, version = gen_random_uuid()
      where id = $2 and team = $1 returning ${HEAD}`
    return (await this.#rows<DatasetHead>(sql, [team, id, JSON.stringify(columns), rows, csv]))[0]
  }

  async remove(team: string, id: string): Promise<DatasetHead | undefined> {
    const sql = `delete from datasets where id = $2 and team = $1 returning ${HEAD}`
    return (await this.#rows<DatasetHead>(sql, [team, id]))[0]
  }

  async connection(team: string): Promise<string | undefined> {
    return (await this.#rows<{ sealed: string }>('select sealed from connections where team = $1', [team]))[0]
      ?.sealed
  }

  async setConnection(team: string, sealed: string): Promise<void> {
    const sql =
      'insert into connections values ($1, $2) on conflict (team) do update set sealed = excluded.sealed'
    await this.#rows(sql, [team, sealed])
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  async #rows<Row extends object>(sql: string, values: unknown[]): Promise<Row[]> {
    return (await this.#pool.query<Row>(sql, values)).rows
  }
}
