/**
 * Before and after: the same sockets, the same messages, a database that answers late.
 *
 *   npx tsx examples/chatbot/bench.ts [--chats 20] [--messages 20] [--pause 50] [--sleep 500]
 *
 * Before, a message is acknowledged when its row is written; after, when the queue has it. Brings its
 * own PostgreSQL (PGlite, in a process of its own); DATABASE_URL names another, which then must
 * sleep by itself. REDIS_URL: the queue over Redis, else over a file.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { configFromEnv, type HoldfastOptions, holdfast } from 'holdfast'
import { listen } from '../simulators/listen.ts'
import { Background } from './background.ts'
import { ChatCache } from './chat-cache.ts'
import { ChatService } from './chat-service.ts'
import { ChatClient } from './client.ts'
import { Conversations } from './conversation.ts'
import { Database } from './database.ts'
import { serveSockets } from './sockets.ts'

export interface BenchOptions {
  database: string
  redis?: HoldfastOptions['redis']
  /** Sockets at once. */
  chats: number
  /** Per socket, one after the other. */
  messages: number
  /** What a visitor takes to write the next one, ms. */
  pause: number
}

export interface Side {
  p50: number
  p95: number
  /** A bare ping over the socket and one bare command of Redis, in the same moments: p50, ms. */
  floor: number
  /** Acknowledged messages per second. */
  perSecond: number
  /** From the last acknowledgement until every row was there, ms. */
  behind: number
  rows: number
  /** Rows that stand elsewhere in their chat than they were sent. */
  misplaced: number
}

const WARM = 3

/** Answers of the bot included, each message is two rows. */
export async function runSide(kind: 'before' | 'after', options: BenchOptions): Promise<Side> {
  const { chats, messages, pause, redis } = options
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-chatbot-bench-'))
  // The old way needs a connection for each message under way: it gets them.
  const database = await Database.open(options.database, Math.min(90, chats))
  const hf = holdfast({ redis, namespace: `bench-${kind}` })
  const server = createServer()
  const { port, close } = await listen(server)
  const url = `http://127.0.0.1:${port}`
  const clients: ChatClient[] = []
  try {
    await hf.ready()
    const background =
      kind === 'after' ? new Background(hf, { directory, database }) : writingAtOnce(database)
    const chatCache = new ChatCache(hf.cache, database)
    const conversations = new Conversations(hf)
    const service = new ChatService({ chats: chatCache, conversations, background, database })
    serveSockets(server, service)

    const ids = await Promise.all(Array.from({ length: chats }, () => service.open()))
    clients.push(...(await Promise.all(ids.map((id) => ChatClient.join(url, id)))))
    for (let i = 0; i < WARM; i++) await Promise.all(clients.map((client) => client.say('hello', `w${i}`)))
    const took: number[] = []
    const bare: number[] = []
    const roundTrip = async (client: ChatClient) => {
      const sent = performance.now()
      await client.ping()
      await hf.redis?.command('EXISTS', 'floor')
      bare.push(performance.now() - sent)
    }
    const from = performance.now()
    await Promise.all(
      clients.map(async (client, visitor) => {
        await sleep((pause * visitor) / chats)
        for (let i = 0; i < messages; i++) {
          took.push((await client.say(`message ${i}`, `m${i}`)).ms)
          await sleep(pause / 2)
          await roundTrip(client)
          await sleep(pause / 2)
        }
      }),
    )
    const acknowledged = performance.now()
    for (const times of [took, bare]) times.sort((a, b) => a - b)
    const wanted = chats * (WARM + messages) * 2
    const count = async () => {
      const sql = 'select count(*)::int as n from messages where chat = any($1)'
      return (await database.pool.query<{ n: number }>(sql, [ids])).rows[0]!.n
    }
    let rows = await count()
    for (const give = Date.now() + 30_000; rows < wanted && Date.now() < give; rows = await count())
      await sleep(20)
    const behind = performance.now() - acknowledged
    let misplaced = 0
    for (const id of ids) {
      const order = (await database.messages(id)).map((row) => row.id.slice(id.length + 1))
      const sent = [
        ...Array.from({ length: WARM }, (_, i) => `w${i}`),
        ...Array.from({ length: messages }, (_, i) => `m${i}`),
      ]
      misplaced += sent.flatMap((own) => [own, `${own}.bot`]).filter((own, i) => order[i] !== own).length
    }
    return {
      p50: took[Math.floor(took.length * 0.5)]!,
      p95: took[Math.floor(took.length * 0.95)]!,
      floor: bare[Math.floor(bare.length * 0.5)]!,
      perSecond: took.length / ((acknowledged - from) / 1_000),
      behind,
      rows,
      misplaced,
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()))
    await close()
    await hf.close()
    await database.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** The old way: a message is taken when its rows are written. */
const writingAtOnce = ({ pool }: Database): Pick<Background, 'save' | 'setStatus'> => ({
  async save(messages) {
    const text = `insert into messages (id, chat, sender, body, at)
      select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])`
    const columns = ['id', 'chat', 'sender', 'body', 'at'] as const
    await pool.query(
      text,
      columns.map((name) => messages.map((message) => message[name])),
    )
  },
  setStatus() {},
})

async function main(): Promise<void> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({ options: { chats: text, messages: text, pause: text, sleep: text } })
  const chats = Number(values.chats ?? 20)
  const messages = Number(values.messages ?? 20)
  const pause = Number(values.pause ?? 50)
  const sleepMs = Number(values.sleep ?? 500)
  const config = configFromEnv()
  let database = process.env.DATABASE_URL
  let child: ReturnType<typeof fork> | undefined
  if (!database) {
    const script = fileURLToPath(new URL('../simulators/postgres.ts', import.meta.url))
    child = fork(script, { execArgv: ['--import', 'tsx'] })
    const [report] = (await once(child, 'message')) as [{ database: string }]
    database = report.database
  }
  console.log(
    `${chats} sockets, ${messages} messages each; queue in ${config.target}; ` +
      (child ? `each transaction of the database sleeps ${sleepMs} ms` : 'the database as it is'),
  )
  const sides: Record<string, Side> = {}
  for (const kind of ['before', 'after'] as const) {
    child?.send(sleepMs)
    const side = await runSide(kind, { database, redis: config.options.redis, chats, messages, pause })
    child?.send(0)
    sides[kind] = side
    console.log(
      `${kind.padEnd(7)} acknowledged p50 ${side.p50.toFixed(1)} ms, p95 ${side.p95.toFixed(1)} ms, ` +
        `${Math.round(side.perSecond)}/s; ${side.rows} rows, all there ${Math.round(side.behind)} ms later, ` +
        `${side.misplaced} out of order; a bare round trip takes ${side.floor.toFixed(1)} ms`,
    )
  }
  const { before, after } = sides as Record<'before' | 'after', Side>
  console.log(
    `ratio   p50 ${(before.p50 / after.p50).toFixed(0)}, p95 ${(before.p95 / after.p95).toFixed(0)}`,
  )
  child?.disconnect()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
