import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { postgresMissing, startPostgres as startRealPostgres } from '../../test/support/postgres-server.ts'
import { startWorker, type Worker } from '../../test/support/processes.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { startPostgres } from '../simulators/postgres.ts'
import { ChatClient, openChat } from './client.ts'
import { Database } from './database.ts'

let postgres: { url: string; end(): Promise<void> }
let redis: RedisServer
let database: Database
let directory: string
const spare: Worker[] = []

beforeAll(async () => {
  postgres = await startTables()
})
beforeEach(async () => {
  redis = await startRedis({ aof: true })
  directory = await mkdtemp(join(tmpdir(), 'holdfast-chatbot-test-'))
  database = await Database.open(postgres.url)
})
afterEach(async () => {
  await Promise.all(spare.splice(0).map((worker) => worker.kill()))
  await database.close()
  await redis.stop()
  await rm(directory, { recursive: true, force: true })
})
afterAll(async () => {
  await stopAllRedis()
  await postgres.end()
})

/** A real server where there is one; PGlite speaks the same SQL, one transaction at a time. */
async function startTables(): Promise<typeof postgres> {
  if (postgresMissing() === undefined) {
    const server = await startRealPostgres()
    return { url: server.url, end: () => server.stop() }
  }
  const { url, close } = await startPostgres()
  return { url, end: close }
}

const environment = () => ({
  REDIS_URL: redis.url,
  DATABASE_URL: postgres.url,
  CHATBOT_DIR: directory,
  OPERATOR_TOKEN: 'operator',
})

async function startServer(): Promise<{ url: string; process: Worker }> {
  const port = await freePort()
  const env = { ...environment(), PORT: String(port) }
  const process = await startWorker(new URL('./server.ts', import.meta.url), { env })
  spare.push(process)
  return { url: `http://127.0.0.1:${port}`, process }
}

async function startSaver(env: Record<string, string> = {}): Promise<Worker> {
  const file = new URL('./worker.ts', import.meta.url)
  const process = await startWorker(file, { env: { ...environment(), ...env } })
  spare.push(process)
  return process
}

describe('servers and workers in processes of their own', { timeout: 90_000 }, () => {
  it('lose no message and save none twice when workers and a server are killed [S1-7][S1-8][S1-18][B12]', async () => {
    const servers = await Promise.all([startServer(), startServer()])
    const [first] = await Promise.all([startSaver(), startSaver(), startSaver()])
    const urls = servers.map(({ url }) => url)
    const talks = await talk(urls, 12)
    await heard(talks, 10)
    await first!.kill()
    await heard(talks, 20)
    await servers[0]!.process.kill()
    urls.shift()
    await heard(talks, 30)
    await startSaver()
    await settle(talks)
  })

  it('go on without Redis as if nothing was, and bring everything there when it is back [S1-19][S1-20][S1-27][B13]', async () => {
    const servers = await Promise.all([startServer(), startServer()])
    await Promise.all([startSaver(), startSaver()])
    const urls = servers.map(({ url }) => url)
    const talks = await talk(urls, 12)
    await heard(talks, 10)
    await redis.kill()
    await heard(talks, 20)
    for (const url of urls) {
      expect((await fetch(`${url}/healthz`)).status).toBe(200)
      const chat = await openChat(url) // a new visitor is let in as well
      const client = await ChatClient.join(url, chat)
      expect((await client.say('hello')).reply).toContain('Hello')
      const flag = { method: 'PUT', headers: OPERATOR, body: '{"check_reply":false}' }
      expect((await fetch(`${url}/api/v1/chats/${chat}/check_reply`, flag)).status).toBe(200)
      expect((await client.say('hello')).reply).toBeUndefined()
      await client.close()
    }
    await redis.restart()
    const back = performance.now()
    const isWell = async (url: string) => {
      const answer = await fetch(`${url}/healthz`)
      return ((await answer.json()) as { status: string }).status
    }
    for (const url of urls) await expect.poll(() => isWell(url), { timeout: 5_000 }).toBe('ok')
    expect(performance.now() - back).toBeLessThan(5_000)
    await heard(talks, 30)
    await settle(talks)
    expect(talks.flatMap(({ refused }) => refused)).toEqual([])
  })
})

const OPERATOR = { authorization: 'Bearer operator', 'content-type': 'application/json' }

/** One visitor who goes on talking, over whatever server is there, until told to stop. */
interface Talk {
  readonly chat: string
  readonly acknowledged: string[]
  readonly refused: string[]
  stop(): Promise<void>
}

async function talk(urls: string[], visitors: number): Promise<Talk[]> {
  return Promise.all(
    Array.from({ length: visitors }, async (_, i) => {
      const chat = await openChat(urls[i % urls.length]!)
      const acknowledged: string[] = []
      const refused: string[] = []
      let isOver = false
      const run = async () => {
        let client: ChatClient | undefined
        for (let n = 0; !isOver; n++) {
          while (acknowledged.length === n) {
            try {
              client ??= await ChatClient.join(urls[i % urls.length]!, chat)
              client.frames.length = 0
              await client.say(`message ${n}`, `m${n}`)
              acknowledged.push(`${chat}.m${n}`)
            } catch (error) {
              if (client?.socket.readyState === client?.socket.OPEN) refused.push(String(error))
              client?.socket.terminate()
              client = undefined
              await sleep(50)
            }
          }
          await sleep(20)
        }
        await client?.close()
      }
      const ended = run()
      return {
        chat,
        acknowledged,
        refused,
        stop() {
          isOver = true
          return ended
        },
      }
    }),
  )
}

/** Until each of them has had so many messages acknowledged. */
async function heard(talks: Talk[], count: number): Promise<void> {
  const least = () => Math.min(...talks.map(({ acknowledged }) => acknowledged.length))
  await expect.poll(least, { timeout: 40_000, interval: 20 }).toBeGreaterThanOrEqual(count)
}

/** Every acknowledged message is in its table: once, in its order, and nothing else. */
async function settle(talks: Talk[]): Promise<void> {
  await Promise.all(talks.map((one) => one.stop()))
  for (const { chat, acknowledged } of talks) {
    const saved = async () =>
      (await database.messages(chat)).filter(({ sender }) => sender === 'visitor').map(({ id }) => id)
    await expect.poll(saved, { timeout: 20_000, interval: 50 }).toEqual(acknowledged)
  }
}
