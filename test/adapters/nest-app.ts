import 'reflect-metadata'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import {
  type ArgumentsHost,
  Catch,
  Controller,
  Delete,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  HttpException,
  Module,
  Patch,
  Post,
  Req,
  Res,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { NestExpressApplication } from '@nestjs/platform-express'
import type { Request, Response } from 'express'
import { Cached, HoldfastModule, Idempotent, Locked, RateLimit, session } from '../../src/nest/index.ts'
import type { AppStart } from './app.ts'
import { type Cart, PATIENT, ROUTES } from './shop.ts'

/** Decorators applied by hand: this repository compiles with erasable syntax only. */
function decorate(target: object, method: string, ...decorators: MethodDecorator[]): void {
  const descriptor = Object.getOwnPropertyDescriptor(target, method)
  if (!descriptor) throw new Error(`there is no ${method}`)
  for (const decorator of decorators.reverse()) decorator(target, method, descriptor)
  Req()(target, method, 0)
  Res({ passthrough: true })(target, method, 1)
}

export const startNest: AppStart = async (shop) => {
  const hf = shop.holdfast
  const web = session(hf.sessions<Cart>('web', { idle: '30m' }), { initial: () => ({ items: [] }) })
  const id = (req: Request) => String(req.params.id)

  class ShopController {
    async task(req: Request) {
      const task = await shop.task(id(req))
      if (!task) throw new HttpException({ error: 'no such task' }, 404)
      return task
    }
    patch(req: Request) {
      return shop.patch(id(req), req.body.title)
    }
    async remove(req: Request) {
      await shop.truth.delete(id(req))
    }
    list() {
      return shop.list()
    }
    stale() {
      return shop.list()
    }
    stream(_req: Request, res: Response) {
      return new Promise<void>((resolve) => {
        Readable.from(shop.chunks()).pipe(res.type('text/plain'))
        res.on('close', resolve)
      })
    }
    broken(_req: Request, res: Response) {
      const source = Readable.from(shop.brokenChunks())
      source.on('error', (error) => res.destroy(error))
      source.pipe(res)
    }
    confirmed(req: Request, res: Response) {
      res.set('ETag', '"v1"')
      if (shop.confirm(req.get('if-none-match')) === 'whole') return 'whole'
      res.status(304)
      return undefined
    }
    boom() {
      shop.boom()
    }
    private() {
      return shop.list()
    }
    slow() {
      return shop.slow(400)
    }
    limited() {
      return { ok: true }
    }
    limitedBehind() {
      return { ok: true }
    }
    limitedUser() {
      return { ok: true }
    }
    orders(req: Request, res: Response) {
      res.set('Location', '/orders/1').cookie('secret', 'sesame')
      return shop.order(req.body)
    }
    slowOrders(req: Request) {
      return shop.order(req.body, 400)
    }
    failing() {
      shop.called('failing')
      return { call: shop.calls.failing }
    }
    failingKept() {
      return this.failing()
    }
    async optional(req: Request) {
      const order = await shop.order(req.body)
      return { ...order, filler: 'x'.repeat(Number(req.query.size ?? 0)) }
    }
    locked() {
      return shop.slow(100)
    }
    session(req: Request) {
      return { ...web.of(req).data, user: web.of(req).user ?? null }
    }
    sessionAdd(req: Request) {
      web.of(req).data.items.push(req.body.item)
      return web.of(req).data
    }
    async sessionLogin(req: Request) {
      await web.of(req).login(req.body.user)
      return { user: web.of(req).user }
    }
    async sessionLogout(req: Request) {
      await web.of(req).destroy()
      return {}
    }
  }
  Controller()(ShopController)
  const p = ShopController.prototype
  decorate(p, 'task', Get('tasks/:id'), Cached(ROUTES.task))
  decorate(p, 'patch', Patch('tasks/:id'), Cached(ROUTES.taskWrite))
  decorate(p, 'remove', Delete('tasks/:id'), HttpCode(204), Cached(ROUTES.taskWrite))
  decorate(p, 'list', Get('list'), Header('Surrogate-Key', 'lists'), Cached(ROUTES.list))
  decorate(p, 'stale', Get('stale'), Cached(ROUTES.stale))
  decorate(p, 'confirmed', Get('confirmed'), Cached(ROUTES.confirmed))
  decorate(p, 'boom', Get('boom'), Cached(ROUTES.boom))
  decorate(p, 'private', Get('private'), Header('Cache-Control', 'private'), Cached(ROUTES.list))
  decorate(p, 'slow', Get('slow'), Cached({ ttl: '5m' }))
  decorate(p, 'limited', Get('limited'), RateLimit('limited', '3/minute', { limiter: PATIENT }))
  decorate(
    p,
    'limitedBehind',
    Get('limited-behind'),
    RateLimit('behind', '3/minute', { trustProxy: ['loopback'], limiter: PATIENT }),
  )
  const userOf = (context: ExecutionContext) => context.switchToHttp().getRequest<Request>().get('x-user')
  decorate(
    p,
    'limitedUser',
    Get('limited-user'),
    RateLimit(
      'by-user',
      { user: '2/minute', ip: '100/minute' },
      { by: (context, ip) => ({ user: userOf(context), ip }), legacy: 'delta', limiter: PATIENT },
    ),
  )
  decorate(p, 'orders', Post('orders'), Idempotent())
  decorate(p, 'slowOrders', Post('slow-orders'), Idempotent())
  decorate(p, 'failing', Post('failing'), HttpCode(402), Idempotent())
  decorate(p, 'failingKept', Post('failing-kept'), HttpCode(402), Idempotent({ keep: 'all' }))
  decorate(p, 'optional', Post('optional'), Idempotent({ required: false, maxBytes: 1_000 }))
  decorate(p, 'locked', Post('locked'), Locked('one', { wait: 0 }))
  decorate(p, 'session', Get('session'))
  decorate(p, 'sessionAdd', Post('session/add'))
  decorate(p, 'sessionLogin', Post('session/login'))
  decorate(p, 'sessionLogout', Post('session/logout'))
  // These two write to the response themselves.
  for (const [name, path] of [
    ['stream', 'stream'],
    ['broken', 'broken'],
  ] as const) {
    const descriptor = Object.getOwnPropertyDescriptor(p, name)!
    Cached(ROUTES.stream)(p, name, descriptor)
    Get(path)(p, name, descriptor)
    Req()(p, name, 0)
    Res()(p, name, 1)
  }

  class Errors implements ExceptionFilter {
    catch(error: Error & { statusCode?: number }, host: ArgumentsHost) {
      const res = host.switchToHttp().getResponse<Response>()
      if (error instanceof HttpException) return res.status(error.getStatus()).json(error.getResponse())
      return res.status(error.statusCode ?? 500).json({ handled: error.message })
    }
  }
  Catch()(Errors)

  class AppModule {}
  Module({
    imports: [HoldfastModule.forRoot({ holdfast: hf, health: 'health' })],
    controllers: [ShopController],
  })(AppModule)

  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false })
  app.useGlobalFilters(new Errors())
  app.useBodyParser('json', { limit: 100_000 })
  app.use((_req: IncomingMessage, res: Response, next: () => void) => {
    res.setHeader('x-request', String(Math.random()))
    next()
  })
  app.use(web)
  await app.listen(0, '127.0.0.1')
  return { url: await app.getUrl(), close: () => app.close() }
}
