import { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { HeaderRecord, HttpReply, HttpRequest } from '../http/message.ts'
import { NodeRequest } from '../http/node-bridge.ts'
import { type RequestView, webView } from '../http/request-view.ts'

/** The request of node:http behind a request of @hono/node-server; undefined on other servers. */
function incomingOf(c: Context): IncomingMessage | undefined {
  const env: unknown = c.env
  const incoming = typeof env === 'object' && env !== null && 'incoming' in env ? env.incoming : undefined
  return incoming instanceof IncomingMessage ? incoming : undefined
}

/** A request as the cache reads it. On Node no header is copied. */
export function requestOf(c: Context): HttpRequest {
  const { raw } = c.req
  const { url } = raw
  const at = url.indexOf('/', url.indexOf('//') + 2)
  const target = at < 0 ? '/' : url.slice(at)
  const scheme = url.startsWith('https:') ? 'https' : 'http'
  const incoming = incomingOf(c)
  if (incoming) return new NodeRequest(incoming, { url: target, scheme })
  const { method, headers, signal } = raw
  const host = headers.get('host') ?? url.slice(url.indexOf('//') + 2, at < 0 ? undefined : at)
  return { method, url: target, headers: Object.fromEntries(headers), scheme, host, signal }
}

/** Address of the peer, as the socket has it; undefined where the server does not say. */
export function addressOf(c: Context): string | undefined {
  return incomingOf(c)?.socket.remoteAddress
}

export function viewOf(c: Context): RequestView {
  return webView(c.req.raw, addressOf(c))
}

/** The handler is to see what it is asked: with our validators, without conditions that we answer. */
export function takeHeaders(c: Context, wanted: HeaderRecord): void {
  const { headers } = c.req.raw
  for (const name of [...headers.keys()]) if (wanted[name] === undefined) headers.delete(name)
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined || name.startsWith(':')) continue
    const text = typeof value === 'string' ? value : value.join(', ')
    if (headers.get(name) !== text) headers.set(name, text)
  }
}

/** Answers with a reply; fields that other middleware set before stay, unless the reply has them too. */
export function answer(c: Context, reply: HttpReply, before?: Headers): void {
  const standing = before ?? (c.finalized ? undefined : c.res.headers)
  const isFirst = standing === undefined || standing.keys().next().done === true
  const headers = (isFirst ? recordOf(reply.headers) : undefined) ?? headersOf(reply.headers, standing)
  // Else Hono would put the fields of the former response over those of the new one.
  c.res = undefined
  c.res = new Response(bodyOf(reply), { status: reply.status, headers })
}

/** As a plain record, which @hono/node-server sends as it is; undefined where a name stands twice. */
function recordOf(lines: readonly string[]): Record<string, string> | undefined {
  const record: Record<string, string> = {}
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = lines[at]!.toLowerCase()
    if (record[name] !== undefined) return undefined
    record[name] = lines[at + 1]!
  }
  return record
}

function headersOf(lines: readonly string[], before: Headers | undefined): Headers {
  const headers = new Headers(before)
  const seen = new Set<string>()
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = lines[at]!.toLowerCase()
    if (seen.has(name)) headers.append(name, lines[at + 1]!)
    else headers.set(name, lines[at + 1]!)
    seen.add(name)
  }
  return headers
}

function bodyOf({ status, body }: HttpReply): ConstructorParameters<typeof Response>[0] {
  if (body === undefined || status === 204 || status === 205 || status === 304) return null
  if (body instanceof Uint8Array) return body as Uint8Array<ArrayBuffer>
  const source = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await source.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await source.return?.()
    },
  })
}
