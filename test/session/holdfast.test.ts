import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { holdfast } from '../../src/holdfast.ts'
import type { TokenOptions } from '../../src/token/options.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { CLIENT, startTokenServer, type TokenServer } from '../support/token-server.ts'

/** A busy machine may take its time to connect. */
const deadlines = { connect: '10s' } as const

describe('sessions and tokens of an instance', () => {
  let redis: RedisServer
  let idp: TokenServer
  beforeAll(async () => {
    redis = await startRedis()
    idp = await startTokenServer()
  })
  afterAll(async () => {
    await idp.stop()
    await redis.stop()
  })

  it('work in process memory, the same name giving the same sessions [S0-20] [S1-1]', async () => {
    await using hf = holdfast()
    const { id } = await hf.sessions<{ topic: string }>('chat').create({ topic: 'refund' })
    expect((await hf.sessions<{ topic: string }>('chat').load(id))?.data.topic).toBe('refund')
    expect(await hf.sessions('admin').load(id)).toBeUndefined()
    const tokens = hf.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT })
    expect(await tokens.get()).toBe(await tokens.get())
  })

  it('are one and the same for equal calls, so that a token is fetched once however often it is asked for [B4]', async () => {
    await using hf = holdfast()
    const client = () => ({ tokenUrl: idp.tokenUrl, ...CLIENT, params: { scope: 'a', audience: 'b' } })
    const { calls } = idp
    const asked = Array.from({ length: 50 }, () => hf.tokens({ ...client(), margin: '1m' }).get())
    expect(new Set(await Promise.all(asked)).size).toBe(1)
    expect(idp.calls).toBe(calls + 1)
    const tokens = hf.tokens({ ...client(), margin: '1m' })
    expect(hf.tokens(client())).toBe(tokens)
    expect(hf.tokens({ ...client(), params: { audience: 'b', scope: 'a' } })).toBe(tokens)
    expect(hf.tokens({ ...client(), params: { scope: 'other' } })).not.toBe(tokens)
    expect(hf.tokens({ ...client(), clientSecret: 'rotated' })).not.toBe(tokens)
    expect(hf.tokens({ ...client(), grant: 'refresh_token' })).not.toBe(tokens)
    expect(tokens.for('shop-1')).toBe(hf.tokens(client()).for('shop-1'))
  })

  it('refuse options that contradict those of an earlier call, and show none of them', async () => {
    await using hf = holdfast()
    const client = { tokenUrl: idp.tokenUrl, ...CLIENT }
    hf.tokens({ ...client, margin: '1m', headers: { 'x-api-key': 'not-to-be-shown' } })
    const others: Partial<TokenOptions>[] = [
      { margin: '2m' },
      { auth: 'basic' },
      { headers: { 'x-api-key': 'k' } },
    ]
    for (const more of others) {
      expect(() => hf.tokens({ ...client, ...more })).toThrow(InvalidOption)
      expect(() => hf.tokens({ ...client, ...more })).not.toThrow(/not-to-be-shown|client-secret/)
    }
    hf.sessions('web', { idle: '10m' })
    expect(hf.sessions('web')).toBe(hf.sessions('web', { idle: '10m' }))
    expect(() => hf.sessions('web', { idle: '20m' })).toThrow(/hf\.sessions\(\).*idle/)
    expect(() => hf.sessions('web', { grace: '1s' })).toThrow(InvalidOption)
    expect(hf.sessions('chat', { idle: '20m' })).not.toBe(hf.sessions('web'))
  })

  it('are shared by two instances on Redis, kept over a restart, encrypted with the keys of the instance [S0-20] [S0-21] [S4-4]', async () => {
    const encryption = { keys: { k: Buffer.alloc(32, 1).toString('base64') } }
    const options = { redis: redis.url, namespace: 'two', encryption, deadlines }
    const first = holdfast(options)
    await first.ready('10s')
    const session = await first
      .sessions('plan', { deadline: '5s' })
      .create({ step: 'paying-for-room-7' }, { user: 'u' })
    const token = await first.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' }).get()
    await first.close()
    await using second = holdfast(options)
    await second.ready('10s')
    const again = second.sessions('plan', { deadline: '5s' })
    expect((await again.load(session.id))?.data).toEqual({ step: 'paying-for-room-7' })
    expect(await second.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' }).get()).toBe(token)
    for (const key of (await redis.cli('KEYS', 'hf:two:session:*')) as string[]) {
      expect(JSON.stringify(await redis.cli('HGETALL', key))).not.toContain('room-7')
    }
  })

  it('live on the role that does not evict: none is lost while the cache is thrown out [B11]', async () => {
    const [cache, data] = [await startRedis(), await startRedis()]
    try {
      await cache.cli('CONFIG', 'SET', 'maxmemory', '3mb')
      await cache.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
      await data.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await using hf = holdfast({
        redis: { cache: cache.url, data: data.url },
        namespace: 'roles',
        deadlines,
      })
      await hf.ready('10s')
      const sessions = hf.sessions<{ n: number }>('web', { deadline: '5s' })
      const token = await hf.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' }).get()
      const ids: string[] = []
      for (let n = 0; n < 50; n++) {
        ids.push((await sessions.create({ n }, { user: `u${n}` })).id)
        await hf.once(`job:${n}`, () => n)
      }
      const evicted = async () =>
        Number(/evicted_keys:(\d+)/.exec(String(await cache.cli('INFO', 'stats')))?.[1])
      for (let n = 0; (await evicted()) < 100; n++) {
        const batch = Array.from({ length: 50 }, (_, i) => hf.cache.set(`k${n}:${i}`, 'x'.repeat(5_000)))
        await Promise.allSettled(batch)
        expect(n).toBeLessThan(100)
      }
      for (const [n, id] of ids.entries()) {
        expect((await sessions.load(id))?.data).toEqual({ n })
        expect(await hf.once(`job:${n}`, () => expect.unreachable('ran again'))).toBe(n)
      }
      await using second = holdfast({
        redis: { cache: cache.url, data: data.url },
        namespace: 'roles',
        deadlines,
      })
      const { calls } = idp
      expect(await second.tokens({ tokenUrl: idp.tokenUrl, ...CLIENT, storeDeadline: '5s' }).get()).toBe(
        token,
      )
      expect(idp.calls).toBe(calls)
    } finally {
      await Promise.all([cache.stop(), data.stop()])
    }
  })

  it('spares the database: check_reply is read once and seen by every message after a flip [S1-2] [S1-3] [B14]', async () => {
    await using hf = holdfast({ redis: redis.url, namespace: 'chatbot', deadlines })
    await using other = holdfast({ redis: redis.url, namespace: 'chatbot', deadlines })
    await Promise.all([hf.ready('10s'), other.ready('10s')])
    type Chat = { checkReply?: boolean }
    let reads = 0
    const visits = hf.sessions<Chat>('chat', { deadline: '5s' })
    const operator = other.sessions<Chat>('chat', { deadline: '5s' })
    const { id } = await visits.create({})
    const message = async () => {
      const chat = await visits.load(id)
      if (chat && chat.data.checkReply === undefined) {
        reads++
        await visits.update(chat, { checkReply: true })
      }
      return chat?.data.checkReply
    }
    for (let i = 0; i < 100; i++) expect(await message()).toBe(true)
    expect(reads).toBe(1)
    await operator.update(id, { checkReply: false })
    expect(await message()).toBe(false)
    expect(reads).toBe(1)
  })
})
