import { bodyOf, cancelBody } from './body.ts'
import { type Fields, requestField, toRaw } from './fields.ts'
import type { HttpReply, HttpRequest, HttpResponse } from './message.ts'
import { isBodiless, type StoredResponse } from './stored-response.ts'
import { isNotModified, type Validators } from './validators.ts'

/**
 * The request as the application gets it for the cache: with the validators of what is stored, and
 * without the client's own, so that its answer is whole.
 */
export function forCache(request: HttpRequest, older: StoredResponse | undefined): HttpRequest {
  const has = request.headers
  const asksPlainly = has['if-none-match'] === undefined && has['if-modified-since'] === undefined
  if (asksPlainly && (older === undefined || !canConfirm(older))) return request
  const headers: Record<string, string | readonly string[] | undefined> = { ...has }
  delete headers['if-none-match']
  delete headers['if-modified-since']
  if (older?.etag !== undefined && !older.meta.ownEtag) headers['if-none-match'] = older.etag
  if (older?.lastModified !== undefined) headers['if-modified-since'] = older.lastModified
  // Inherits, so that what an adapter hung on its request is still there.
  return Object.create(request, { headers: { value: headers, enumerable: true } }) as HttpRequest
}

/** Whether the application can say 304 to it. */
export function canConfirm(stored: StoredResponse): boolean {
  return (stored.etag !== undefined && !stored.meta.ownEtag) || stored.lastModified !== undefined
}

/** An answer of the application on its way to the client. */
export function passOn(response: HttpResponse, status: string): HttpReply {
  return replyOf(response, toRaw(response.headers), bodyOf(response.body), status)
}

/**
 * The same for a request whose own condition was taken off before: 304 if it holds.
 * @param validators of the answer, ours included
 */
export function passOnFor(
  request: HttpRequest,
  response: HttpResponse,
  fields: Fields,
  body: HttpReply['body'],
  validators: Validators,
  status: string,
  now: number,
): HttpReply {
  const tags = requestField(request.headers, 'if-none-match')
  const since = requestField(request.headers, 'if-modified-since')
  const canTell = validators.etag !== undefined || validators.lastModified !== undefined
  if (response.status === 200 && canTell && isNotModified(tags, since, validators, now)) {
    cancelBody(body)
    const headers = notModifiedFields(fields)
    if (status !== '') headers.push('Cache-Status', status)
    return { status: 304, statusText: 'Not Modified', headers, body: undefined }
  }
  return replyOf(response, [...fields.raw], body, status)
}

function replyOf(
  { status, statusText }: HttpResponse,
  headers: string[],
  body: HttpReply['body'],
  cacheStatus: string,
): HttpReply {
  let hasLength = false
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const name = headers[i]!.toLowerCase()
    // Meant for this cache alone.
    if (name === 'holdfast-cache-control') headers.splice(i, 2)
    else if (name === 'content-length' || name === 'transfer-encoding') hasLength = true
  }
  if (!hasLength && body instanceof Uint8Array && !isBodiless(status))
    headers.push('Content-Length', String(body.length))
  if (cacheStatus !== '') headers.push('Cache-Status', cacheStatus)
  return { status, statusText: isPlain(statusText) ? statusText : undefined, headers, body }
}

/** What Node would refuse to send is left out: the status itself says enough. */
export function isPlain(statusText: string | undefined): boolean {
  return statusText === undefined || /^[\t\x20-\x7e\x80-\xff]*$/.test(statusText)
}

const IN_304 = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'last-modified',
  'set-cookie',
  'vary',
])

/** RFC 9110, 15.4.5. */
function notModifiedFields(fields: Fields): string[] {
  const headers: string[] = []
  for (let i = 0; i < fields.raw.length; i += 2) {
    if (IN_304.has(fields.raw[i]!.toLowerCase())) headers.push(fields.raw[i]!, fields.raw[i + 1]!)
  }
  return headers
}
