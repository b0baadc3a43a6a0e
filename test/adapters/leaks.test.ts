import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import * as onExpress from '../../src/express/index.ts'
import { holdfastPlugin } from '../../src/fastify/index.ts'
import { holdfast } from '../../src/holdfast.ts'
import * as onHono from '../../src/hono/index.ts'
import type { LeakAsk, LeakRequest, LeakServer, LeakSubject } from '../http/leak-matrix.ts'
import { describeLeaks } from '../http/leak-runs.ts'

/* The matrix of the engine over each adapter, on real sockets. */

type App = Parameters<LeakSubject['start']>[0]
type Options = Parameters<LeakSubject['start']>[1]

const seenBy = ({ method = 'GET', url = '/', headers }: IncomingMessage): LeakRequest => ({
  method,
  url,
  host: headers.host ?? '',
  scheme: 'http',
  headers: headers as Record<string, string | undefined>,
})

async function answerOn(app: App, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { status = 200, headers, body } = await app(seenBy(req))
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.end(body)
}

function ask(port: number, one: LeakAsk): ReturnType<LeakServer['ask']> {
  const { method = 'GET', url = '/', host = 'shop.example', headers = {}, body } = one
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      method,
      path: url,
      headers: { host, ...headers },
      agent: false,
    }
    const req = request(options, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        const flat = Object.entries(res.headers).map(([name, value]) => [name, String(value)])
        resolve({
          status: res.statusCode ?? 0,
          headers: Object.fromEntries(flat),
          body: Buffer.concat(chunks).toString(),
        })
      })
    })
    req.on('error', reject)
    req.end(body)
  })
}

function served(server: Server, close: () => Promise<unknown>): LeakServer {
  const { port } = server.address() as AddressInfo
  return {
    ask: (one) => ask(port, one),
    close: async () => {
      server.closeAllConnections()
      await close()
    },
  }
}

const closed = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve))

describeLeaks('Express', {
  canChooseScheme: false,
  async start(app, { profile, route }: Options) {
    const hf = holdfast()
    const shop = express()
    shop.use(onExpress.responseCache(hf, { profile })(route))
    shop.use((req, res) => answerOn(app, req, res))
    const server = createServer(shop)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return served(server, async () => Promise.all([closed(server), hf.close()]))
  },
})

describeLeaks('Fastify', {
  canChooseScheme: false,
  async start(app, { profile, route }: Options) {
    const hf = holdfast()
    const shop = fastify()
    shop.removeAllContentTypeParsers()
    shop.addContentTypeParser('*', (_request, _payload, done) => done(null))
    await shop.register(holdfastPlugin, { holdfast: hf, cache: { profile }, close: false })
    shop.all('/*', { config: { holdfast: { cache: route } } }, async (req, reply) => {
      reply.hijack()
      await answerOn(app, req.raw, reply.raw)
    })
    await shop.listen({ port: 0, host: '127.0.0.1' })
    return served(shop.server, async () => Promise.all([shop.close(), hf.close()]))
  },
})

describeLeaks('Hono', {
  canChooseScheme: false,
  async start(app, { profile, route }: Options) {
    const hf = holdfast()
    const shop = new Hono<{ Bindings: { incoming: IncomingMessage } }>()
    shop.all('*', onHono.responseCache(hf, { profile })(route), async (c) => {
      const { status = 200, headers, body } = await app(seenBy(c.env.incoming))
      const fields = new Headers()
      for (const [name, value] of Object.entries(headers)) {
        for (const each of [value].flat()) fields.append(name, each)
      }
      const isBodiless = [204, 205, 304].includes(status) || c.req.method === 'HEAD'
      return new Response(isBodiless ? null : body, { status, headers: fields })
    })
    const server = await new Promise<Server>((resolve) => {
      const listening = serve({ fetch: shop.fetch, port: 0, hostname: '127.0.0.1' }, () =>
        resolve(listening as Server),
      )
    })
    return served(server, async () => Promise.all([closed(server), hf.close()]))
  },
})
