/**
 * Background writes: Holdfast's queue beside BullMQ's own add and addBulk, raw Streams, and an INSERT
 * per row, in one run into one PostgreSQL. Prints Markdown.
 */
import { Queue as BullQueue, Worker as BullWorker } from 'bullmq'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { holdfast } from '../src/index.ts'
import { applyBatch } from '../src/queue/apply.ts'
import { startPostgres } from '../test/support/postgres-server.ts'
import { startRedis } from '../test/support/redis-server.ts'
import { type Contestant, type Figure, formatRate, measure, median, table } from './measure.ts'

interface ChatMessage {
  readonly session: string
  readonly text: string
}

const TEXT = 'a message of a chat, of about the usual length for one. '.repeat(3)
const BULK = 100
const BATCH = 500
const ROUNDS = Number(process.env.HOLDFAST_BENCH_ROUNDS ?? 5)
const LANES = [1, 64, 128]

const message = (i: number): ChatMessage => ({ session: `session:${i % 200}`, text: TEXT })

export async function benchQueue(): Promise<string> {
  // As durable as a server is by default: a commit waits for the disk.
  const postgres = await startPostgres({ config: { fsync: 'on', synchronous_commit: 'on' } })
  const server = await startRedis()
  const pool = new Pool({ connectionString: postgres.url, max: 8 })
  try {
    const adds = await benchAdds(server.url, pool)
    const rows = await benchRows(server.url, pool)
    return [...adds, ...rows].join('\n')
  } finally {
    await pool.end()
    await server.stop()
    await postgres.stop()
  }
}

async function benchAdds(url: string, pool: Pool): Promise<string[]> {
  const hf = holdfast({ redis: url, namespace: 'adds' })
  const client = await createClient({ url }).connect()
  await newTable(pool, 'per_row')
  const pressure = { depth: 100_000_000 }
  const queue = hf.queue<ChatMessage>('messages', { orderBy: (m) => m.session, partitions: 4, pressure })
  // BullMQ counts on a raw client of node-redis, as its documentation shows.
  const bull = new BullQueue('messages', { connection: client as never, skipVersionCheck: true })
  const drop = new DropAll(url)
  const contestants: Contestant[] = [
    { name: 'BullMQ add', run: (i) => bull.add('message', message(i), { removeOnComplete: true }) },
    { name: 'Holdfast add (4 partitions)', run: (i) => queue.add(message(i)) },
    {
      name: 'raw XADD (nothing else done)',
      run: (i) => client.xAdd('raw', '*', { data: JSON.stringify(message(i)) }),
    },
    {
      name: 'INSERT per row (pool of 8)',
      run: (i) => pool.query('INSERT INTO per_row VALUES ($1, $2, $3)', [`${i}.${next()}`, 's', TEXT]),
    },
  ]
  const bulk: Contestant = {
    name: `BullMQ addBulk of ${BULK} (messages)`,
    run: () =>
      bull.addBulk(
        Array.from({ length: BULK }, (_, i) => ({
          name: 'message',
          data: message(i),
          opts: { removeOnComplete: true },
        })),
      ),
  }
  const sections: string[] = []
  try {
    await bull.waitUntilReady()
    await queue.add(message(0))
    for (const concurrency of LANES) {
      const operations = concurrency === 1 ? 1_000 : 6_000
      const figures = await measure(contestants, { concurrency, operations, rounds: ROUNDS })
      const [bulked] = await measure([bulk], {
        concurrency: Math.min(concurrency, 4),
        operations: Math.ceil(operations / BULK),
        rounds: ROUNDS,
      })
      const all: Figure[] = [...figures, { name: bulk.name, rate: bulked!.rate * BULK }]
      sections.push(table(`Acknowledged adds per second at concurrency ${concurrency}`, all, 'BullMQ add'))
      await drop.now()
    }
  } finally {
    await hf.close()
    await bull.close()
    client.destroy()
    await drop.close()
  }
  return sections
}

interface Pipeline {
  readonly name: string
  readonly table: string
  /** Adds one message. */
  add(i: number): Promise<unknown>
  begin(): Promise<void>
  end(): Promise<void>
}

async function benchRows(url: string, pool: Pool): Promise<string[]> {
  const rows = Number(process.env.HOLDFAST_BENCH_ROWS ?? 20_000)
  const sections: string[] = []
  for (const how of ['adds and rows together', 'a backlog worked off'] as const) {
    const figures = new Map<string, number[]>()
    for (let round = 0; round <= Math.min(3, ROUNDS); round++) {
      for (const make of [oneByOne, streams, parcels]) {
        const pipeline = await make(url, pool, `${round}${how.length}`)
        // One job one INSERT is so much slower that a tenth of the rows says as much.
        const count = make === oneByOne ? rows / 10 : rows
        const rate = await persisted(pipeline, pool, count, how === 'a backlog worked off')
        if (round > 0) figures.set(pipeline.name, [...(figures.get(pipeline.name) ?? []), rate])
      }
    }
    const medians = [...figures].map(([name, rates]) => ({ name, rate: median(rates) }))
    sections.push(table(`Persisted rows per second, ${how} (128 adders)`, medians))
    const byName = (name: string) => medians.find((it) => it.name.startsWith(name))!.rate
    sections.push(
      `Holdfast: ${(byName('Holdfast') / byName('BullMQ')).toFixed(1)} times one job one INSERT (${formatRate(byName('BullMQ'))}), ` +
        `${(byName('Holdfast') / byName('Streams')).toFixed(2)} of raw Streams and unnest.\n`,
    )
  }
  return sections
}

