import { STATUS_CODES } from 'node:http'
import type { HttpReply } from './message.ts'

/** A whole answer, for any framework. */
export interface WholeReply extends HttpReply {
  readonly body: Uint8Array | undefined
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
export function problemReply({ status, type, title, detail, retryAfter }: Problem): WholeReply {
  const headers: Record<string, string> = { 'Content-Type': 'application/problem+json' }
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter)
  const body = { type: type ?? 'about:blank', title: title ?? STATUS_CODES[status], status, detail }
  return jsonReply(status, body, headers)
}

/** JSON that nobody may cache: what these parts say is about one request. */
export function jsonReply(
  status: number,
  value: unknown,
  fields: Readonly<Record<string, string>> = {},
): WholeReply {
  const body = Buffer.from(JSON.stringify(value))
  const all = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...fields,
    'Content-Length': String(body.length),
  }
  return { status, statusText: undefined, headers: Object.entries(all).flat(), body }
}
