import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** An HTTP server on loopback whose every answer is written by the test; counts what it is asked. */
export interface HttpOrigin {
  readonly url: string
  readonly requests: readonly SeenRequest[]
  /** How often this path (with its query) was asked for; all of them without one. */
  calls(path?: string): number
  /** From now on answers are written by this. */
  answer(handler: Handler): void
  stop(): Promise<void>
}

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Handler = (request: SeenRequest, response: ServerResponse) => unknown

export async function startOrigin(first: Handler): Promise<HttpOrigin> {
  let handler = first
  const requests: SeenRequest[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const seen = { method, path: url, headers, body: Buffer.concat(chunks).toString() }
      requests.push(seen)
      handler(seen, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    requests,
    calls: (path) => requests.filter((seen) => path === undefined || seen.path === path).length,
    answer(next) {
      handler = next
    },
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
