import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import type { TokensOptions } from '../../src/token/options.ts'
import { createTokens } from '../../src/token/tokens.ts'
import { countCommands } from '../support/monitor.ts'
import { PATIENT_DIAL } from '../support/patience.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'

describe('tokens in a real Redis', () => {
  let redis: RedisServer
  let port: RedisPort
  let idp: TokenServer
  let clients = 0
  const open = (options: Partial<TokensOptions> = {}) =>
    createTokens({
      redis: port,
      namespace: `n${clients}`,
      tokenUrl: idp.tokenUrl,
      ...CLIENT,
      local: 0,
      storeDeadline: '2s',
      ...options,
    })

  beforeAll(async () => {
    redis = await startRedis()
    port = connectRedis(redis.url, PATIENT_DIAL)
    await port.ready(10_000)
    idp = await startTokenServer()
  })
  beforeEach(() => {
    clients++
    Object.assign(idp, {
      calls: 0,
      delayMs: 0,
      rotating: false,
      expiresIn: 86_400,
      reuses: 0,
      answer: undefined,
    })
  })
  afterEach(async () => {
    if (!redis.alive) await redis.restart()
    redis.resume()
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    await port.ready(10_000)
  })
  afterAll(async () => {
    await port.close()
    await idp.stop()
    await redis.stop()
  })

  it('costs nothing from process memory and one round trip from Redis', async () => {
    const [local, remote] = [open({ local: '5s' }), open()]
    await local.get()
    await remote.get()
    expect((await countCommands(redis, () => local.get())).requests).toBe(0)
    expect((await countCommands(redis, () => remote.get())).requests).toBe(1)
    expect(idp.calls).toBe(1)
  })

  it('has one key with the client id, a life below that of the token, and no secret [S0-2] [S0-3]', async () => {
    await open().get()
    const keys = (await redis.cli('KEYS', `hf:n${clients}:token:*`)) as string[]
    expect(keys).toHaveLength(1)
    expect(keys[0]).toContain(CLIENT.clientId)
    const left = Number(await redis.cli('PTTL', keys[0]!))
    expect(left).toBeGreaterThan(80_000_000)
    expect(left).toBeLessThanOrEqual(86_400_000 - 60_000)
    const values = (await redis.cli('HGETALL', keys[0]!)) as string[]
    for (const text of [...values, keys[0]!]) {
      for (const secret of idp.secrets()) expect(text).not.toContain(secret)
    }
  })

  it('gives two processes one name for the same credentials, and others another [B2]', async () => {
    await open().get()
    await open({ params: {} }).get()
    await open({ clientSecret: 'another-secret' })
      .get()
      .catch(() => undefined)
    const keys = (await redis.cli('KEYS', `hf:n${clients}:token:*`)) as string[]
    expect(keys).toHaveLength(2)
  })

  it('takes a changed or moved value for none and fetches again', async () => {
    const tokens = open()
    const first = await tokens.get()
    const [key] = (await redis.cli('KEYS', `hf:n${clients}:token:*`)) as [string]
    const body = String(await redis.cli('HGET', key, 'b'))
    await redis.cli('HSET', key, 'b', `${body.slice(0, -4)}AAAA`)
    const other = open()
    expect(await other.get()).not.toBe(first)
    expect(other.counters().corrupt).toBeGreaterThan(0)
    expect(idp.calls).toBe(2)
  })

  it.each(['gone', 'frozen'])(
    'gives each process a token of its own while Redis is %s, and shares again after',
    async (how) => {
      const tokens = open({ storeDeadline: '200ms' })
      const first = await tokens.get()
      if (how === 'gone') await redis.kill()
      else redis.pause()
      expect(await tokens.get()).toBe(first)
      const fresh = open({ storeDeadline: '200ms' })
      const own = await Promise.all(Array.from({ length: 50 }, () => fresh.get()))
      expect(new Set(own).size).toBe(1)
      expect(idp.calls).toBe(2)
      expect(fresh.counters().alone).toBeGreaterThan(0)
      if (how === 'gone') await redis.restart()
      else redis.resume()
      await port.ready(10_000)
      await expect
        .poll(
          async () =>
            ((await redis.cli('KEYS', `hf:n${clients}:token:*`)) as string[]).length +
            Number(!(await fresh.get())),
          { timeout: 10_000 },
        )
        .toBe(1)
      expect(idp.calls).toBe(2)
    },
  )

  it('never refreshes a grant without the lock: typed error while Redis is away, old token while it lasts', async () => {
    const tokens = open({ grant: 'refresh_token', storeDeadline: '200ms' })
    const mine = tokens.for('u')
    await mine.exchange({ code: 'good-code' })
    const token = await mine.get()
    await redis.kill()
    expect(await mine.get()).toBe(token)
    await expect(
      open({ grant: 'refresh_token', storeDeadline: '200ms' }).for('u').get(),
    ).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    expect(idp.calls).toBe(1)
  })

  it('does not lose a rotated refresh token that Redis could not take: it is written first [L29]', async () => {
    idp.rotating = true
    const mine = open({ grant: 'refresh_token', storeDeadline: '200ms' }).for('u')
    await mine.exchange({ code: 'good-code' })
    await mine.invalidate(await mine.get())
    // Redis goes away between the question to the endpoint and the write of its answer.
    idp.answer = () => {
      redis.pause()
      return undefined
    }
    const second = await mine.get()
    idp.answer = undefined
    redis.resume()
    await port.ready(10_000)
    await expect.poll(() => mine.get().catch(() => undefined), { timeout: 10_000 }).toBe(second)
    const other = open({ grant: 'refresh_token' }).for('u')
    expect(await other.get()).toBe(second)
    const [key] = (await redis.cli('KEYS', `hf:n${clients}:token:*`)) as [string]
    await redis.cli('HDEL', key, 'nx')
    await other.invalidate(second)
    expect(await other.get()).not.toBe(second)
    expect(idp.reuses).toBe(0)
  })

  it('keeps working on a full Redis: one token in this process, not one for each call', async () => {
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
    const tokens = open()
    const got = []
    for (let i = 0; i < 10; i++) got.push(await tokens.get())
    expect(new Set(got).size).toBe(1)
    expect(idp.calls).toBe(1)
  })
})
