import type { SqlRunner } from 'holdfast/queue'
import pg from 'pg'

export const SENDERS = ['visitor', 'bot'] as const
export const STATUSES = ['open', 'answered', 'waiting'] as const
export type Status = (typeof STATUSES)[number]

/** A row of `chat_sessions`, as it is cached. */
export interface Chat {
  id: string
  status: Status
  /** True: the bot answers. False: a person does, and the bot stays silent. */
  check_reply: boolean
}

export interface Message {
  /** Made by the sender's page, bound to the chat: what is sent twice is saved once. */
  id: string
  chat: string
  sender: (typeof SENDERS)[number]
  body: string
  /** When it was accepted: ms since 1970. */
  at: number
}

export interface StatusChange {
  chat: string
  status: Status
  at: number
}

export interface Customer {
  name: string | null
  phone: string | null
  email: string | null
}

const SCHEMA = `
  create table if not exists chat_sessions (
    id text primary key, status text not null default 'open', status_at bigint not null default 0,
    check_reply boolean not null default true, created_at timestamptz not null default clock_timestamp());
  create table if not exists messages (
    position bigint generated always as identity, id text primary key,
    chat text not null references chat_sessions, sender text not null, body text not null,
    at bigint not null, saved_at timestamptz not null default clock_timestamp());
  create index if not exists messages_by_chat on messages (chat, position);
  create table if not exists customer_info (
    chat text primary key references chat_sessions, name text, phone text, email text)`

/** The tables of the chatbot. Knows nothing of caches and queues. */
export class Database {
  readonly pool: pg.Pool

  private constructor(pool: pg.Pool) {
    this.pool = pool
  }

  /** @param connections the most that this process opens */
  static async open(url: string, connections = 4): Promise<Database> {
    const pool = new pg.Pool({
      connectionString: url,
      max: connections,
      connectionTimeoutMillis: 5_000,
      query_timeout: 10_000,
    })
    pool.on('error', () => {}) // an idle connection was cut; the next query opens another
    const client = await pool.connect()
    try {
      // Several processes start at once, and "if not exists" alone is not safe against that.
      await client.query(`begin; select pg_advisory_xact_lock(4811); ${SCHEMA}; commit`)
      client.release()
    } catch (error) {
      client.release(true)
      await pool.end()
      throw error
    }
    return new Database(pool)
  }

  async openChat(id: string): Promise<void> {
    await this.pool.query('insert into chat_sessions (id) values ($1)', [id])
  }

  async findChat(id: string): Promise<Chat | undefined> {
    const sql = 'select id, status, check_reply from chat_sessions where id = $1'
    return (await this.pool.query<Chat>(sql, [id])).rows[0]
  }

  async setCheckReply(id: string, value: boolean): Promise<Chat | undefined> {
    const sql = 'update chat_sessions set check_reply = $2 where id = $1 returning id, status, check_reply'
    return (await this.pool.query<Chat>(sql, [id, value])).rows[0]
  }

  /** The last ones, in the order in which they were saved. */
  async messages(chat: string, limit = 1_000): Promise<Message[]> {
    const sql = `select id, chat, sender, body, at::float8 as at from
      (select * from messages where chat = $1 order by position desc limit $2) as last order by position`
    return (await this.pool.query<Message>(sql, [chat, limit])).rows
  }

  async customer(chat: string): Promise<Customer | undefined> {
    const sql = 'select name, phone, email from customer_info where chat = $1'
    return (await this.pool.query<Customer>(sql, [chat])).rows[0]
  }

  close(): Promise<void> {
    return this.pool.end()
  }
}

/** Sets what was found and keeps the rest; of one chat, the later finding counts. */
export async function saveCustomers(
  sql: SqlRunner,
  found: readonly (Partial<Customer> & { chat: string })[],
): Promise<void> {
  const merged = new Map<string, Partial<Customer>>()
  for (const { chat, ...info } of found) merged.set(chat, { ...merged.get(chat), ...info })
  const rows = [...merged.values()]
  const column = (name: keyof Customer) => rows.map((row) => row[name] ?? null)
  const text = `insert into customer_info (chat, name, phone, email)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    on conflict (chat) do update set name = coalesce(excluded.name, customer_info.name),
      phone = coalesce(excluded.phone, customer_info.phone),
      email = coalesce(excluded.email, customer_info.email)`
  await sql.query(text, [[...merged.keys()], column('name'), column('phone'), column('email')])
}
