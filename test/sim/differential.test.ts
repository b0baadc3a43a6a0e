import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as cacheScripts from '../../src/cache/redis-store/scripts.ts'
import * as limitScripts from '../../src/limit/check-script.ts'
import * as lockScripts from '../../src/lock/scripts.ts'
import type { Script } from '../../src/redis/script.ts'
import * as sessionScripts from '../../src/session/scripts.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import type { RespClient, RespReply } from '../support/resp.ts'
import { randomCommand, randomScriptCall } from './differential.ts'
import { Prng } from './prng.ts'
import { ServerError, type ServerReply, Status, toBytes, toText } from './redis/reply.ts'
import { FakeServer } from './server.ts'

const SCALE = Number(process.env.HOLDFAST_TEST_SCALE ?? 1)
const COMMANDS = Math.round(12_000 * SCALE)
const SCRIPTS = Math.round(8_000 * SCALE)
/** Commands compared between two comparisons of all data. */
const CHUNK = 200
const SHORT_LIVED = `local short = {}
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left < 30000 then short[#short + 1] = key end
end
return short`

const scripts = [cacheScripts, lockScripts, sessionScripts, limitScripts].flatMap((module) =>
  (Object.values(module) as unknown[]).filter(
    (value): value is Script =>
      typeof value === 'object' && value !== null && 'lua' in value && 'sha' in value,
  ),
)

/** Replies of unordered commands, errors by their first word, times with some slack. */
function comparable(name: string, reply: unknown): unknown {
  // Which of two faults is named first is of no interest.
  if (reply instanceof Error) return `error ${/^\S+/.exec(reply.message)?.[0]?.replace('WRONGTYPE', 'ERR')}`
  if (/^(PTTL|TTL)$/i.test(name) && typeof reply === 'number' && reply > 0) return Math.round(reply / 5_000)
  if (/^(PEXPIRETIME)$/i.test(name) && typeof reply === 'number' && reply > 0)
    return Math.round(reply / 5_000)
  if (/^(SMEMBERS|HKEYS|HVALS|KEYS)$/i.test(name) && Array.isArray(reply)) return [...reply].sort()
  if (/^HGETALL$/i.test(name) && Array.isArray(reply)) {
    return Object.fromEntries(
      Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]),
    )
  }
  return reply
}

function plain(reply: ServerReply): unknown {
  if (reply instanceof ServerError) return new Error(reply.message)
  if (reply instanceof Status) return reply.text
  if (Array.isArray(reply)) return reply.map(plain)
  return typeof reply === 'string' ? toText(reply) : reply
}

