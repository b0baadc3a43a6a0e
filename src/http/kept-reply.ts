import { isUtf8 } from 'node:buffer'
import type { HttpReply, HttpResponse } from './message.ts'
import { headerLines, readBody } from './whole-body.ts'

/** An answer as its record holds it; null where it was too large. */
export type KeptReply = {
  readonly status: number
  readonly headers: readonly string[]
  /** As text, or as base64 where the bytes are no UTF-8. */
  readonly text?: string
  readonly base64?: string
} | null

/**
 * Not handed out a second time: fields of one connection or one moment (RFC 9110, 7.6.1), and
 * Set-Cookie, for a record is no place for a secret.
 */
const DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'date',
  'age',
  'set-cookie',
  'content-length',
])

/** Reads an answer to its end, unless it is larger than that: for the client, and for the record. */
export async function keepReply(
  response: HttpResponse,
  maxBytes: number,
): Promise<{ reply: HttpReply; kept: KeptReply }> {
  const { status, statusText } = response
  const lines = [...headerLines(response.headers)]
  const { bytes, rest } = await readBody(response.body, maxBytes)
  const reply = { status, statusText, headers: lines.flat(), body: rest ?? bytes }
  if (rest || (bytes && bytes.length > maxBytes)) return { reply, kept: null }
  const headers = lines.filter(([name]) => !DROPPED.has(name.toLowerCase())).flat()
  if (bytes === undefined) return { reply, kept: { status, headers } }
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const content = isUtf8(body) ? { text: body.toString() } : { base64: body.toString('base64') }
  return { reply, kept: { status, headers, ...content } }
}

/** The answer again, marked as a repeated one; undefined where it was too large to be kept. */
export function reviveReply(kept: KeptReply): HttpReply | undefined {
  if (kept === null) return undefined
  const { status, text, base64 } = kept
  const body = text === undefined ? base64 && Buffer.from(base64, 'base64') : Buffer.from(text)
  const headers = [...kept.headers, 'Idempotency-Replayed', 'true']
  if (body) headers.push('Content-Length', String(body.length))
  return { status, statusText: undefined, headers, body: body || undefined }
}
