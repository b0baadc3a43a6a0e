import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import pg from 'pg'
import { Problem } from '../tasks/problem.ts'

const MOST_ROWS = 1_000

/** A team's own PostgreSQL, from which it imports. Its URL holds a password, so it is sealed wherever it lies. */
export class Connections {
  readonly #key: Buffer
  readonly #hosts: ReadonlySet<string>

  /** @param hosts that may be asked, comma-separated; a free choice would let anybody reach our network */
  constructor(key: string, hosts: string | undefined) {
    this.#key = Buffer.from(key, 'base64')
    this.#hosts = new Set(hosts?.split(','))
  }

  seal(url: string): string {
    if (!URL.canParse(url) || !/^postgres(ql)?:/.test(url)) {
      throw new Problem(422, 'url does not begin with postgres://')
    }
    this.#check(url)
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    const body = Buffer.concat([cipher.update(url), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
  }

  open(sealed: string): string {
    const bytes = Buffer.from(sealed, 'base64')
    const cipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, 12))
    cipher.setAuthTag(bytes.subarray(12, 28))
    return cipher.update(bytes.subarray(28), undefined, 'utf8') + cipher.final('utf8')
  }

  /** What one SELECT finds, as CSV; nothing can be changed by it. */
  async read(url: string, sql: string): Promise<string> {
    this.#check(url)
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 3_000,
      query_timeout: 10_000,
    })
    try {
      await client.connect()
      await client.query('begin read only')
      // With a value beside it a query takes the protocol of one statement, so none can end the transaction.
      const text = `select * from (${sql}) as answer limit $1`
      const { fields, rows } = await client.query({ text, values: [MOST_ROWS], rowMode: 'array' })
      const lines = [fields.map(({ name }) => name), ...(rows as unknown[][])]
      return lines.map((line) => line.map(cell).join(',')).join('\n')
    } catch {
      // What the server says may name its inside.
      throw new Problem(422, 'the database of this team refused, or cannot be reached')
    } finally {
      await client.end().catch(() => {})
    }
  }

  #check(url: string): void {
    if (this.#hosts.has(new URL(url).hostname)) return
    throw new Problem(422, 'this server may not be asked: see PG_HOSTS')
  }
}

function cell(value: unknown): string {
  const text = value === null ? '' : value instanceof Date ? value.toISOString() : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