describe('the fake server', () => {
  let redis: RedisServer
  let probe: RespClient
  let fake: FakeServer

  beforeAll(async () => {
    redis = await startRedis()
    probe = await redis.connect()
  })
  afterAll(async () => {
    probe.close()
    await redis.stop()
  })

  async function real(args: readonly string[]): Promise<RespReply | Error> {
    return probe.send(...args).catch((error: Error) => error)
  }

  async function fresh(seed: number): Promise<Prng> {
    await probe.send('FLUSHALL')
    await probe.send('SCRIPT', 'FLUSH')
    const prng = new Prng(seed, 'differential')
    fake = new FakeServer('fake:1', { now: () => Date.now(), hex: (n) => prng.hex(n) })
    return prng
  }

  async function both(args: readonly string[], label: string): Promise<void> {
    const [theirs, ours] = [await real(args), plain(fake.execute(args.map(toBytes)))]
    const shown = args.map((arg) => (arg.length > 200 ? `${arg.slice(0, 20)}…` : arg)).join(' ')
    expect(comparable(args[0]!, ours), `${label}: ${shown}`).toEqual(comparable(args[0]!, theirs))
  }

  async function sameData(label: string): Promise<void> {
    const keys = ((await probe.send('KEYS', '*')) as string[]).sort()
    expect(fake.keys.keys().map(toText).sort(), label).toEqual(keys)
    for (const key of keys) {
      const type = await probe.send('TYPE', key)
      const look: Record<string, string[]> = {
        string: ['GET', key],
        hash: ['HGETALL', key],
        list: ['LRANGE', key, '0', '-1'],
        set: ['SMEMBERS', key],
        zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
      }
      await both(look[String(type)]!, `${label}, data of ${key}`)
      const [theirs, ours] = [
        Number(await probe.send('PTTL', key)),
        Number(fake.execute(['PTTL', toBytes(key)])),
      ]
      expect(Math.abs(theirs - ours), `${label}, life of ${key}: ${theirs}, ${ours}`).toBeLessThan(5_000)
    }
  }

  /** The two never read one clock: a life of milliseconds would end in one of them first. */
  async function prolong(keys: readonly string[]): Promise<void> {
    const short = (await real(['EVAL', SHORT_LIVED, String(keys.length), ...keys])) as string[]
    for (const key of short) {
      const isThere = fake.execute(['PEXPIRE', toBytes(key), '900000'])
      await real(isThere === 1 ? ['PEXPIRE', key, '900000'] : ['DEL', key])
    }
  }

  /** The states in which rules differ: usual, at maxmemory, read-only. */
  async function enter(state: 'usual' | 'full' | 'replica'): Promise<void> {
    await probe.send('CONFIG', 'SET', 'maxmemory', state === 'full' ? '1' : '0')
    if (state === 'replica') await probe.send('REPLICAOF', '127.0.0.1', '1')
    else await probe.send('REPLICAOF', 'NO', 'ONE')
    fake.full = state === 'full'
    fake.role = state === 'replica' ? 'slave' : 'master'
  }

  const stateOf = (chunk: number) => (chunk % 8 === 5 ? 'full' : chunk % 8 === 7 ? 'replica' : 'usual')

  it(`answers ${COMMANDS} random commands as redis-server does, at maxmemory and as a replica too`, async () => {
    const prng = await fresh(1)
    for (let done = 0; done < COMMANDS; done += CHUNK) {
      await enter(stateOf(done / CHUNK))
      for (let i = 0; i < CHUNK; i++) await both(randomCommand(prng), `command ${done + i}`)
      await enter('usual')
      await sameData(`after ${done + CHUNK} commands`)
    }
  }, 120_000)

  it(`runs ${SCRIPTS} random calls of the shipped scripts as redis-server does`, async () => {
    const prng = await fresh(2)
    expect(scripts.length).toBeGreaterThan(10)
    for (let done = 0; done < SCRIPTS; done += CHUNK) {
      await enter(stateOf(done / CHUNK))
      for (let i = 0; i < CHUNK; i++) {
        const script = prng.pick(scripts)
        const call = randomScriptCall(prng, script)
        await both(call, `script ${done + i} ${script.name}`)
        await prolong(call.slice(3, 3 + Number(call[2])))
      }
      await enter('usual')
      await sameData(`after ${done + CHUNK} scripts`)
    }
  }, 120_000)

  it('walks all keys with SCAN and counts who hears a PUBLISH', async () => {
    await fresh(3)
    for (let i = 0; i < 500; i++) fake.execute(['SET', `k${i}`, 'v'])
    const seen = new Set<string>()
    let cursor = '0'
    do {
      const [next, keys] = fake.execute(['SCAN', cursor, 'MATCH', 'k*7', 'COUNT', '13']) as [string, string[]]
      for (const key of keys) seen.add(key)
      cursor = next
    } while (cursor !== '0')
    expect(seen.size).toBe(50)
    const heard: string[] = []
    fake.subscribe({ push: (channel, message) => heard.push(`${channel} ${message}`) }, 'news')
    expect(fake.execute(['PUBLISH', 'news', 'hello'])).toBe(1)
    expect(heard).toEqual(['news hello'])
  })
})
