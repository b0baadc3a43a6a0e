/**
 * A remote API over real HTTP on loopback: counts what it is asked and answers as slowly as told.
 *
 *   const api = await startUpstream({ delayMs: 300 })
 *   await api.get('/products?page=2')     // { path, version }
 *   api.calls; api.calledFor('/products?page=2')
 */
import { createServer } from 'node:http'

export interface Upstream {
  readonly calls: number
  readonly url: string
  calledFor(path: string): number
  /** Answers carry this; raise it for another state of the world. */
  version: number
  get(path: string): Promise<{ readonly path: string; readonly version: number }>
  stop(): Promise<void>
}

export async function startUpstream(options: { delayMs?: number } = {}): Promise<Upstream> {
  const counts = new Map<string, number>()
  let version = 1
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    counts.set(path, (counts.get(path) ?? 0) + 1)
    setTimeout(() => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ path, version }))
    }, options.delayMs ?? 0)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  return {
    url: base,
    get calls() {
      return [...counts.values()].reduce((sum, count) => sum + count, 0)
    },
    calledFor: (path) => counts.get(path) ?? 0,
    get version() {
      return version
    },
    set version(next) {
      version = next
    },
    async get(path) {
      const response = await fetch(base + path)
      return (await response.json()) as { path: string; version: number }
    },
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
