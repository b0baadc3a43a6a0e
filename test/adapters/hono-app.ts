import { serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { setCookie } from 'hono/cookie'
import { HTTPException } from 'hono/http-exception'
import {
  gracefulShutdown,
  health,
  idempotent,
  rateLimit,
  responseCache,
  session,
} from '../../src/hono/index.ts'
import type { DrainableServer } from '../../src/http/shutdown.ts'
import type { AppStart } from './app.ts'
import { type Cart, PATIENT, ROUTES } from './shop.ts'

const streamOf = (chunks: Iterable<Buffer> | AsyncIterable<Buffer>): ReadableStream<Uint8Array> => {
  const source = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await source.next()
      if (done) controller.close()
      else controller.enqueue(new Uint8Array(value))
    },
  })
}

export const startHono: AppStart = async (shop) => {
  const hf = shop.holdfast
  const app = new Hono()
  const cached = responseCache(hf)
  app.use(bodyLimit({ maxSize: 100_000 }))
  app.use(async (c, next) => {
    c.header('x-request', String(Math.random()))
    await next()
  })
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse()
    const status = 'statusCode' in error ? Number(error.statusCode) : 500
    return new Response(JSON.stringify({ handled: error.message }), {
      status,
      headers: { 'content-type': 'application/json', 'x-path': c.req.path },
    })
  })

  app.get('/tasks/:id', cached(ROUTES.task), async (c) => {
    const task = await shop.task(c.req.param('id'))
    return task ? c.json(task) : c.json({ error: 'no such task' }, 404)
  })
  app.patch('/tasks/:id', cached(ROUTES.taskWrite), async (c) => {
    const { title } = await c.req.json<{ title: string }>()
    return c.json(await shop.patch(c.req.param('id'), title))
  })
  app.delete('/tasks/:id', cached(ROUTES.taskWrite), async (c) => {
    await shop.truth.delete(c.req.param('id'))
    return c.body(null, 204)
  })
  app.get('/list', cached(ROUTES.list), (c) => c.json(shop.list(), 200, { 'Surrogate-Key': 'lists' }))
  app.get('/stale', cached(ROUTES.stale), (c) => c.json(shop.list()))
  app.get('/confirmed', cached(ROUTES.confirmed), (c) => {
    const same = shop.confirm(c.req.header('if-none-match')) === 'same'
    return same ? c.body(null, 304, { ETag: '"v1"' }) : c.text('whole', 200, { ETag: '"v1"' })
  })
  app.get('/stream', cached(ROUTES.stream), (c) =>
    c.body(streamOf(shop.chunks()), 200, { 'content-type': 'text/plain' }),
  )
  app.get('/broken', cached(ROUTES.stream), (c) => c.body(streamOf(shop.brokenChunks())))
  app.get('/boom', cached(ROUTES.boom), () => shop.boom())
  app.get('/private', cached(ROUTES.list), (c) => c.json(shop.list(), 200, { 'Cache-Control': 'private' }))
  app.get('/slow', cached({ ttl: '5m' }), async (c) => c.json(await shop.slow(400)))

  const ok = (c: Context) => c.json({ ok: true })
  app.get('/limited', rateLimit(hf.limiter('limited', '3/minute', PATIENT)), ok)
  app.get(
    '/limited-behind',
    rateLimit(hf.limiter('behind', '3/minute', PATIENT), { trustProxy: ['loopback'] }),
    ok,
  )
  const perUser = hf.limiter('by-user', { user: '2/minute', ip: '100/minute' }, PATIENT)
  app.get(
    '/limited-user',
    rateLimit(perUser, { by: (c, ip) => ({ user: c.req.header('x-user'), ip }), legacy: 'delta' }),
    ok,
  )

  app.post('/orders', idempotent(hf), async (c) => {
    setCookie(c, 'secret', 'sesame')
    return c.json(await shop.order(await c.req.json()), 201, { Location: '/orders/1' })
  })
  app.post('/slow-orders', idempotent(hf), async (c) => c.json(await shop.order(await c.req.json(), 400)))
  const fail = (c: Context) => {
    shop.called('failing')
    return c.json({ call: shop.calls.failing }, 402)
  }
  app.post('/failing', idempotent(hf), fail)
  app.post('/failing-kept', idempotent(hf, { keep: 'all' }), fail)
  app.post('/optional', idempotent(hf, { required: false, maxBytes: 1_000 }), async (c) => {
    const order = await shop.order(await c.req.json())
    return c.json({ ...order, filler: 'x'.repeat(Number(c.req.query('size') ?? 0)) })
  })

  const carts = new Hono().use(
    session(hf.sessions<Cart>('web', { idle: '30m' }), { initial: () => ({ items: [] }) }),
  )
  const web = carts
    .get('/', (c) => c.json({ ...c.get('session').data, user: c.get('session').user ?? null }))
    .post('/add', async (c) => {
      const { item } = await c.req.json<{ item: string }>()
      c.get('session').data.items.push(item)
      return c.json(c.get('session').data)
    })
    .post('/login', async (c) => {
      const { user } = await c.req.json<{ user: string }>()
      await c.get('session').login(user)
      return c.json({ user: c.get('session').user ?? null })
    })
    .post('/logout', async (c) => {
      await c.get('session').destroy()
      return c.json({})
    })
  app.route('/session', web)
  app.get('/health', health(hf))

  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
      // It is made by http.createServer unless told otherwise.
      const shutdown = gracefulShutdown(server as DrainableServer, hf, { signals: false, timeout: '5s' })
      resolve({ url: `http://127.0.0.1:${port}`, close: () => shutdown.shutdown() })
    })
  })
}
