import type { IncomingMessage } from 'node:http'

/** What the parts of this folder read of a request, whatever the framework. */
export interface RequestView {
  readonly method: string
  /** Path and query as the client sent them, also behind a mounted router. */
  readonly target: string
  /** Of the connection, never of a header; undefined where there is none, e.g. on a Unix socket. */
  readonly peer: string | undefined
  /** The value of a field, those of repeated lines joined by a comma. `name` in lower case. */
  header(name: string): string | undefined
}

/** A request of node:http, as Fastify (`request.raw`), Express and Nest have it. */
export function nodeView(request: IncomingMessage): RequestView {
  return {
    method: request.method ?? 'GET',
    target: targetOf(request),
    peer: request.socket.remoteAddress,
    header(name) {
      const value = request.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
  }
}

/** A request of the web's own kind, as Hono has it. */
export function webView(request: Request, peer: string | undefined): RequestView {
  const { method, url, headers } = request
  return {
    method,
    target: url.slice(url.indexOf('/', url.indexOf('//') + 2)),
    peer,
    header: (name) => headers.get(name) ?? undefined,
  }
}

/** Routers of Express take the prefix they are mounted under from `url` and keep the whole in `originalUrl`. */
function targetOf(request: IncomingMessage): string {
  const whole = 'originalUrl' in request ? request.originalUrl : undefined
  return typeof whole === 'string' ? whole : (request.url ?? '/')
}
