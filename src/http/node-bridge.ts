import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { HttpReply, HttpRequest } from './message.ts'

/** What the socket cannot say, where a trusted proxy or the framework knows it. */
export interface NodeRequestHints {
  readonly scheme?: 'http' | 'https' | undefined
  /** Authority the client asked for. */
  readonly host?: string | undefined
  /** Target before a router took its mount path off, as Express keeps in `originalUrl`. */
  readonly url?: string | undefined
}

/** A request of Node as the engine wants it. Costs one object: nothing is copied. */
export class NodeRequest implements HttpRequest {
  readonly raw: IncomingMessage
  readonly method: string
  readonly url: string
  readonly scheme: 'http' | 'https'
  readonly host: string | undefined

  constructor(raw: IncomingMessage, hints?: NodeRequestHints) {
    this.raw = raw
    this.method = raw.method ?? 'GET'
    this.url = hints?.url ?? raw.url ?? '/'
    this.scheme = hints?.scheme ?? ('encrypted' in raw.socket && raw.socket.encrypted ? 'https' : 'http')
    this.host = hints?.host ?? raw.headers.host
  }

  get headers(): IncomingHttpHeaders {
    return this.raw.headers
  }
}

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/**
 * Sends a reply and resolves once it is handed to the socket, or the client has gone. A body that
 * breaks off destroys the connection, so that the client cannot take it for whole.
 */
export async function sendReply(res: ServerResponse, reply: HttpReply): Promise<void> {
  const { body } = reply
  if (body === undefined || body instanceof Uint8Array) {
    sendWhole(res, reply, body)
    return
  }
  if (res.headersSent) {
    await body[Symbol.asyncIterator]().return?.()
    return
  }
  writeHead(res, reply)
  try {
    for await (const chunk of body) {
      if (res.destroyed) return
      if (!res.write(chunk)) await drained(res)
    }
    res.end()
  } catch (error) {
    res.destroy(error instanceof Error ? error : undefined)
  }
}

/** Up to this size a body travels in one piece with the head: one buffer less for the kernel to gather. */
const ONE_PIECE_BYTES = 16_384

/** Sends a reply whose body is there; nothing where somebody else, a time limit for one, has answered already. */
export function sendWhole(res: ServerResponse, reply: HttpReply, body: Uint8Array | undefined): void {
  if (res.headersSent) return
  writeHead(res, reply)
  if (body === undefined) res.end()
  else if (body.length > ONE_PIECE_BYTES || !Buffer.isBuffer(body)) res.end(body)
  // Each byte a character of latin1: exactly those bytes again, and joined with the head by node:http.
  else res.end(body.toString('latin1'), 'latin1')
}

function writeHead(res: ServerResponse, reply: HttpReply): void {
  const { headers, status, statusText } = reply
  // Beside an array node:http loses fields that a framework set on the response before us, and of a
  // repeated field all but the last where the response ever had a field.
  if (res.getHeaderNames().length > 0 || repeatsField(headers)) {
    const seen = new Set<string>()
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i]!
      const lower = name.toLowerCase()
      if (seen.has(lower)) res.appendHeader(name, headers[i + 1]!)
      else res.setHeader(name, headers[i + 1]!)
      seen.add(lower)
    }
    if (statusText === undefined) res.writeHead(status)
    else res.writeHead(status, statusText)
    return
  }
  if (statusText === undefined) res.writeHead(status, headers as string[])
  else res.writeHead(status, statusText, headers as string[])
}

function repeatsField(headers: readonly string[]): boolean {
  for (let i = 2; i < headers.length; i += 2) {
    const name = headers[i]!
    for (let j = 0; j < i; j += 2) {
      const earlier = headers[j]!
      if (earlier.length === name.length && earlier.toLowerCase() === name.toLowerCase()) return true
    }
  }
  return false
}

/** Resolves when there is room again, or nobody is there to read. */
function drained(res: ServerResponse): Promise<void> {
  if (res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done)
      res.off('close', done)
      resolve()
    }
    res.on('drain', done)
    res.on('close', done)
  })
}

/**
 * A request of Node as the web's, its body still a stream, its signal aborted when the client goes.
 * @param text the body, where somebody has read it off the socket
 */
export function toWebRequest(req: IncomingMessage, hints?: NodeRequestHints, text?: string): Request {
  const { method, url, scheme, host } = new NodeRequest(req, hints)
  const headers = new Headers()
  const { rawHeaders } = req
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (!name.startsWith(':') && !HOP_BY_HOP.has(name.toLowerCase())) headers.append(name, rawHeaders[i + 1]!)
  }
  const gone = new AbortController()
  req.once('close', () => {
    if (!req.complete) gone.abort()
  })
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const target = /^https?:\/\//i.test(url) ? url : `${scheme}://${host ?? 'localhost'}${url}`
  return new Request(target, {
    method,
    headers,
    signal: gone.signal,
    ...(hasBody ? { body: text ?? (Readable.toWeb(req) as ReadableStream<Uint8Array>), duplex: 'half' } : {}),
  })
}

/** Sends a web response over Node. Resolves as `sendReply` does. */
export function sendWebResponse(res: ServerResponse, response: Response): Promise<void> {
  return sendReply(res, fromWebResponse(response))
}

/** A web response as a reply of the engine. */
export function fromWebResponse(response: Response): HttpReply {
  const headers: string[] = []
  for (const [name, value] of response.headers) headers.push(name, value)
  return {
    status: response.status,
    statusText: response.statusText || undefined,
    headers,
    body: response.body ?? undefined,
  }
}

/** A reply of the engine as a web response. */
export function toWebResponse(reply: HttpReply): Response {
  const headers = new Headers()
  for (let i = 0; i + 1 < reply.headers.length; i += 2)
    headers.append(reply.headers[i]!, reply.headers[i + 1]!)
  const { body, status, statusText } = reply
  const init = { status, headers, ...(statusText === undefined ? {} : { statusText }) }
  if (body === undefined) return new Response(null, init)
  if (body instanceof Uint8Array) return new Response(body as Uint8Array<ArrayBuffer>, init)
  return new Response(Readable.toWeb(Readable.from(body)) as ReadableStream<Uint8Array>, init)
}

/** A web handler, such as the admin API, as a listener of `http.createServer`. */
export function nodeListener(
  handler: (request: Request) => Response | Promise<Response>,
): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    void answer(handler, req, res)
  }
}

async function answer(
  handler: (request: Request) => Response | Promise<Response>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  let response: Response
  try {
    response = await handler(toWebRequest(req))
  } catch {
    // A request line that is no URL, or a handler without a net under it.
    if (!res.headersSent) res.writeHead(500, { 'content-type': 'text/plain' })
    res.end('internal error')
    return
  }
  await sendWebResponse(res, response)
}
