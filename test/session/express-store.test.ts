import { createServer } from 'node:http'
import express from 'express'
import session from 'express-session'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { expressStore } from '../../src/session/express-store.ts'
import { createSessions, type Sessions } from '../../src/session/sessions.ts'
import { countCommands } from '../support/monitor.ts'
import { PATIENT } from '../support/patience.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { browser, gate } from './browser.ts'

declare module 'express-session' {
  interface SessionData {
    a?: number
    b?: number
    userId?: string
  }
}

/** No script, nothing that could write. */
const ONLY_READ = { PTTL: 1, HGETALL: 1 }

describe('the store for express-session', () => {
  let redis: RedisServer
  let port: RedisPort
  let sessions: Sessions
  let stop: () => void
  let base: string
  const slow = gate()
  const errors: unknown[] = []

  beforeAll(async () => {
    redis = await startRedis()
    port = connectRedis(redis.url, PATIENT)
    await port.ready(5_000)
    sessions = createSessions({ redis: port, namespace: 'web', name: 'express', deadline: '5s' })
    const app = express()
    const user = (data: Readonly<Record<string, unknown>>) =>
      typeof data.userId === 'string' ? data.userId : undefined
    // One store each: express-session keeps the cookie options of a middleware on its store.
    const store = expressStore(session, sessions, { user })
    const aging = expressStore(session, sessions)
    const options = { secret: 'a secret of the tests, long enough', resave: false, saveUninitialized: false }
    app.use(
      '/aging',
      session({ ...options, store: aging, name: 'aging', rolling: true, cookie: { maxAge: 60_000 } }),
    )
    app.use(session({ ...options, store }))
    app.get('/read', (req, res) => void res.json({ a: req.session.a, b: req.session.b }))
    app.get('/aging/set', (req, res) => {
      req.session.a = Number(req.query.v)
      res.json({ left: req.session.cookie.maxAge })
    })
    app.get('/aging/read', (req, res) => void res.json({ a: req.session.a, left: req.session.cookie.maxAge }))
    app.get('/aging/remember', (req, res) => {
      req.session.cookie.maxAge = 7_200_000
      res.json({})
    })
    app.get('/set/:field', async (req, res) => {
      if (req.query.slow) await slow.pass()
      req.session[req.params.field === 'a' ? 'a' : 'b'] = Number(req.query.v)
      res.json({})
    })
    app.get('/twice', (req, res) => {
      req.session.a = 1
      req.session.save(() => {
        req.session.b = 2
        req.session.save(() => res.json({}))
      })
    })
    app.get('/login/:user', (req, res) => {
      req.session.regenerate(() => {
        req.session.userId = req.params.user
        res.json({})
      })
    })
    app.get('/logout', (req, res) => void req.session.destroy(() => res.json({})))
    app.use((error: unknown, _: express.Request, res: express.Response, next: express.NextFunction) => {
      errors.push(error)
      if (res.headersSent) return next(error)
      res.status(500).json({})
    })
    const server = createServer(app)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    stop = () => {
      server.closeAllConnections()
      server.close()
    }
  })
  afterAll(async () => {
    stop()
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

  it('does not bring a logged-out session back by a slow request [L27]', async () => {
    const visit = browser(base)
    await visit('/set/a?v=1')
    const before = await redis.cli('DBSIZE')
    const late = visit('/set/a?v=2&slow=1')
    await slow.arrived()
    await visit('/logout')
    slow.open()
    await late
    expect(await redis.cli('DBSIZE')).toBe(Number(before) - 1)
    expect(await visit('/read')).toEqual({})
    expect(errors).toEqual([])
  })

  it('writes nothing for a request that only reads: two plain reads in one round trip [L27]', async () => {
    const visit = browser(base)
    await visit('/set/a?v=7')
    const seen = await countCommands(redis, () => visit('/read'))
    expect(seen.result).toEqual({ a: 7 })
    expect(seen.byName).toEqual(ONLY_READ)
    expect(seen.inScripts).toEqual({})
  })

  it('adds one command for a request that changes one field, and writes that field only', async () => {
    const visit = browser(base)
    await visit('/set/a?v=7')
    await visit('/set/b?v=1')
    const seen = await countCommands(redis, () => visit('/set/b?v=2'))
    expect(seen.byName).toEqual({ ...ONLY_READ, EVALSHA: 1 })
    const saved = seen.commands.at(-1)?.args ?? []
    expect(saved).toContain('.b')
    expect(saved).not.toContain('.a')
    expect(saved).not.toContain('.cookie')
  })

  it('saves twice in one request', async () => {
    const visit = browser(base)
    await visit('/twice')
    expect(await visit('/read')).toEqual({ a: 1, b: 2 })
  })

  it('keeps the length of the cookie, moves its end with each request, and writes nothing for that', async () => {
    const visit = browser(base)
    await visit('/aging/set?v=1')
    const seen = await countCommands(redis, () => visit('/aging/read'))
    expect(seen.byName).toEqual(ONLY_READ)
    const { a, left } = seen.result as { a: number; left: number }
    expect(a).toBe(1)
    expect(left).toBeGreaterThan(50_000)
    expect(left).toBeLessThanOrEqual(60_000)
    await visit('/aging/remember')
    expect(((await visit('/aging/read')) as { left: number }).left).toBeGreaterThan(7_000_000)
  })

  it('lists and revokes the sessions of a user who logged in through express [L28]', async () => {
    const [phone, laptop] = [browser(base), browser(base)]
    await phone('/login/anna')
    await laptop('/login/anna')
    await phone('/set/a?v=1')
    expect(await sessions.listByUser('anna')).toHaveLength(2)
    expect(await sessions.revokeUser('anna')).toBe(2)
    expect(await phone('/read')).toEqual({})
    expect(await laptop('/read')).toEqual({})
  })

  it('gives every key a life [S0-22]', async () => {
    const keys = (await redis.cli('KEYS', '*')) as string[]
    expect(keys.length).toBeGreaterThan(0)
    for (const key of keys) expect(await redis.cli('PTTL', key)).toBeGreaterThan(0)
  })
})
