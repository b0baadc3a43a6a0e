import fastify, { type FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { holdfastPlugin } from '../../src/fastify/index.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { call, isHit, Visitor } from '../adapters/wire.ts'
import { startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

let app: FastifyInstance
let hf: Holdfast
afterEach(async () => {
  await app?.close()
  await hf?.close()
})
const start = () => {
  hf = holdfast()
  app = fastify()
}
const listen = () => app.listen({ port: 0, host: '127.0.0.1' })

describe('the Fastify plugin', () => {
  it('limits by the shorthand, a GET and its HEAD together, and gives each route a limiter of its own', async () => {
    start()
    await app.register(holdfastPlugin, { holdfast: hf })
    app.get('/a', { config: { holdfast: { rateLimit: '2/minute' } } }, async () => 'a')
    app.get('/b', { config: { holdfast: { rateLimit: '2/minute' } } }, async () => 'b')
    const url = await listen()
    expect((await call(url, '/a')).status).toBe(200)
    expect((await call(url, '/a', { method: 'HEAD' })).status).toBe(200)
    expect((await call(url, '/a')).status).toBe(429)
    expect((await call(url, '/b')).status).toBe(200)
  })

  it('counts before the body is read, or after the hooks of the route where it asks who it is', async () => {
    start()
    await app.register(holdfastPlugin, { holdfast: hf })
    const order: string[] = []
    const by = () => {
      order.push('by')
      return 'x'
    }
    app.addHook('onRequest', async () => void order.push('onRequest'))
    app.addHook('preHandler', async () => void order.push('preHandler'))
    app.post('/by', { config: { holdfast: { rateLimit: { limiter: '5/minute', by } } } }, async () => 'ok')
    const url = await listen()
    await call(url, '/by', { method: 'POST', data: {} })
    expect(order).toEqual(['onRequest', 'preHandler', 'by'])
  })

  it('answers nobody from the cache whom a hook of the route turns away', async () => {
    start()
    await app.register(holdfastPlugin, { holdfast: hf })
    app.get(
      '/guarded',
      {
        config: { holdfast: { cache: { ttl: '5m' } } },
        preHandler: async (request, reply) =>
          request.headers['x-ok'] === '1' ? undefined : reply.code(403).send('no'),
      },
      async () => 'secret',
    )
    const url = await listen()
    const headers = { 'x-ok': '1' }
    await call(url, '/guarded', { headers })
    await until('a hit', async () => isHit(await call(url, '/guarded', { headers })))
    expect((await call(url, '/guarded')).status).toBe(403)
  })

  it('stays in its scope, and may be registered again below, to add sessions there', async () => {
    start()
    const session = { sessions: hf.sessions<{ n?: number }>('s'), cookie: { name: 'visit' } }
    await app.register(async (scope) => {
      await scope.register(holdfastPlugin, { holdfast: hf, close: false })
      scope.get('/in', { config: { holdfast: { cache: { ttl: '5m' } } } }, async () => 'in')
      scope.get('/none', async (request) => request.holdfast.session().data)
      await scope.register(async (below) => {
        await below.register(holdfastPlugin, { holdfast: hf, session, close: false })
        below.get('/n', async (request) => {
          const { data } = request.holdfast.session<{ n?: number }>()
          data.n = (data.n ?? 0) + 1
          return data
        })
      })
    })
    app.get('/out', { config: { holdfast: { cache: { ttl: '5m' } } } }, async () => 'out')
    expect(app.hasDecorator('holdfast')).toBe(false)
    const url = await listen()
    const visitor = new Visitor()
    await visitor.call(url, '/n')
    expect((await visitor.call(url, '/n')).json()).toEqual({ n: 2 })
    expect(visitor.jar.has('__Host-visit')).toBe(true)
    expect((await call(url, '/none')).status).toBe(500)
    await until('a hit', async () => isHit(await call(url, '/in')))
    expect((await call(url, '/out')).headers['cache-status']).toBeUndefined()
  })

  it('refuses another instance below its own', async () => {
    start()
    const other = holdfast()
    await app.register(holdfastPlugin, { holdfast: hf })
    const below = app.register(async (scope) => {
      await scope.register(holdfastPlugin, { holdfast: other })
    })
    await expect(below).rejects.toThrow(/another instance/)
    await other.close()
  })

  it('refuses words that it does not know, at the start', async () => {
    start()
    await expect(app.register(holdfastPlugin, { holdfast: hf, heatlh: '/h' } as never)).rejects.toThrow(
      /health/,
    )
    app = fastify()
    await expect(app.register(holdfastPlugin, {} as never)).rejects.toThrow(/no instance/)
    app = fastify()
    await app.register(holdfastPlugin, { holdfast: hf })
    expect(() => app.get('/', { config: { holdfast: { cahce: {} } as never } }, async () => '')).toThrow(
      /did you mean 'cache'/,
    )
  })

  it('keeps a session, and says 503 instead of an answer whose session was not stored', async () => {
    const redis = await startRedis()
    hf = holdfast({ redis: redis.url })
    await hf.ready('10s')
    app = fastify()
    await app.register(holdfastPlugin, {
      holdfast: hf,
      session: { sessions: hf.sessions<{ n: number }>('s') },
    })
    let kill = false
    app.get('/n', async (request, reply) => {
      const { data } = request.holdfast.session<{ n: number }>()
      data.n = (data.n ?? 0) + 1
      if (kill) await redis.kill()
      reply.header('etag', '"x"')
      return data
    })
    const url = await listen()
    const visitor = new Visitor()
    await until('a session', async () => (await visitor.call(url, '/n')).status === 200)
    const { n } = (await visitor.call(url, '/n')).json<{ n: number }>()
    expect(n).toBeGreaterThan(1)
    kill = true
    const lost = await visitor.call(url, '/n')
    expect([lost.status, lost.headers.etag]).toEqual([503, undefined])
    expect(lost.headers['content-type']).toMatch(/^application\/problem\+json/)
    await redis.stop()
  })
})
