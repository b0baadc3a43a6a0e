import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startWorker, type Worker } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { startTokenServer, type TokenServer } from '../support/token-server.ts'

const FILE = new URL('./worker.ts', import.meta.url)
type Many = { tokens: string[]; counters: { calls: number } }

describe('tokens over several processes', () => {
  let redis: RedisServer
  let idp: TokenServer
  let workers: Worker[] = []
  const start = async (count: number, env: Record<string, string> = {}) => {
    const started = await Promise.all(
      Array.from({ length: count }, () =>
        startWorker(FILE, { env: { REDIS_URL: redis.url, TOKEN_URL: idp.tokenUrl, ...env } }),
      ),
    )
    workers.push(...started)
    return started
  }
  const all = (group: readonly Worker[], count: number) =>
    Promise.all(group.map((worker) => worker.ask<Many>({ op: 'many', count })))

  beforeAll(async () => {
    redis = await startRedis()
    idp = await startTokenServer()
  })
  beforeEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()))
    workers = []
    await redis.cli('FLUSHALL')
    Object.assign(idp, { calls: 0, delayMs: 50, rotating: false, expiresIn: 86_400, reuses: 0 })
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()))
    await idp.stop()
    await redis.stop()
  })

  it('makes one token call for 4 processes x 200 parallel first requests [S0-5] [L29]', async () => {
    const answers = await all(await start(4), 200)
    expect(new Set(answers.flatMap((each) => each.tokens)).size).toBe(1)
    expect(idp.calls).toBe(1)
    const keys = (await redis.cli('KEYS', 'hf:workers:token:*')) as string[]
    expect(keys).toHaveLength(1)
    const left = Number(await redis.cli('PTTL', keys[0]!))
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual((86_400 - 4_320) * 1_000)
  })

  it('makes one call when the token of 20 clients in 4 processes has ended, 50 callers each [L29] [B4]', async () => {
    const group = await start(4)
    const ask = () =>
      Promise.all(group.map((worker) => worker.ask<Many>({ op: 'clients', clients: 5, count: 50 }, 60_000)))
    idp.expiresIn = 1
    const first = (await group[0]!.ask<Many>({ op: 'many', count: 1 })).tokens[0]!
    idp.expiresIn = 86_400
    // Half of a second is all that a token of one second is used for.
    await expect.poll(() => redis.cli('KEYS', 'hf:workers:token:*'), { timeout: 10_000 }).toEqual([])
    const answers = await ask()
    const tokens = new Set(answers.flatMap((each) => each.tokens))
    expect(tokens.size).toBe(1)
    expect(tokens.has(first)).toBe(false)
    expect(idp.calls).toBe(2)
  }, 60_000)

  it('keeps the token over SIGKILL and restart: still one call [S0-4]', async () => {
    const [first] = await start(1)
    const before = await first!.ask<Many>({ op: 'many', count: 10 })
    await first!.kill()
    const [second] = await start(1)
    const after = await second!.ask<Many>({ op: 'many', count: 10 })
    expect(after.tokens).toEqual(before.tokens)
    expect(idp.calls).toBe(1)
  })

  it('goes on when the process that asks is killed while it holds the lock', async () => {
    const [first, second] = await start(2)
    idp.delayMs = 5_000
    void first!.ask({ op: 'many', count: 1 }).catch(() => {})
    await expect.poll(() => idp.calls, { timeout: 5_000 }).toBe(1)
    await first!.kill()
    idp.delayMs = 0
    const { tokens } = await second!.ask<Many>({ op: 'many', count: 5 }, 30_000)
    expect(tokens).toHaveLength(1)
    expect(idp.calls).toBe(2)
  }, 40_000)

  it('refreshes a rotating grant once per drop over 4 processes, so that no token is used twice [L29]', async () => {
    idp.rotating = true
    idp.delayMs = 20
    const group = await start(4, { GRANT: 'refresh_token' })
    await group[0]!.ask({ op: 'exchange' })
    let [{ tokens }] = (await all(group, 1)) as [Many]
    for (let round = 1; round <= 5; round++) {
      const token = tokens[0]!
      await redis.cli(
        'EVAL',
        "for _, k in ipairs(redis.call('KEYS', 'hf:workers:token:*')) do redis.call('HDEL', k, 'nx') end",
        0,
      )
      await Promise.all(group.map((worker) => worker.ask({ op: 'drop', token })))
      const answers = await all(group, 50)
      tokens = [...new Set(answers.flatMap((each) => each.tokens))]
      expect(tokens).toHaveLength(1)
      expect(tokens[0]).not.toBe(token)
      expect(idp.calls).toBe(1 + round)
    }
    expect(idp.reuses).toBe(0)
  })

  it('leaves no secret in any key or value of Redis, and no key without a life [S0-2] [S0-30] [B2] [B27]', async () => {
    const group = await start(2)
    await all(group, 3)
    const refreshing = await start(1, { GRANT: 'refresh_token' })
    await refreshing[0]!.ask({ op: 'exchange' })
    await all(refreshing, 3)
    const keys = (await redis.cli('KEYS', '*')) as string[]
    const held: string[] = [...keys]
    for (const key of keys) {
      expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(0)
      const type = await redis.cli('TYPE', key)
      if (type === 'hash') held.push(...((await redis.cli('HGETALL', key)) as string[]))
      else if (type === 'string') held.push(String(await redis.cli('GET', key)))
    }
    expect(idp.secrets().length).toBeGreaterThan(3)
    for (const secret of idp.secrets()) {
      for (const text of held) {
        expect(text.includes(secret)).toBe(false)
        expect(Buffer.from(text, 'base64url').includes(secret)).toBe(false)
      }
    }
    expect(keys.filter((key) => key.startsWith('hf:workers:token:{shop-client')).length).toBe(2)
  })
})
