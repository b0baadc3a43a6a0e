import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { RedisTimeout, RedisUnavailable } from '../../src/base/errors.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { SessionReadOnly } from '../../src/session/errors.ts'
import type { SessionsOptions } from '../../src/session/options.ts'
import { createSessions } from '../../src/session/sessions.ts'
import { countCommands, countTrips } from '../support/monitor.ts'
import { PATIENT_DIAL } from '../support/patience.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

describe('sessions in a real Redis', () => {
  let redis: RedisServer
  let port: RedisPort
  let names = 0
  const open = (options: SessionsOptions = {}) =>
    createSessions({ redis: port, namespace: 'shop', name: `r${++names}`, deadline: '5s', ...options })
  const encryption = { keys: { k1: Buffer.alloc(32, 9).toString('base64') } }

  beforeAll(async () => {
    redis = await startRedis()
    port = connectRedis(redis.url, PATIENT_DIAL)
    await port.ready(10_000)
  })
  afterEach(async () => {
    if (!redis.alive) await redis.restart()
    redis.resume()
    await port.ready(10_000)
  })
  afterAll(async () => {
    await port.close()
    await redis.stop()
  })

  it('takes one round trip to create, load, save and destroy, and none for an unchanged update', async () => {
    const sessions = open()
    await sessions.destroy((await sessions.create({ warm: 1 }, { user: 'w' })).id)
    const { result: session, requests: creating } = await countCommands(redis, () =>
      sessions.create({ a: 1 }, { user: 'u' }),
    )
    const { result: loaded, byName: loading } = await countCommands(redis, () => sessions.load(session.id))
    const unchanged = await countCommands(redis, () => sessions.update(loaded!))
    loaded!.data.a = 2
    const saving = await countCommands(redis, () => sessions.update(loaded!))
    const regenerating = await countCommands(redis, () => sessions.regenerate(loaded!))
    const revoking = await countCommands(redis, () => sessions.revokeUser('u', { except: loaded! }))
    const destroying = await countCommands(redis, () => sessions.destroy(loaded!))
    expect(creating).toBe(1)
    expect(loading).toEqual({ PTTL: 1, HGETALL: 1, HEXISTS: 1 })
    // The first use of a script may send it whole, as one more command.
    expect(unchanged.requests).toBe(0)
    expect(saving.requests).toBeLessThanOrEqual(2)
    expect(regenerating.requests).toBeLessThanOrEqual(2)
    expect(revoking.requests).toBeLessThanOrEqual(2)
    expect(destroying.requests).toBe(1)
  })

  it('loads in one round trip: the first time in a process by script, from then on by plain reads', async () => {
    const counter = await countTrips(redis.port)
    const far = connectRedis(counter.url, PATIENT_DIAL)
    await far.ready(10_000)
    const name = `trips${names}`
    const sessions = open({ name, redis: far })
    const here = open({ name })
    const made = [await here.create({ a: 1 }), await here.create({ a: 1 }, { user: 'u' })]
    await sessions.load((await here.create({})).id)
    for (const { id } of made) {
      const trips: number[] = []
      // The connection's own housekeeping counts too, now and then.
      for (let i = 0; i < 5; i++) trips.push(await counter.during(() => sessions.load(id)))
      expect(Math.min(...trips)).toBe(1)
      expect(trips.filter((each) => each > 1).length).toBeLessThanOrEqual(2)
      expect((await sessions.load(id))?.data).toEqual({ a: 1 })
    }
    await far.close()
    await counter.stop()
  })

  it('touches at most once in touchEvery: a burst of reads writes nothing [L27] [S0-22]', async () => {
    const sessions = open({ idle: '30m', touchEvery: '1m' })
    for (const user of [undefined, 'anna']) {
      const { id } = await sessions.create({ a: 1 }, { user })
      const seen = await countCommands(redis, async () => {
        for (let i = 0; i < 20; i++) await sessions.load(id)
      })
      const asked = user ? { HEXISTS: 20 } : {}
      expect(seen.byName).toEqual({ PTTL: 20, HGETALL: 20, ...asked })
      expect(seen.inScripts).toEqual({})
    }
  })

  it('sees at once what another process ended, revoked, replaced, gave away or touched [L27] [L28]', async () => {
    const name = `quick${names}`
    const [here, there] = [open({ name }), open({ name, idle: '20m' })]
    const seen = async (user?: string) => {
      const { id } = await here.create({ a: 1 }, { user })
      expect((await here.load(id))?.data).toEqual({ a: 1 })
      return id
    }
    const destroyed = await seen()
    await there.destroy(destroyed)
    expect(await here.load(destroyed)).toBeUndefined()
    const revoked = await seen('anna')
    await there.revokeUser('anna')
    expect(await here.load(revoked)).toBeUndefined()
    const moved = await there.load(await seen('bea'))
    const before = moved!.id
    await there.regenerate(moved!)
    expect((await here.load(before))?.id).toBe(moved!.id)
    const login = await there.load(await seen())
    const planted = login!.id
    await there.regenerate(login!, { user: 'cleo' })
    expect(await here.load(planted)).toBeUndefined()
    expect((await here.load(login!.id))?.user).toBe('cleo')
    const given = await there.load(await seen('dora'))
    await there.assign(given!, 'emma')
    expect((await here.load(given!.id))?.user).toBe('emma')
    await there.revokeUser('dora')
    expect((await here.load(given!.id))?.user).toBe('emma')
    await there.assign(given!, undefined)
    expect((await here.load(given!.id))?.user).toBeUndefined()
    // Most of its life is gone: a touch is due, and the next look makes it.
    const [key] = (await redis.cli('KEYS', `hf:shop:session:*${sha256(given!.id)}`)) as [string]
    await redis.cli('PEXPIRE', key, '5000')
    expect((await here.load(given!.id))?.expiresIn).toBeGreaterThan(60_000)
    expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(60_000)
  })

  it('has neither id nor user in any key, and a life on each [S0-22]', async () => {
    const sessions = open()
    const session = await sessions.create({ a: 1 }, { user: 'anna@example.com' })
    await sessions.regenerate(session)
    const keys = (await redis.cli('KEYS', 'hf:shop:session*')) as string[]
    expect(
      keys.some((key) => key.endsWith(createHash('sha256').update(session.id).digest('base64url'))),
    ).toBe(true)
    for (const key of keys) {
      expect(key).not.toContain(session.id)
      expect(key).not.toContain('anna')
      expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(0)
      for (const text of (await redis.cli('HVALS', key)) as string[]) expect(text).not.toContain(session.id)
    }
    expect(inspect(session, { depth: 10, showHidden: true })).not.toContain(session.id)
    expect(inspect(sessions, { depth: 10, showHidden: true })).not.toContain(session.id)
  })

  it('keeps ciphertext only, and takes no text that was moved or changed [S0-19]', async () => {
    const sessions = open({ encryption })
    const mine = await sessions.create(
      { phone: '0901234567', b: 1 },
      { user: 'anna', info: { device: 'phone' } },
    )
    const keys = (await redis.cli('KEYS', `hf:shop:session:{r${names}~*`)) as string[]
    expect(keys).toHaveLength(1)
    const key = keys[0]!
    const stored = JSON.stringify(await redis.cli('HGETALL', key))
    for (const secret of ['0901234567', 'anna', 'device']) expect(stored).not.toContain(secret)
    const other = await sessions.create({ phone: '0907777777' })
    const otherKey = ((await redis.cli('KEYS', `hf:shop:session:{r${names}~*`)) as string[]).find(
      (k) => k !== key,
    )!
    const phone = String(await redis.cli('HGET', key, '.phone'))
    await redis.cli('HSET', otherKey, '.phone', phone)
    expect(await sessions.load(other.id)).toBeUndefined()
    await redis.cli('HSET', key, '.b', phone)
    expect(await sessions.load(mine.id)).toBeUndefined()
    expect(sessions.counters().corrupt).toBe(2)
  })

  it('treats garbage in its keys as no session, never as an exception', async () => {
    const sessions = open()
    const session = await sessions.create({ a: 1 }, { user: 'u' })
    const [key] = (await redis.cli('KEYS', `hf:shop:session:{r${names}~*`)) as [string]
    await redis.cli('HSET', key, '.a', '{broken')
    expect(await sessions.load(session.id)).toBeUndefined()
    await redis.cli('HSET', key, '.a', '{"__proto__":{"admin":true},"x":1}')
    const loaded = await sessions.load(session.id)
    expect(loaded?.data).toEqual({ a: { x: 1 } })
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
    await redis.cli('HDEL', key, '@a')
    expect(await sessions.load(session.id)).toBeUndefined()
    await redis.cli('PERSIST', key)
    await redis.cli('HSET', key, '@a', String(Date.now() + 60_000))
    await sessions.load(session.id)
    expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(0)
  })

  it('logs a user out when the index of the user is lost, never the other way round', async () => {
    const sessions = open()
    const session = await sessions.create({ a: 1 }, { user: 'u' })
    for (const key of (await redis.cli('KEYS', `hf:shop:session-user:{r${names}~*`)) as string[]) {
      await redis.cli('DEL', key)
    }
    session.data.a = 2
    expect(await sessions.update(session)).toBe(false)
    expect(await sessions.load(session.id)).toBeUndefined()
  })

  it('sends nothing of what cannot be stored: too large, too deep, too wide, not JSON', async () => {
    const sessions = open()
    const session = await sessions.create({ a: 1 })
    const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
    const wide = Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`f${n}`, n]))
    const bad: Record<string, unknown>[] = [
      { text: 'x'.repeat(5_000_000) },
      { text: 'ư'.repeat(40_000) },
      { list: Array.from({ length: 50_000 }, (_, n) => n) },
      { deep: deep(100) },
      { [`f${'x'.repeat(300)}`]: 1 },
      wide,
      { map: new Map() },
      { big: 10n },
      { nan: Number.NaN },
    ]
    const seen = await countCommands(redis, async () => {
      for (const data of bad) {
        await expect(sessions.create(data)).rejects.toMatchObject({ code: 'INVALID_VALUE' })
        await expect(sessions.update(session.id, data)).rejects.toMatchObject({ code: 'INVALID_VALUE' })
      }
    })
    expect(seen.requests).toBe(0)
    expect((await sessions.load(session.id))?.data).toEqual({ a: 1 })
  })

  it('survives SCRIPT FLUSH between calls [L14]', async () => {
    const sessions = open()
    const session = await sessions.create({ a: 1 })
    await redis.cli('SCRIPT', 'FLUSH')
    session.data.a = 2
    expect(await sessions.update(session)).toBe(true)
    expect((await sessions.load(session.id))?.data).toEqual({ a: 2 })
  })

  it('decides by the server clock: a process whose clock is an hour ahead agrees [L9]', async () => {
    const name = `clock${names}`
    const { clock } = port
    const ahead = connectRedis(redis.url, {
      ...PATIENT_DIAL,
      clock: { ...clock, wall: () => clock.wall() + 3_600_000 },
    })
    await ahead.ready(10_000)
    const here = open({ name, idle: '10s' })
    const there = open({ name, idle: '10s', redis: ahead })
    const session = await there.create({ a: 1 })
    expect(await here.load(session.id)).toBeDefined()
    const own = await here.create({ a: 2 })
    const seen = await there.load(own.id)
    expect(seen?.expiresIn).toBeGreaterThan(8_000)
    expect(seen?.expiresIn).toBeLessThanOrEqual(10_000)
    await ahead.close()
  })

  it('goes on reading and extending when the server is full, and says so for writes', async () => {
    const sessions = open({ idle: '10s', touchEvery: 0 })
    const session = await sessions.create({ a: 1 }, { user: 'u' })
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
    try {
      expect((await sessions.load(session.id))?.data).toEqual({ a: 1 })
      session.data.a = 2
      await expect(sessions.update(session)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
      expect(await sessions.revokeUser('u')).toBe(1)
    } finally {
      await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    }
  })

  it('rejects typed and within the deadline while Redis is frozen or gone, and recovers alone', async () => {
    const sessions = open({ deadline: '200ms' })
    const session = await sessions.create({ a: 1 })
    session.data.a = 2
    redis.pause()
    const started = performance.now()
    const away = (error: unknown) => error instanceof RedisTimeout || error instanceof RedisUnavailable
    for (const call of [sessions.load(session.id), sessions.update(session), sessions.create({})]) {
      expect(await call.then(() => undefined, away)).toBe(true)
    }
    expect(performance.now() - started).toBeLessThan(2_000)
    redis.resume()
    await expect
      .poll(() => sessions.load(session.id).catch(() => undefined), { timeout: 10_000 })
      .toBeDefined()
  })

  it('hands out a read-only copy while Redis is away, by option, and for a bounded time', async () => {
    const name = `copies${names}`
    const sessions = open({ name, deadline: '200ms', onUnavailable: 'readonly', copies: { life: '2s' } })
    const { id } = await sessions.create({ a: 1 }, { user: 'u' })
    const never = await open({ name }).create({ a: 9 })
    await sessions.load(id)
    await redis.kill()
    const copy = await sessions.load(id)
    expect(copy?.data).toEqual({ a: 1 })
    expect(copy?.readOnly).toBe(true)
    expect(await sessions.update(copy!)).toBe(true)
    copy!.data.a = 2
    await expect(sessions.update(copy!)).rejects.toBeInstanceOf(SessionReadOnly)
    await expect(sessions.regenerate(copy!)).rejects.toBeInstanceOf(SessionReadOnly)
    await expect(sessions.load(never.id)).rejects.toMatchObject({ code: expect.stringMatching(/^REDIS_/) })
    expect(sessions.counters().fromCopies).toBe(1)
    await expect
      .poll(
        () =>
          sessions.load(id).then(
            () => 'copy',
            () => 'error',
          ),
        { timeout: 5_000 },
      )
      .toBe('error')
  })
})
