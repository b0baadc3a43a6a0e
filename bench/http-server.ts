/** One process of the HTTP bench: a framework with one server per contestant. Answers over IPC. */
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { holdfast } from '../src/holdfast.ts'

/** The application's own copies of the frameworks, not those that a peer brings along. This file runs as a bundle. */
const fromHere = createRequire(`${process.env.BENCH_DIR}/package.json`)
const fromRoot = createRequire(`${process.env.BENCH_DIR}/../package.json`)

/** About 1 KB of ordinary API JSON. */
const product = {
  id: 7,
  name: 'Product number 7',
  description: 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. '.repeat(4),
  price: { amount: 1_997, currency: 'EUR' },
  stock: Array.from({ length: 6 }, (_, n) => ({ shop: `shop-${n}`, count: n * 7, updated: '2026-01-01' })),
  tags: ['new', 'sale', 'outdoor'],
}
const text = JSON.stringify(product)
/** What an uncached route does: waits for a database, then answers. */
const load = async () => {
  await new Promise((resolve) => setTimeout(resolve, 5))
  return product
}
const hf = holdfast({ redis: process.env.REDIS_URL, namespace: `bench-${process.pid}` })
await hf.ready('20s')

type Starts = Record<string, () => Promise<Server>>
const listening = (server: Server): Promise<Server> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))

const FRAMEWORKS: Record<string, () => Promise<Starts>> = {
  async node() {
    const answer = (_req: unknown, res: import('node:http').ServerResponse) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      res.end(text)
    }
    return { 'node:http, the same bytes': () => listening(createServer(answer)) }
  },

  async express() {
    const express = fromRoot('express') as typeof import('express')
    const { responseCache } = await import('../src/express/index.ts')
    const serve = (set: (app: import('express').Express) => void) => () => {
      const app = express()
      set(app)
      return listening(createServer(app))
    }
    const apicache = fromHere('apicache') as { middleware(life: string): import('express').RequestHandler }
    const uncached: import('express').RequestHandler = async (_req, res) => void res.json(await load())
    return {
      'bare handler': serve((app) => app.get('/p', (_req, res) => void res.json(product))),
      'Holdfast hit': serve((app) => app.get('/p', responseCache(hf)({ ttl: '1h' }), uncached)),
      'apicache hit': serve((app) => app.get('/p', apicache.middleware('1 hour'), uncached)),
      'uncached, 5 ms of database': serve((app) => app.get('/p', uncached)),
    }
  },

  async fastify() {
    const { default: fastify } = (await import('fastify')) as typeof import('fastify')
    const { holdfastPlugin } = await import('../src/fastify/index.ts')
    const caching = fromHere('@fastify/caching')
    type App = import('fastify').FastifyInstance
    const serve = (set: (app: App) => Promise<unknown>) => async () => {
      const app = fastify()
      await set(app)
      await app.listen({ port: 0, host: '127.0.0.1' })
      return app.server
    }
    return {
      'bare handler': serve(async (app) => app.get('/p', async () => product)),
      'Holdfast hit': serve(async (app) => {
        await app.register(holdfastPlugin, { holdfast: hf, close: false })
        app.get('/p', { config: { holdfast: { cache: { ttl: '1h' } } } }, load)
      }),
      '@fastify/caching, ETag, 304 to a client that has it': serve(async (app) => {
        await app.register(caching, { privacy: 'public', expiresIn: 3_600 })
        app.get('/p', async (_request, reply) => {
          const tagged = reply as typeof reply & { etag(tag: string, life: number): unknown }
          tagged.etag('"7"', 3_600_000)
          return product
        })
      }),
      'uncached, 5 ms of database': serve(async (app) => app.get('/p', load)),
    }
  },

  async hono() {
    const { Hono } = await import('hono')
    const { serve: listen } = await import('@hono/node-server')
    const { responseCache } = await import('../src/hono/index.ts')
    type App = InstanceType<typeof Hono>
    const serve = (set: (app: App) => void) => () => {
      const app = new Hono()
      set(app)
      return new Promise<Server>((resolve) => {
        const server = listen({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () =>
          resolve(server as Server),
        )
      })
    }
    return {
      'bare handler': serve((app) => app.get('/p', (c) => c.json(product))),
      'Holdfast hit': serve((app) =>
        app.get('/p', responseCache(hf)({ ttl: '1h' }), async (c) => c.json(await load())),
      ),
      'uncached, 5 ms of database': serve((app) => app.get('/p', async (c) => c.json(await load()))),
    }
  },

  async nest() {
    await import('reflect-metadata')
    const { Controller, Get, Module } = await import('@nestjs/common')
    const { NestFactory } = await import('@nestjs/core')
    const { Cached, HoldfastModule } = await import('../src/nest/index.ts')
    const serve = (handler: () => unknown, decorators: MethodDecorator[]) => async () => {
      class Products {
        get() {
          return handler()
        }
      }
      Controller()(Products)
      for (const decorator of [Get('p'), ...decorators]) {
        decorator(Products.prototype, 'get', Object.getOwnPropertyDescriptor(Products.prototype, 'get')!)
      }
      class App {}
      Module({ imports: [HoldfastModule.forRoot({ holdfast: hf, close: false })], controllers: [Products] })(
        App,
      )
      const app = await NestFactory.create(App, { logger: false })
      await app.listen(0, '127.0.0.1')
      return app.getHttpServer() as Server
    }
    return {
      'bare handler': serve(() => product, []),
      'Holdfast hit': serve(load, [Cached({ ttl: '1h' })]),
      'uncached, 5 ms of database': serve(load, []),
    }
  },
}

const starts = await FRAMEWORKS[process.argv[2] ?? '']!()
const urls: Record<string, string> = {}
for (const [name, start] of Object.entries(starts)) {
  const { port } = (await start()).address() as AddressInfo
  urls[name] = `http://127.0.0.1:${port}/p`
}
process.on('message', () => process.send?.(process.cpuUsage()))
process.on('disconnect', () => process.exit(0))
process.send?.(urls)
