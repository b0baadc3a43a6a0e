import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import type { HttpRequest, HttpResponse } from '../../../src/http/message.ts'

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** Forwards requests to an origin on this machine, as a reverse proxy does. */
export class OriginClient {
  readonly #port: number
  // An idle connection that the origin closes just now would be an error of ours in its books.
  readonly #agent = new Agent({ keepAlive: false })

  constructor(port: number) {
    this.#port = port
  }

  /** @param onInterim told of 102 and 103, which come before the answer */
  send(
    request: HttpRequest,
    body: IncomingMessage | undefined,
    onInterim: (status: number, headers: Record<string, string | string[]>) => void,
  ): Promise<HttpResponse> {
    const headers: Record<string, string | string[]> = {}
    for (const [name, value] of Object.entries(request.headers)) {
      if (value !== undefined && !HOP_BY_HOP.has(name))
        headers[name] = typeof value === 'string' ? value : [...value]
    }
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        host: '127.0.0.1',
        port: this.#port,
        method: request.method,
        path: request.url,
        headers,
        agent: this.#agent,
      })
      outgoing.on('information', (info) => {
        onInterim(info.statusCode, info.headers as Record<string, string | string[]>)
      })
      outgoing.on('response', (response) => {
        resolve({
          status: response.statusCode ?? 502,
          statusText: response.statusMessage,
          headers: response.rawHeaders,
          body: response,
        })
      })
      outgoing.on('error', reject)
      if (body && request.method !== 'GET' && request.method !== 'HEAD') body.pipe(outgoing)
      else outgoing.end()
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
