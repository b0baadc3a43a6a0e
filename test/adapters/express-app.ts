import type { Server } from 'node:http'
import { Readable } from 'node:stream'
import express, { type NextFunction, type Request, type Response } from 'express'
import {
  gracefulShutdown,
  health,
  idempotent,
  rateLimit,
  responseCache,
  session,
} from '../../src/express/index.ts'
import type { AppStart } from './app.ts'
import { type Cart, PATIENT, ROUTES } from './shop.ts'

export const startExpress: AppStart = async (shop) => {
  const hf = shop.holdfast
  const app = express()
  const cached = responseCache(hf)
  const id = (req: Request) => String(req.params.id)
  app.use(express.json({ limit: 100_000 }))
  app.use((_req, res, next) => {
    res.set('x-request', String(Math.random()))
    next()
  })

  app.get('/tasks/:id', cached(ROUTES.task), async (req, res) => {
    const task = await shop.task(id(req))
    if (task) res.json(task)
    else res.status(404).json({ error: 'no such task' })
  })
  app.patch('/tasks/:id', cached(ROUTES.taskWrite), async (req, res) => {
    res.json(await shop.patch(id(req), req.body.title))
  })
  app.delete('/tasks/:id', cached(ROUTES.taskWrite), async (req, res) => {
    await shop.truth.delete(id(req))
    res.status(204).end()
  })
  app.get(
    '/list',
    cached(ROUTES.list),
    (_req, res) => void res.set('Surrogate-Key', 'lists').json(shop.list()),
  )
  app.get('/stale', cached(ROUTES.stale), (_req, res) => void res.json(shop.list()))
  app.get('/confirmed', cached(ROUTES.confirmed), (req, res) => {
    res.set('ETag', '"v1"')
    if (shop.confirm(req.get('if-none-match')) === 'same') res.status(304).end()
    else res.send('whole')
  })
  app.get('/stream', cached(ROUTES.stream), (_req, res) => {
    Readable.from(shop.chunks()).pipe(res.type('text/plain'))
  })
  app.get('/broken', cached(ROUTES.stream), (_req, res) => {
    const source = Readable.from(shop.brokenChunks())
    source.on('error', (error) => res.destroy(error))
    source.pipe(res)
  })
  app.get('/boom', cached(ROUTES.boom), () => shop.boom())
  app.get(
    '/private',
    cached(ROUTES.list),
    (_req, res) => void res.set('Cache-Control', 'private').json(shop.list()),
  )
  app.get('/slow', cached({ ttl: '5m' }), async (_req, res) => void res.json(await shop.slow(400)))

  app.get(
    '/limited',
    rateLimit(hf.limiter('limited', '3/minute', PATIENT)),
    (_req, res) => void res.json({ ok: true }),
  )
  app.get(
    '/limited-behind',
    rateLimit(hf.limiter('behind', '3/minute', PATIENT), { trustProxy: ['loopback'] }),
    (_req, res) => void res.json({ ok: true }),
  )
  app.get(
    '/limited-user',
    rateLimit(hf.limiter('by-user', { user: '2/minute', ip: '100/minute' }, PATIENT), {
      by: (req, ip) => ({ user: req.get('x-user'), ip }),
      legacy: 'delta',
    }),
    (_req, res) => void res.json({ ok: true }),
  )

  app.post('/orders', idempotent(hf), async (req, res) => {
    res
      .status(201)
      .set('Location', '/orders/1')
      .cookie('secret', 'sesame')
      .json(await shop.order(req.body))
  })
  app.post('/slow-orders', idempotent(hf), async (req, res) => void res.json(await shop.order(req.body, 400)))
  app.post('/failing', idempotent(hf), (_req, res) => {
    shop.called('failing')
    res.status(402).json({ call: shop.calls.failing })
  })
  app.post('/failing-kept', idempotent(hf, { keep: 'all' }), (_req, res) => {
    shop.called('failing')
    res.status(402).json({ call: shop.calls.failing })
  })
  app.post('/optional', idempotent(hf, { required: false, maxBytes: 1_000 }), async (req, res) => {
    const order = await shop.order(req.body)
    res.json({ ...order, filler: 'x'.repeat(Number(req.query.size ?? 0)) })
  })

  const web = session(hf.sessions<Cart>('web', { idle: '30m' }), { initial: () => ({ items: [] }) })
  app.use('/session', web)
  app.get('/session', (req, res) => void res.json({ ...web.of(req).data, user: web.of(req).user ?? null }))
  app.post('/session/add', (req, res) => {
    web.of(req).data.items.push(req.body.item)
    res.json(web.of(req).data)
  })
  app.post('/session/login', async (req, res) => {
    await web.of(req).login(req.body.user)
    res.json({ user: web.of(req).user })
  })
  app.post('/session/logout', async (req, res) => {
    await web.of(req).destroy()
    res.json({})
  })

  app.get('/health', health(hf))
  app.use((error: Error & { statusCode?: number }, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error)
    res.status(error.statusCode ?? 500).json({ handled: error.message })
  })

  const server = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  const shutdown = gracefulShutdown(server, hf, { signals: false, timeout: '5s' })
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no address')
  return { url: `http://127.0.0.1:${address.port}`, close: () => shutdown.shutdown() }
}
