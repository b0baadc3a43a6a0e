import { Readable } from 'node:stream'
import fastify, { type FastifyRequest } from 'fastify'
import { holdfastPlugin } from '../../src/fastify/index.ts'
import type { AppStart } from './app.ts'
import { type Cart, PATIENT, ROUTES } from './shop.ts'

export const startFastify: AppStart = async (shop) => {
  const hf = shop.holdfast
  const app = fastify({ bodyLimit: 100_000 })
  app.setErrorHandler<Error & { statusCode?: number }>((error, _request, reply) =>
    reply.code(error.statusCode ?? 500).send({ handled: error.message }),
  )
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-request', String(Math.random()))
  })
  const session = { sessions: hf.sessions<Cart>('web', { idle: '30m' }), initial: () => ({ items: [] }) }
  await app.register(holdfastPlugin, { holdfast: hf, health: '/health' })

  app.get<{ Params: { id: string } }>(
    '/tasks/:id',
    { config: { holdfast: { cache: ROUTES.task } } },
    async (request, reply) => {
      const task = await shop.task(request.params.id)
      return task ?? reply.code(404).send({ error: 'no such task' })
    },
  )
  app.patch<{ Params: { id: string }; Body: { title: string } }>(
    '/tasks/:id',
    { config: { holdfast: { cache: ROUTES.taskWrite } } },
    (request) => shop.patch(request.params.id, request.body.title),
  )
  app.delete<{ Params: { id: string } }>(
    '/tasks/:id',
    { config: { holdfast: { cache: ROUTES.taskWrite } } },
    async (request, reply) => {
      await shop.truth.delete(request.params.id)
      return reply.code(204).send()
    },
  )
  app.get('/list', { config: { holdfast: { cache: ROUTES.list } } }, async (_request, reply) => {
    reply.header('Surrogate-Key', 'lists')
    return shop.list()
  })
  app.get('/stale', { config: { holdfast: { cache: ROUTES.stale } } }, async () => shop.list())
  app.get('/confirmed', { config: { holdfast: { cache: ROUTES.confirmed } } }, async (request, reply) => {
    reply.header('ETag', '"v1"')
    if (shop.confirm(request.headers['if-none-match']) === 'same') return reply.code(304).send()
    return 'whole'
  })
  app.get('/stream', { config: { holdfast: { cache: ROUTES.stream } } }, async (_request, reply) =>
    reply.type('text/plain').send(Readable.from(shop.chunks())),
  )
  app.get('/broken', { config: { holdfast: { cache: ROUTES.stream } } }, async (_request, reply) =>
    reply.send(Readable.from(shop.brokenChunks())),
  )
  app.get('/boom', { config: { holdfast: { cache: ROUTES.boom } } }, async () => shop.boom())
  app.get('/private', { config: { holdfast: { cache: ROUTES.list } } }, async (_request, reply) => {
    reply.header('Cache-Control', 'private')
    return shop.list()
  })
  app.get('/slow', { config: { holdfast: { cache: { ttl: '5m' } } } }, () => shop.slow(400))

  const ok = async () => ({ ok: true })
  app.get('/limited', { config: { holdfast: { rateLimit: hf.limiter('limited', '3/minute', PATIENT) } } }, ok)
  app.get(
    '/limited-behind',
    {
      config: {
        holdfast: {
          rateLimit: { limiter: hf.limiter('behind', '3/minute', PATIENT), trustProxy: ['loopback'] },
        },
      },
    },
    ok,
  )
  app.get(
    '/limited-user',
    {
      config: {
        holdfast: {
          rateLimit: {
            limiter: hf.limiter('by-user', { user: '2/minute', ip: '100/minute' }, PATIENT),
            by: (request, ip) => ({ user: String(request.headers['x-user'] ?? ''), ip }),
            legacy: 'delta',
          },
        },
      },
    },
    ok,
  )

  app.post('/orders', { config: { holdfast: { idempotent: true } } }, async (request, reply) => {
    reply.code(201).header('Location', '/orders/1').header('Set-Cookie', 'secret=sesame')
    return shop.order(request.body)
  })
  app.post('/slow-orders', { config: { holdfast: { idempotent: true } } }, (request) =>
    shop.order(request.body, 400),
  )
  const fail = async () => {
    shop.called('failing')
    return { call: shop.calls.failing }
  }
  app.post('/failing', { config: { holdfast: { idempotent: true } } }, async (_request, reply) => {
    reply.code(402)
    return fail()
  })
  app.post(
    '/failing-kept',
    { config: { holdfast: { idempotent: { keep: 'all' } } } },
    async (_request, reply) => {
      reply.code(402)
      return fail()
    },
  )
  app.post<{ Querystring: { size?: string } }>(
    '/optional',
    { config: { holdfast: { idempotent: { required: false, maxBytes: 1_000 } } } },
    async (request) => ({
      ...(await shop.order(request.body)),
      filler: 'x'.repeat(Number(request.query.size ?? 0)),
    }),
  )

  await app.register(
    async (scope) => {
      await scope.register(holdfastPlugin, { holdfast: hf, session, close: false })
      const cart = (request: FastifyRequest) => request.holdfast.session<Cart>()
      scope.get('/', async (request) => ({ ...cart(request).data, user: cart(request).user ?? null }))
      scope.post<{ Body: { item: string } }>('/add', async (request) => {
        cart(request).data.items.push(request.body.item)
        return cart(request).data
      })
      scope.post<{ Body: { user: string } }>('/login', async (request) => {
        await cart(request).login(request.body.user)
        return { user: cart(request).user }
      })
      scope.post('/logout', async (request) => {
        await cart(request).destroy()
        return {}
      })
    },
    { prefix: '/session' },
  )

  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { url, close: () => app.close() }
}
