import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { holdfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { type Postgres, startPostgres } from '../simulators/postgres.ts'
import { ChatCache } from './chat-cache.ts'
import { ChatClient, openChat } from './client.ts'
import { Database } from './database.ts'
import { type ChatbotServer, startChatbot } from './server.ts'

const OPERATOR = { authorization: 'Bearer operator', 'content-type': 'application/json' }
const SAVED = { timeout: 5_000 }

let postgres: Postgres
let redis: RedisServer
let database: Database
const open: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  database = await Database.open(postgres.url)
})
afterAll(async () => {
  for (const part of open.reverse()) await part.close()
  await database.close()
  await stopAllRedis()
  await postgres.close()
})

describe.each(['embedded', 'redis'] as const)('the chatbot on %s', (driver) => {
  let server: ChatbotServer

  /** As its environment makes it. Two with one namespace share everything when there is Redis. */
  async function start(env: NodeJS.ProcessEnv = {}): Promise<ChatbotServer> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-chatbot-test-'))
    const made = await startChatbot({
      DATABASE_URL: postgres.url,
      PORT: '0',
      OPERATOR_TOKEN: 'operator',
      WORKER: 'inline',
      CHATBOT_DIR: directory,
      ...(driver === 'redis' ? { REDIS_URL: redis.url } : {}),
      ...env,
    })
    open.push({ close: () => rm(directory, { recursive: true, force: true }) }, made)
    await connected(made)
    return made
  }
  beforeAll(async () => {
    server = await start()
  })

  it('answers at once and saves behind it, every row once and in order [S1-4][S1-7][S1-8][S1-17][B12]', async () => {
    const talks = await Promise.all(Array.from({ length: 5 }, () => visitor(server)))
    await Promise.all(
      talks.map(async ({ client }) => {
        for (let i = 0; i < 20; i++) expect((await client.say(`message ${i}`)).reply).toMatch(/\w/)
      }),
    )
    for (const { chat } of talks) {
      const bodies = async () =>
        (await database.messages(chat)).map(({ sender, body }) => `${sender} ${body}`)
      await expect.poll(async () => (await bodies()).length, SAVED).toBe(40)
      const visitors = (await bodies()).filter((line) => line.startsWith('visitor'))
      expect(visitors).toEqual(Array.from({ length: 20 }, (_, i) => `visitor message ${i}`))
      expect((await bodies()).map((line) => line.split(' ')[0])).toEqual(
        Array.from({ length: 40 }, (_, i) => (i % 2 ? 'bot' : 'visitor')),
      )
    }
  })

  it('saves once what is sent twice, and answers the same [S1-8][B12]', async () => {
    const { chat, client } = await visitor(server)
    const first = await client.say('please call me back', 'm1')
    client.frames.length = 0
    const again = await client.say('please call me back', 'm1')
    expect(again.reply).toBe(first.reply)
    expect((await client.say('My name is Ada Lovelace')).reply).toContain('Ada Lovelace')
    await expect.poll(async () => (await database.messages(chat)).length, SAVED).toBe(4)
  })

  it('finds behind the answer what a visitor tells about himself [S1-5]', async () => {
    const { chat, client } = await visitor(server)
    await client.say('My name is Ada Lovelace and I wait')
    await client.say('reach me at ada@example.com')
    await client.say('or by phone: 0912 345 678')
    await client.say('no, at ada.lovelace@example.com')
    const customer = { name: 'Ada Lovelace', phone: '0912345678', email: 'ada.lovelace@example.com' }
    await expect.poll(() => database.customer(chat), SAVED).toEqual(customer)
    expect((await get(server, `/api/v1/chats/${chat}`, OPERATOR)).body).toMatchObject({ customer })
  })

  it('keeps the state of a chat up to date, the last one wins [S1-6]', async () => {
    const { chat, client } = await visitor(server)
    const status = async () => (await database.findChat(chat))?.status
    expect(await status()).toBe('open')
    for (let i = 0; i < 10; i++) await client.say(`message ${i}`)
    await expect.poll(status, SAVED).toBe('answered')
    await flip(server, chat, false)
    await client.say('anybody there?')
    await expect.poll(status, SAVED).toBe('waiting')
  })

  it('asks the database for check_reply at most once in the life of a cached chat [S1-1][S1-2][S1-3]', async () => {
    const own = await start({ HOLDFAST_NAMESPACE: `reads-${driver}` })
    const { chat, client } = await visitor(own)
    for (let i = 0; i < 100; i++) await client.say(`message ${i}`)
    const { cache } = (await get(own, '/stats')).body
    expect(cache.loads).toBe(1)
    if (driver === 'embedded') return
    const keys = (await redis.cli('KEYS', `*chat_session:${chat}`)) as string[]
    expect(keys).toHaveLength(1)
    const left = Number(await redis.cli('PTTL', keys[0]!))
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(11 * 60_000)
  })

  it('hears an operator from the very next message on, in every server [S1-2][B14]', async () => {
    const other = driver === 'redis' ? await start() : server
    const chat = await openChat(server.url)
    const [here, there] = await Promise.all([
      ChatClient.join(server.url, chat),
      ChatClient.join(other.url, chat),
    ])
    for (let round = 0; round < 10; round++) {
      const bot = round % 2 === 1
      expect(await flip(round % 3 ? server : other, chat, bot)).toEqual({ check_reply: bot, confirmed: true })
      expect((await here.say(`here ${round}`)).reply !== undefined).toBe(bot)
      expect((await there.say(`there ${round}`)).reply !== undefined).toBe(bot)
    }
    const flips = Array.from({ length: 8 }, (_, i) => flip(i % 2 ? server : other, chat, i % 4 < 2))
    await Promise.all(flips)
    const { check_reply } = (await database.findChat(chat))!
    expect((await here.say('at last')).reply !== undefined).toBe(check_reply)
    expect((await there.say('at last')).reply !== undefined).toBe(check_reply)
  })

  it('never caches a flag that a slow reader read before the flip [B14]', async () => {
    const make = () =>
      holdfast({ namespace: `race-${driver}`, redis: driver === 'redis' ? redis.url : undefined })
    const one = make()
    const two = driver === 'redis' ? make() : one
    open.push(one, two)
    await Promise.all([one.ready(), two.ready()])
    for (let round = 0; round < 20; round++) {
      const row = { id: `slow-reader-${round}`, status: 'open' as const, check_reply: true }
      const table = {
        findChat: async () => ({ ...row }),
        async setCheckReply(_: string, value: boolean) {
          row.check_reply = value
          return { ...row }
        },
      }
      let read = () => {}
      let release = () => {}
      const isRead = new Promise<void>((resolve) => {
        read = resolve
      })
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      const slow = {
        ...table,
        async findChat() {
          const seen = { ...row }
          read()
          await held
          return seen
        },
      }
      const late = new ChatCache(one.cache, slow).find(row.id)
      await isRead
      const flipped = new ChatCache(two.cache, table).setCheckReply(row.id, false)
      await vi.waitFor(() => expect(row.check_reply).toBe(false), { interval: 1 })
      release() // with what it read before
      await Promise.all([late, flipped])
      for (const hf of [one, two]) {
        expect((await new ChatCache(hf.cache, table).find(row.id))?.check_reply).toBe(false)
      }
    }
  })

  it('answers wrong requests with problem details and the right status', async () => {
    const chat = await openChat(server.url)
    const put = (path: string, body: string, headers: Record<string, string> = OPERATOR) =>
      ask(server, path, { method: 'PUT', body, headers })
    const flag = `/api/v1/chats/${chat}/check_reply`
    const nobody = `/api/v1/chats/${'x'.repeat(24)}`
    const cases = [
      [await get(server, '/nothing'), 404],
      [await get(server, `/api/v1/chats/${chat}`), 401],
      [await get(server, `/api/v1/chats/${chat}/messages`, { authorization: 'Bearer wrong' }), 401],
      [await get(server, '/api/v1/chats/short', OPERATOR), 400],
      [await get(server, nobody, OPERATOR), 404],
      [await put(flag, '{"check_reply":true}', { 'content-type': 'application/json' }), 401],
      [await put(flag, '{"check_reply":"no"}'), 422],
      [await put(flag, '{"check_reply":true,"x":1}'), 422],
      [await put(flag, '{"check_reply":'), 400],
      [await put(flag, '{"check_reply":true}', { authorization: 'Bearer operator' }), 415],
      [await put(flag, JSON.stringify({ check_reply: 'x'.repeat(2_000) })), 413],
      [await put(`${nobody}/check_reply`, '{"check_reply":true}'), 404],
    ] as const
    for (const [answer, status] of cases) {
      expect(answer).toMatchObject({ status, type: 'application/problem+json', body: { status } })
    }
    expect((await fetch(server.url)).headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  it('says what waits: queues and cache in figures [S1-25]', async () => {
    const { body } = await get(server, '/stats')
    expect(Object.keys(body.queues)).toEqual(['messages', 'statuses'])
    for (const stats of Object.values(body.queues)) expect(stats).toMatchObject({ dead: 0, paused: false })
  })
})

describe('the pieces of the chatbot', () => {
  it('are cache, queue and service, none of which needs another to run [S1-15]', async () => {
    const pieces = ['chat-cache', 'background', 'chat-service']
    const needs = await Promise.all(
      pieces.map(async (piece) => {
        const source = await readFile(new URL(`./${piece}.ts`, import.meta.url), 'utf8')
        const imports = [...source.matchAll(/^import (type )?(?:(?!^import)[\s\S])*?'\.\/([\w-]+)\.ts'$/gm)]
        expect(imports.length).toBeGreaterThan(0)
        return imports.flatMap(([, isType, name = '']) => (!isType && pieces.includes(name) ? [name] : []))
      }),
    )
    expect(needs).toEqual([[], [], []])
  })
})

describe('a conversation over Redis', () => {
  it('goes on after a restart where it was, and ends by itself [S0-20][S0-21][S0-22][S1-3]', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-chatbot-test-'))
    const env = {
      DATABASE_URL: postgres.url,
      REDIS_URL: redis.url,
      HOLDFAST_NAMESPACE: 'restart',
      WORKER: 'inline',
      CHATBOT_DIR: directory,
      PORT: '0',
    }
    const before = await startChatbot(env)
    await connected(before)
    const chat = await openChat(before.url)
    const one = await ChatClient.join(before.url, chat)
    await one.say('please call me back')
    await one.say('My name is Ada Lovelace')
    await before.close()
    expect((await one.closed).code).toBe(1001)
    const after = await startChatbot(env)
    open.push({ close: () => rm(directory, { recursive: true, force: true }) }, after)
    await connected(after)
    const two = await ChatClient.join(after.url, chat)
    expect(two.frames[0]?.lines).toHaveLength(4)
    expect((await two.say('0912 345 678')).reply).toBe('We will call you at 0912345678, Ada Lovelace.')
    // What the memory lost, the table has; what the table has not yet, the memory.
    await expect.poll(async () => (await database.messages(chat)).length, SAVED).toBe(6)
    const keys = (await redis.cli('KEYS', 'hf:restart:session*')) as string[]
    expect(keys.length).toBeGreaterThan(0)
    for (const key of keys) expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(0)
    await redis.cli('DEL', ...keys)
    const three = await ChatClient.join(after.url, chat)
    expect(three.frames[0]?.lines).toHaveLength(6)
    expect(three.frames[0]?.lines?.at(-1)?.body).toBe('We will call you at 0912345678, Ada Lovelace.')
  })
})

interface Answer {
  status: number
  type: string | null
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says; each test looks at its part
  body: any
}

async function ask({ url }: ChatbotServer, path: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(url + path, init)
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.json() }
}

const get = (server: ChatbotServer, path: string, headers: Record<string, string> = {}) =>
  ask(server, path, { headers })

/** A server serves from the start; with what it shares, once it has Redis. */
async function connected(server: ChatbotServer): Promise<void> {
  const isWell = async () => expect((await get(server, '/healthz')).body.status).toBe('ok')
  await vi.waitFor(isWell, { timeout: 30_000 })
}

async function flip(server: ChatbotServer, chat: string, check_reply: boolean): Promise<unknown> {
  const init = { method: 'PUT', headers: OPERATOR, body: JSON.stringify({ check_reply }) }
  return (await ask(server, `/api/v1/chats/${chat}/check_reply`, init)).body
}

async function visitor({ url }: ChatbotServer): Promise<{ chat: string; client: ChatClient }> {
  const chat = await openChat(url)
  return { chat, client: await ChatClient.join(url, chat) }
}
