import 'reflect-metadata'
import {
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  Inject,
  Module,
  Patch,
  Post,
  UseGuards,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { Cached, HOLDFAST, HoldfastModule, Idempotent, Locked, RateLimit } from '../../src/nest/index.ts'
import { call, isHit } from '../adapters/wire.ts'
import { until } from '../support/until.ts'

let app: INestApplication | undefined
afterEach(() => app?.close())

/** Decorators applied by hand: this repository compiles with erasable syntax only. */
function decorate(target: object, method: string, ...decorators: MethodDecorator[]): void {
  const descriptor = Object.getOwnPropertyDescriptor(target, method)
  if (!descriptor) throw new Error(`there is no ${method}`)
  for (const decorator of decorators.reverse()) decorator(target, method, descriptor)
}

class Shop {
  calls = 0
  readonly holdfast: Holdfast
  constructor(instance: Holdfast) {
    this.holdfast = instance
  }
  list() {
    return { call: ++this.calls }
  }
  change() {
    return {}
  }
  order() {
    return { order: ++this.calls }
  }
  async locked() {
    this.calls++
    await new Promise((resolve) => setTimeout(resolve, 300))
    return { done: true }
  }
  limited() {
    return {}
  }
  guarded() {
    return { call: ++this.calls }
  }
}
Inject(HOLDFAST)(Shop, undefined, 0)
Controller()(Shop)
const guard = {
  canActivate: (context: ExecutionContext) => context.switchToHttp().getRequest().headers['x-ok'] === '1',
}
decorate(Shop.prototype, 'list', Get('list'), Cached({ ttl: '5m', tags: ['list'] }))
decorate(Shop.prototype, 'change', Patch('list'), Cached({ invalidates: ['list'] }))
decorate(Shop.prototype, 'order', Post('orders'), Idempotent())
decorate(
  Shop.prototype,
  'locked',
  Post('locked'),
  Locked(() => 'one', { wait: 0 }),
)
decorate(Shop.prototype, 'limited', Get('limited'), RateLimit('few', '2/minute'))
decorate(Shop.prototype, 'guarded', Get('guarded'), Cached({ ttl: '5m' }), UseGuards(guard))

async function start(platform: 'express' | 'fastify', imports: unknown[]): Promise<string> {
  class App {}
  Module({ imports: imports as never[], controllers: [Shop] })(App)
  app =
    platform === 'fastify'
      ? await NestFactory.create(App, new FastifyAdapter(), { logger: false })
      : await NestFactory.create(App, { logger: false })
  await app.listen(0, '127.0.0.1')
  return app.getUrl()
}

describe.each(['express', 'fastify'] as const)('Nest on %s', (platform) => {
  it('caches, invalidates, limits and replays by its decorators', async () => {
    const hf = holdfast()
    const url = await start(platform, [HoldfastModule.forRoot({ holdfast: hf, health: 'health' })])
    const first = await call(url, '/list')
    expect(first.json()).toEqual({ call: 1 })
    const hit = await until('a hit', async () => {
      const answer = await call(url, '/list')
      return isHit(answer) ? answer : undefined
    })
    expect([hit.json(), hit.headers['content-type']]).toEqual([{ call: 1 }, first.headers['content-type']])
    expect((await call(url, '/list', { method: 'PATCH', data: {} })).status).toBe(200)
    expect((await call(url, '/list')).json()).toEqual({ call: 2 })

    const headers = { 'idempotency-key': 'one' }
    const order = await call(url, '/orders', { method: 'POST', data: { a: 1 }, headers })
    const again = await call(url, '/orders', { method: 'POST', data: { a: 1 }, headers })
    expect([order.status, again.status, again.headers['idempotency-replayed']]).toEqual([201, 201, 'true'])
    expect(again.body).toEqual(order.body)
    expect((await call(url, '/orders', { method: 'POST', data: { a: 2 }, headers })).status).toBe(422)
    expect((await call(url, '/orders', { method: 'POST', data: {} })).status).toBe(400)

    const limited = []
    for (let n = 0; n < 3; n++) limited.push(await call(url, '/limited'))
    expect(limited.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(limited[0]?.headers.ratelimit).toMatch(/r=1/)
    expect(limited[2]?.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(Number(limited[2]?.headers['retry-after'])).toBeGreaterThan(0)
    expect(limited[2]?.json()).toMatchObject({ status: 429 })

    expect((await call(url, '/health')).json()).toMatchObject({ status: 'ok' })
    await app?.close()
    expect(hf.health().status).toBe('down')
  })

  it('lets one request at a time in, and tells the other 409', async () => {
    const url = await start(platform, [HoldfastModule.forRoot({ holdfast: holdfast() })])
    const both = await Promise.all([1, 2].map(() => call(url, '/locked', { method: 'POST', data: {} })))
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409])
    expect((await call(url, '/locked', { method: 'POST', data: {} })).status).toBe(201)
  })

  it('answers nobody from the cache whom a guard turns away', async () => {
    const url = await start(platform, [HoldfastModule.forRoot({ holdfast: holdfast() })])
    const headers = { 'x-ok': '1' }
    await call(url, '/guarded', { headers })
    await until('a hit', async () => isHit(await call(url, '/guarded', { headers })))
    expect((await call(url, '/guarded')).status).toBe(403)
  })
})

describe('HoldfastModule', () => {
  it('takes its options from a factory, gives the instance to others, and leaves it open where told so', async () => {
    const hf = holdfast()
    const CONFIG = Symbol('config')
    class ConfigModule {}
    Module({ providers: [{ provide: CONFIG, useValue: hf }], exports: [CONFIG] })(ConfigModule)
    const url = await start('express', [
      HoldfastModule.forRootAsync({
        imports: [ConfigModule],
        inject: [CONFIG],
        useFactory: async (instance: Holdfast) => ({ holdfast: instance, close: false }),
        health: { path: 'up', details: true },
      }),
    ])
    expect((await call(url, '/up')).json()).toHaveProperty('cache')
    expect(app?.get(Shop).holdfast).toBe(hf)
    await app?.close()
    expect(hf.health().status).toBe('ok')
    await hf.close()
  })

  it('says at the start what is wrong', async () => {
    expect(() => HoldfastModule.forRoot({ holdfast: holdfast(), cahce: {} } as never)).toThrow(
      /did you mean 'cache'/,
    )
    const broken = HoldfastModule.forRoot({} as never)
    class App {}
    Module({ imports: [broken] })(App)
    await expect(NestFactory.create(App, { logger: false, abortOnError: false })).rejects.toThrow(
      /no instance/,
    )
  })
})
