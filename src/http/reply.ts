import { STATUS_CODES } from 'node:http'

/** A whole answer, for any framework. */
export interface Reply {
  readonly status: number
  /** One pair per line; names as they were given. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** RFC 9457 problem details. Never with an identity, a key or a value of the request in it. */
export interface Problem {
  readonly status: number
  /** Absolute URI that names the kind of problem. @default none: what the status says */
  readonly type?: string | undefined
  readonly title?: string | undefined
  readonly detail: string
  /** Seconds for `Retry-After`. */
  readonly retryAfter?: number | undefined
}

/** An `application/problem+json` answer, never to be cached. */
export function problemReply({ status, type, title, detail, retryAfter }: Problem): Reply {
  const headers: [string, string][] = [
    ['Content-Type', 'application/problem+json'],
    ['Cache-Control', 'no-store'],
  ]
  if (retryAfter !== undefined) headers.push(['Retry-After', String(retryAfter)])
  const known = { type: type ?? 'about:blank', title: title ?? STATUS_CODES[status], status, detail }
  return { status, headers, body: Buffer.from(JSON.stringify(known)) }
}

export function jsonReply(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const lines: [string, string][] = Object.entries(headers)
  if (!('Content-Type' in headers)) lines.push(['Content-Type', 'application/json'])
  return { status, headers: lines, body: Buffer.from(JSON.stringify(body)) }
}

/** The same for the web. */
export function webResponse(reply: Reply): Response {
  const headers = new Headers()
  for (const [name, value] of reply.headers) headers.append(name, value)
  const bodiless = reply.status === 204 || reply.status === 304 || reply.status === 205
  return new Response(bodiless ? null : new Uint8Array(reply.body), { status: reply.status, headers })
}
