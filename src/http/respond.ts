import type { Ask } from './ask.ts'
import { ifRangeHolds, parseRange } from './byte-range.ts'
import { requestField } from './fields.ts'
import type { HttpReply } from './message.ts'
import type { StoredResponse } from './stored-response.ts'
import { isNotModified } from './validators.ts'

/** Fields of the representation that a 304 leaves out (RFC 9110, 15.4.5). */
const NOT_IN_304 = new Set(['content-type', 'content-encoding', 'content-language', 'content-range'])

/** The reply to one request out of a stored response: whole, 304, 206, 416, or without its body. */
export function respond(stored: StoredResponse, ask: Ask, now: number, status: string): HttpReply {
  const { headers } = ask.request
  const { meta } = stored
  if (meta.status === 200) {
    if (headers['if-none-match'] !== undefined || headers['if-modified-since'] !== undefined) {
      const tags = requestField(headers, 'if-none-match')
      const since = requestField(headers, 'if-modified-since')
      if (isNotModified(tags, since, stored.validators, now)) return notModified(stored, now, status)
    }
    if (headers.range !== undefined && !ask.isHead) {
      const part = partOf(stored, ask, now, status)
      if (part !== undefined) return part
    }
  }
  const whole = stored.hit(now, status)
  return ask.isHead ? { ...whole, body: undefined } : whole
}

function notModified(stored: StoredResponse, now: number, status: string): HttpReply {
  const all = stored.headersAt(now, withTtl(stored, now, status), 'none')
  const headers: string[] = []
  for (let i = 0; i < all.length; i += 2) {
    if (!NOT_IN_304.has(all[i]!.toLowerCase())) headers.push(all[i]!, all[i + 1]!)
  }
  return { status: 304, statusText: 'Not Modified', headers, body: undefined }
}

/** Undefined: Range does not apply, the whole is to be sent. */
function partOf(stored: StoredResponse, ask: Ask, now: number, status: string): HttpReply | undefined {
  const { headers } = ask.request
  const { body } = stored
  if (!ifRangeHolds(requestField(headers, 'if-range'), stored.etag, stored.lastModified)) return undefined
  const range = parseRange(requestField(headers, 'range') ?? '', body.length)
  if (range === undefined) return undefined
  const line = withTtl(stored, now, status)
  if (range === 'unsatisfiable') {
    const fields = ['Content-Range', `bytes */${body.length}`, 'Content-Length', '0']
    if (line !== '') fields.push('Cache-Status', line)
    return { status: 416, statusText: 'Range Not Satisfiable', headers: fields, body: undefined }
  }
  const { first, last } = range
  const part = stored.headersAt(now, line, last - first + 1)
  part.push('Content-Range', `bytes ${first}-${last}/${body.length}`)
  return {
    status: 206,
    statusText: 'Partial Content',
    headers: part,
    body: body.subarray(first, last + 1),
  }
}

function withTtl(stored: StoredResponse, now: number, status: string): string {
  return status === '' ? '' : `${status}; ttl=${stored.ttlSeconds(now)}`
}