async function persisted(pipeline: Pipeline, pool: Pool, rows: number, backlog: boolean): Promise<number> {
  await newTable(pool, pipeline.table)
  if (!backlog) await pipeline.begin()
  let started = performance.now()
  let added = 0
  const lane = async (): Promise<void> => {
    while (added < rows) await pipeline.add(added++)
  }
  await Promise.all(Array.from({ length: 128 }, lane))
  if (backlog) {
    started = performance.now()
    await pipeline.begin()
  }
  for (;;) {
    const { rows: counts } = await pool.query(`SELECT count(*)::int AS n FROM ${pipeline.table}`)
    if (counts[0].n >= rows) break
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const rate = (rows / (performance.now() - started)) * 1_000
  await pipeline.end()
  return rate
}

async function parcels(url: string, pool: Pool, suffix: string): Promise<Pipeline> {
  const hf = holdfast({ redis: url, namespace: 'rows' })
  const name = `rows-${suffix}`
  const columns = {
    session: (m: { body: ChatMessage }) => m.body.session,
    text: (m: { body: ChatMessage }) => m.body.text,
  }
  const queue = hf.queue<ChatMessage>(name, {
    orderBy: (m) => m.session,
    batch: BATCH,
    // The fewer partitions, the larger the parcels; the fewer transactions at a time, the larger the batches.
    partitions: 4,
    concurrency: 2,
    handle: applyBatch<ChatMessage>({ db: pool, table: 'by_parcels', id: 'id', columns }),
  })
  await queue.pauseHere()
  await queue.stats()
  return {
    name: `Holdfast: parcels, 4 partitions, batches of ${BATCH}, applyBatch`,
    table: 'by_parcels',
    add: (i) => queue.add(message(i)),
    begin: async () => queue.resumeHere(),
    end: () => hf.close(),
  }
}

async function oneByOne(url: string, pool: Pool, suffix: string): Promise<Pipeline> {
  const client = await createClient({ url }).connect()
  const name = `one-${suffix}`
  const queue = new BullQueue<ChatMessage>(name, { connection: client as never, skipVersionCheck: true })
  await queue.waitUntilReady()
  let worker: BullWorker<ChatMessage> | undefined
  return {
    name: 'BullMQ: one job, one INSERT (50 at once)',
    table: 'one_by_one',
    add: (i) => queue.add('message', message(i), { removeOnComplete: true }),
    async begin() {
      worker = new BullWorker<ChatMessage>(
        name,
        async ({ id, data }) => {
          await pool.query('INSERT INTO one_by_one VALUES ($1, $2, $3)', [id, data.session, data.text])
        },
        { connection: client as never, concurrency: 50, skipVersionCheck: true },
      )
      await worker.waitUntilReady()
    },
    async end() {
      await worker?.close()
      await queue.close()
      client.destroy()
    },
  }
}

async function streams(url: string, pool: Pool, suffix: string): Promise<Pipeline> {
  const client = await createClient({ url, commandOptions: { timeout: 0 } }).connect()
  const blocking = await createClient({ url, commandOptions: { timeout: 0 } }).connect()
  const key = `stream-${suffix}`
  await client.xGroupCreate(key, 'rows', '0', { MKSTREAM: true })
  let isOver = false
  let reading: Promise<void> | undefined
  const read = async (): Promise<void> => {
    while (!isOver) {
      const found = (await blocking.xReadGroup('rows', 'one', [{ key, id: '>' }], {
        COUNT: BATCH,
        BLOCK: 100,
      })) as { messages: { id: string; message: { data: string } }[] }[] | null
      const entries = found?.[0]?.messages ?? []
      if (entries.length === 0) continue
      const bodies = entries.map((entry) => JSON.parse(entry.message.data) as ChatMessage)
      await pool.query(
        'INSERT INTO by_stream SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING',
        [entries.map(({ id }) => id), bodies.map(({ session }) => session), bodies.map(({ text }) => text)],
      )
      await client.xAck(
        key,
        'rows',
        entries.map(({ id }) => id),
      )
    }
  }
  return {
    name: `Streams: XADD, XREADGROUP ${BATCH}, unnest, XACK`,
    table: 'by_stream',
    add: (i) => client.xAdd(key, '*', { data: JSON.stringify(message(i)) }),
    async begin() {
      reading = read()
    },
    async end() {
      isOver = true
      await reading
      client.destroy()
      blocking.destroy()
    },
  }
}

async function newTable(pool: Pool, name: string): Promise<void> {
  await pool.query(`DROP TABLE IF EXISTS ${name}`)
  await pool.query(`CREATE TABLE ${name} (id text PRIMARY KEY, session text NOT NULL, text text NOT NULL)`)
}

let counter = 0
const next = (): number => counter++

/** Empties the server between tables: what piles up slows everybody down. */
class DropAll {
  readonly #client

  constructor(url: string) {
    this.#client = createClient({ url })
  }

  async now(): Promise<void> {
    if (!this.#client.isOpen) await this.#client.connect()
    for (const key of ['raw']) await this.#client.unlink(key)
  }

  async close(): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy()
  }
}
