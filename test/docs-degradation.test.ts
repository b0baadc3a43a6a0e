import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Holdfast, HoldfastError, holdfast } from '../src/index.ts'
import { markdownPages, tableRows } from './support/markdown.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from './support/token-server.ts'
import { until } from './support/until.ts'

const page = markdownPages().find(({ path }) => path === 'docs/21.degradation.md')!
const section = /^## What each call answers$([\s\S]*?)^## /m.exec(page.text)?.[1] ?? ''
const [, ...rows] = tableRows({ path: '', text: section })

/** By what is done to the server: the column that says what calls answer then, and whether health tells. */
const TROUBLES: Record<string, { column: number; away: boolean; act(redis: RedisServer): Promise<unknown> }> =
  {
    full: { column: 1, away: false, act: (redis) => redis.cli('CONFIG', 'SET', 'maxmemory', '1') },
    'unable to save': { column: 2, away: false, act: refuseWrites },
    emptied: { column: 3, away: false, act: (redis) => redis.cli('FLUSHALL') },
    frozen: { column: 4, away: true, act: async (redis) => redis.pause() },
    gone: { column: 4, away: true, act: (redis) => redis.kill() },
    'a replica': { column: 4, away: true, act: (redis) => redis.cli('REPLICAOF', '127.0.0.1', '1') },
  }

describe('what each call answers while Redis is not well, by its table in the documentation', () => {
  it('has a table', () => expect(rows.length).toBeGreaterThan(15))

  it.concurrent.each(Object.keys(TROUBLES))(
    'holds on a server that is %s, and blocks nobody else [S1-20][S1-27][B3]',
    async (trouble) => {
      const { column, away, act } = TROUBLES[trouble]!
      const redis = await startRedis()
      const idp = await startTokenServer()
      const deadlines = { connect: '5s', read: '2s', write: '1s', invalidate: '1s' } as const
      const hf = holdfast({ redis: redis.url, namespace: 'shop', cache: { l1: false }, deadlines })
      try {
        await hf.ready('20s')
        const calls = await prepare(hf, redis, idp)
        await act(redis)
        if (away) await until('it is noticed', () => hf.health().status === 'degraded', 20_000)
        const answers: string[][] = []
        for (const [name = '', ...cells] of rows) {
          answers.push([name, cells[column - 1] ?? '', await answerOf(calls[name])])
        }
        expect(answers.map(([name, , got]) => `${name}: ${got}`)).toEqual(
          answers.map(([name, said]) => `${name}: ${said}`),
        )
        expect(hf.health().status).toBe(away ? 'degraded' : 'ok')
        if (away) expect(await othersGoOn(hf)).toBe(true)
      } finally {
        await redis.stop()
        await hf.close()
        await idp.stop()
      }
    },
    60_000,
  )
})

type Calls = Record<string, () => Promise<unknown>>

/** Everything that can be there before, and the calls of the table, each with a word for its answer. */
async function prepare(hf: Holdfast, redis: RedisServer, idp: TokenServer): Promise<Calls> {
  const { cache } = hf
  const patience = '200ms'
  const sessions = hf.sessions<{ n: number }>('web', { deadline: '5s' })
  const limiter = hf.limiter('chat', '20/minute', { deadline: '5s' })
  const tokens = hf.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' })
  const queue = hf.queue<{ n: number }>('mail', { partitions: 1, deadline: '5s' })
  await cache.set('here', 'kept value')
  await limiter.consume('anna')
  await tokens.get()
  await queue.add({ n: 0 })
  await hf.once('ended', async () => 'kept result')
  const session = await sessions.create({ n: 1 }, { user: 'anna' })
  const lease = await hf.lock('held').acquire()
  return {
    '`getOrSet`, value in Redis': () => cache.getOrSet('here', async () => 'loader'),
    '`getOrSet`, no value': () => cache.getOrSet('absent', async () => 'loader'),
    // What a loader stored meanwhile is another name's business.
    '`get`': async () => await cache.get((await cache.get('here')) === 'kept value' ? 'here' : 'nowhere'),
    '`set`': async () => ((await cache.set('new', 1)) ? 'stored' : false),
    '`delete`, `invalidateTag`': async () => {
      await cache.delete('here')
      await cache.invalidateTag('some')
      return 'done'
    },
    '`limiter.consume`': async () => {
      const { degraded, remaining } = await limiter.consume('anna')
      return degraded || (remaining === 19 ? 'counts anew' : 'counts on')
    },
    '`limiter.reset`': async () => {
      await limiter.reset('anna')
      return 'done'
    },
    '`concurrency.tryAcquire`': async () => (await hf.concurrency('c', 2).tryAcquire('x')) && 'permit',
    '`lock.acquire`': async () => (await hf.lock('free', { patience, wait: 0 }).acquire()) && 'lease',
    '`lease.release`': () => lease.release(),
    '`once`, new key': () => hf.once('new', async () => 'runs', { patience }),
    '`once`, ended before': () => hf.once('ended', async () => 'runs', { patience }),
    '`sessions.load`': async () => (await sessions.load(session.id)) && 'session',
    '`sessions.update`': () => {
      session.data.n++
      return sessions.update(session)
    },
    '`sessions.create`': async () => (await sessions.create({ n: 1 })) && 'session',
    '`sessions.destroy`': () => sessions.destroy(session),
    '`tokens.get`, token at hand': async () => (await tokens.get()) && 'token',
    '`tokens.get`, first time': async () => {
      const options = {
        tokenUrl: idp.tokenUrl,
        ...CLIENT,
        params: { scope: 'x' },
        storeDeadline: '5s',
      } as const
      await hf.tokens(options).get()
      const before = idp.calls
      const neighbour = holdfast({ redis: redis.url, namespace: 'shop' })
      await neighbour.tokens(options).get()
      await neighbour.close()
      return idp.calls > before ? 'own token' : 'token'
    },
    '`queue.add`': async () => (await queue.add({ n: 1 })) && 'stored',
  }
}

/** Whether other work of the process goes on while a call waits for Redis. */
async function othersGoOn(hf: Holdfast): Promise<boolean> {
  let waiting = true
  const call = hf.cache.delete('something').catch(() => {
    waiting = false
  })
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  const wasWaiting = waiting
  await call
  return wasWaiting && !waiting
}

async function answerOf(call: (() => Promise<unknown>) | undefined): Promise<string> {
  try {
    return call ? String(await call()) : 'no such call in this test'
  } catch (error) {
    if (error instanceof HoldfastError) return error.code
    throw error
  }
}

/** A snapshot that fails: from then on the server answers MISCONF to every write. */
async function refuseWrites(redis: RedisServer): Promise<void> {
  mkdirSync(join(redis.dir, 'dump.rdb'), { recursive: true })
  await redis.cli('CONFIG', 'SET', 'save', '3600 1')
  await redis.cli('BGSAVE')
  await until('writes are refused', async () =>
    redis.cli('SET', 'x', '1').then(
      () => false,
      (error: Error) => error.message.startsWith('MISCONF'),
    ),
  )
}
