import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCache } from '../../../src/cache/create.ts'
import { createHttpCache } from '../../../src/http/engine.ts'
import { NodeRequest, sendReply } from '../../../src/http/node-bridge.ts'
import type { HttpProfile } from '../../../src/http/options.ts'
import { startExpress, startFastify, startHono } from './adapter-targets.ts'
import { OriginClient } from './origin-client.ts'

export interface Target {
  readonly port: number
  close(): Promise<void>
}

/** Starts a caching reverse proxy in front of the judge's origin. */
export type StartTarget = (originPort: number, profile: HttpProfile) => Promise<Target>

export const TARGETS: Readonly<Record<string, StartTarget>> = {
  engine: startEngine,
  express: startExpress,
  fastify: startFastify,
  hono: startHono,
}

async function startEngine(originPort: number, profile: HttpProfile): Promise<Target> {
  const cache = createCache({ namespace: 'judge' })
  const http = createHttpCache({ cache, profile })
  const origin = new OriginClient(originPort)
  const server = createServer((req, res) => {
    res.sendDate = false
    const next: Parameters<typeof http.handle>[1] = (request, { background }) =>
      origin.send(request, req, (status, headers) => {
        if (background) return
        if (status === 102) res.writeProcessing()
        else if (status === 103) res.writeEarlyHints(headers as Record<string, string>)
      })
    http.handle(new NodeRequest(req), next).then(
      (reply) => sendReply(res, reply),
      () => {
        if (!res.headersSent) res.writeHead(502, { 'Content-Length': '0' })
        res.end()
      },
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      origin.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await cache.close()
    },
  }
}
