import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { serve } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import * as onExpress from '../../../src/express/index.ts'
import { holdfastPlugin } from '../../../src/fastify/index.ts'
import { type Holdfast, holdfast } from '../../../src/holdfast.ts'
import * as onHono from '../../../src/hono/index.ts'
import { OriginClient } from './origin-client.ts'

/*
 * The adapters before the judge: in each framework one route for everything, cached, whose handler
 * forwards the request to the judge's origin.
 */

interface Target {
  readonly port: number
  close(): Promise<void>
}
type Start = (originPort: number, profile: 'safe' | 'rfc') => Promise<Target>

/** `Connection` stays: what it lists is for the cache to drop. */
const HOP_BY_HOP = new Set(['keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

function endToEnd(raw: readonly string[]): string[] {
  const lines: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    if (!HOP_BY_HOP.has(raw[at]!.toLowerCase())) lines.push(raw[at]!, raw[at + 1]!)
  }
  return lines
}

/** The handler of a reverse proxy. */
async function forward(origin: OriginClient, req: IncomingMessage, res: ServerResponse): Promise<void> {
  try {
    const { method = 'GET', url = '/', headers } = req
    const answer = await origin.send({ method, url, headers }, req, (status, fields) => {
      if (status === 102) res.writeProcessing()
      else if (status === 103) res.writeEarlyHints(fields as Record<string, string>)
    })
    res.writeHead(answer.status, answer.statusText ?? '', endToEnd(answer.headers as string[]))
    const body = answer.body as Readable
    body.on('error', (error) => res.destroy(error))
    // A message cut short ends without an error there.
    body.on('end', () => (body as IncomingMessage).complete || res.destroy())
    body.pipe(res)
  } catch (error) {
    // No answer, which is not the same as one that says 502.
    res.destroy(error instanceof Error ? error : undefined)
  }
}

async function target(
  hf: Holdfast,
  origin: OriginClient,
  server: Server,
  close: () => unknown,
): Promise<Target> {
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      origin.close()
      server.closeAllConnections()
      await close()
      await hf.close()
    },
  }
}

export const startExpress: Start = async (originPort, profile) => {
  const [hf, origin] = [holdfast(), new OriginClient(originPort)]
  const app = express().disable('x-powered-by')
  app.use((_req, res, next) => {
    res.sendDate = false
    next()
  })
  app.use(onExpress.responseCache(hf, { profile })())
  app.use((req, res) => forward(origin, req, res))
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return target(hf, origin, server, () => new Promise((resolve) => server.close(resolve)))
}

export const startFastify: Start = async (originPort, profile) => {
  const [hf, origin] = [holdfast(), new OriginClient(originPort)]
  const app = fastify()
  app.addHttpMethod('M-SEARCH')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.addHook('onRequest', async (_request, reply) => {
    reply.raw.sendDate = false
  })
  await app.register(holdfastPlugin, { holdfast: hf, cache: { profile }, close: false })
  app.all('/*', { config: { holdfast: { cache: true } } }, async (request, reply) => {
    reply.hijack()
    await forward(origin, request.raw, reply.raw)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return target(hf, origin, app.server, () => app.close())
}

export const startHono: Start = async (originPort, profile) => {
  const [hf, origin] = [holdfast(), new OriginClient(originPort)]
  const app = new Hono<{ Bindings: { incoming: IncomingMessage; outgoing: ServerResponse } }>()
  app.all(
    '*',
    async (c, next) => {
      c.env.outgoing.sendDate = false
      await next()
    },
    onHono.responseCache(hf, { profile })(),
    async (c) => {
      const { incoming, outgoing } = c.env
      const headers = Object.fromEntries(c.req.raw.headers)
      const request = { method: c.req.method, url: incoming.url ?? '/', headers }
      const answer = await origin.send(request, incoming, (status, fields) => {
        if (status === 102) outgoing.writeProcessing()
        else if (status === 103) outgoing.writeEarlyHints(fields as Record<string, string>)
      })
      const lines = endToEnd(answer.headers as string[])
      const fields = new Headers()
      for (let at = 0; at + 1 < lines.length; at += 2) fields.append(lines[at]!, lines[at + 1]!)
      const body = answer.body as IncomingMessage
      const isBodiless = [204, 205, 304].includes(answer.status) || c.req.method === 'HEAD'
      return new Response(isBodiless ? null : (Readable.toWeb(body) as ReadableStream<Uint8Array>), {
        status: answer.status,
        headers: fields,
      })
    },
  )
  app.onError(() => new Response(null, { status: 502 }))
  const server = await new Promise<Server>((resolve) => {
    const listening = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () =>
      resolve(listening as Server),
    )
  })
  return target(hf, origin, server, () => new Promise((resolve) => server.close(resolve)))
}
