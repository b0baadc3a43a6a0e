import cookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { fastifyStore } from '../../src/session/fastify-store.ts'
import { createSessions, type Sessions } from '../../src/session/sessions.ts'
import { countCommands } from '../support/monitor.ts'
import { PATIENT } from '../support/patience.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { browser, gate } from './browser.ts'

declare module 'fastify' {
  interface Session {
    a?: number | undefined
    b?: number | undefined
    userId?: string
  }
}

describe('the store for @fastify/session', () => {
  let redis: RedisServer
  let port: RedisPort
  let sessions: Sessions
  let app: FastifyInstance
  let base: string
  const slow = gate()

  beforeAll(async () => {
    redis = await startRedis()
    port = connectRedis(redis.url, PATIENT)
    await port.ready(5_000)
    sessions = createSessions({ redis: port, namespace: 'web', name: 'fastify', deadline: '5s' })
    app = fastify()
    await app.register(cookie)
    // `rolling` stays at its default, true: the plugin then saves after every request.
    await app.register(fastifySession, {
      secret: 'a secret of the tests that is long enough',
      saveUninitialized: false,
      cookie: { secure: false, maxAge: 60_000 },
      store: fastifyStore(sessions, {
        user: (data) => (typeof data.userId === 'string' ? data.userId : undefined),
      }),
    })
    app.get('/read', async (req) => ({ a: req.session.a, b: req.session.b }))
    app.get<{ Params: { field: string }; Querystring: { v: string; slow?: string } }>(
      '/set/:field',
      async (req) => {
        if (req.query.slow) await slow.pass()
        req.session[req.params.field === 'a' ? 'a' : 'b'] = Number(req.query.v)
        return {}
      },
    )
    app.get<{ Querystring: { slow?: string } }>('/look', async (req) => {
      if (req.query.slow) await slow.pass()
      return { a: req.session.a }
    })
    app.get('/twice', async (req) => {
      req.session.a = 1
      await req.session.save()
      req.session.b = 2
      await req.session.save()
      return {}
    })
    app.get<{ Params: { user: string } }>('/login/:user', async (req) => {
      await req.session.regenerate()
      req.session.userId = req.params.user
      return {}
    })
    app.get('/logout', async (req) => {
      await req.session.destroy()
      return {}
    })
    base = await app.listen({ port: 0, host: '127.0.0.1' })
  })
  afterAll(async () => {
    await app.close()
    await port.close()
    await redis.stop()
  })

  it('keeps both of two parallel changes of one visitor [L27]', async () => {
    const visit = browser(base)
    await visit('/set/a?v=0')
    const late = visit('/set/a?v=1&slow=1')
    await slow.arrived()
    await visit('/set/b?v=1')
    slow.open()
    await late
    expect(await visit('/read')).toEqual({ a: 1, b: 1 })
  })

  it('lets a slow request that only reads neither erase a change nor undo a logout [L27]', async () => {
    const visit = browser(base)
    await visit('/set/a?v=1')
    const reading = visit('/look?slow=1')
    await slow.arrived()
    await visit('/set/b?v=2')
    slow.open()
    await reading
    expect(await visit('/read')).toEqual({ a: 1, b: 2 })
    const before = Number(await redis.cli('DBSIZE'))
    const late = visit('/look?slow=1')
    await slow.arrived()
    await visit('/logout')
    slow.open()
    await late
    expect(await redis.cli('DBSIZE')).toBe(before - 1)
    expect(await visit('/read')).toEqual({})
  })

  it('writes nothing for a request that only reads, although the plugin saves it [L27]', async () => {
    const visit = browser(base)
    await visit('/set/a?v=7')
    const seen = await countCommands(redis, () => visit('/read'))
    expect(seen.result).toEqual({ a: 7 })
    expect(seen.byName).toEqual({ PTTL: 1, HGETALL: 1 })
    expect(seen.inScripts).toEqual({})
  })

  it('writes only the field that changed', async () => {
    const visit = browser(base)
    await visit('/set/a?v=7')
    const seen = await countCommands(redis, () => visit('/set/b?v=2'))
    expect(seen.byName).toEqual({ PTTL: 1, HGETALL: 1, EVALSHA: 1 })
    const saved = seen.commands.at(-1)?.args ?? []
    expect(saved).toContain('.b')
    expect(saved).not.toContain('.a')
  })

  it('saves a new session twice in one request', async () => {
    const visit = browser(base)
    await visit('/twice')
    expect(await visit('/read')).toEqual({ a: 1, b: 2 })
  })

  it('stores nothing of its own among the data', async () => {
    const visit = browser(base)
    await visit('/set/a?v=3')
    await visit('/set/a?v=4')
    for (const key of (await redis.cli('KEYS', 'hf:web:session:*')) as string[]) {
      const fields = (await redis.cli('HKEYS', key)) as string[]
      for (const field of fields) expect(field).toMatch(/^(@[iacvbxum]|\.(a|b|cookie|userId))$/)
    }
  })

  it('lists and revokes the sessions of a user who logged in through fastify [L28]', async () => {
    const [phone, laptop] = [browser(base), browser(base)]
    await phone('/set/a?v=1')
    await phone('/login/bo')
    await laptop('/login/bo')
    expect(await sessions.listByUser('bo')).toHaveLength(2)
    expect(await sessions.revokeUser('bo')).toBe(2)
    expect(await phone('/read')).toEqual({})
    expect(await sessions.listByUser('bo')).toEqual([])
  })
})
