import { createHash } from 'node:crypto'
import type { Ask } from './ask.ts'
import { Fields, listOf } from './fields.ts'
import { isPlain } from './forwarding.ts'
import { formatHttpDate, parseHttpDate } from './http-date.ts'
import type { Rules, Terms } from './storable.ts'
import { type StoredMeta, StoredResponse } from './stored-response.ts'
import { selectingValues } from './vary.ts'

/** Meant for one connection (RFC 9110, 7.6.1), made anew for each reply, or meant for us alone. */
const NOT_STORED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'age',
  'content-length',
  'holdfast-cache-control',
])

/** What a 304 says about its own framing, not about the representation (RFC 9111, 3.2). */
const NOT_UPDATED = new Set([...NOT_STORED, 'content-encoding', 'content-type', 'content-range', 'etag'])

/** Fields that go to the store: end-to-end ones, with a Date. */
export function storedFields(fields: Fields, terms: Terms): string[] {
  const without = new Set([...listOf(fields.get('connection')?.toLowerCase()), ...terms.withoutFields])
  const kept: string[] = []
  for (let i = 0; i < fields.raw.length; i += 2) {
    const name = fields.raw[i]!.toLowerCase()
    if (!NOT_STORED.has(name) && !without.has(name)) kept.push(fields.raw[i]!, fields.raw[i + 1]!)
  }
  if (!fields.has('date')) kept.push('Date', formatHttpDate(terms.dateMs))
  return kept
}

/** A response at rest. In `safe` one without validator gets an entity-tag made of its bytes. */
export function toStored(
  ask: Ask,
  parts: Pick<StoredMeta, 'status' | 'statusText' | 'headers' | 'ownEtag'>,
  body: Buffer,
  terms: Terms,
  rules: Rules,
  writtenAt: number,
): StoredResponse {
  const { status, headers } = parts
  const needsEtag = !rules.isRfc && status === 200 && !new Fields(headers).has('etag')
  const { withoutFields: _, ...life } = terms
  const meta: StoredMeta = {
    ...life,
    status,
    statusText: isPlain(parts.statusText) ? parts.statusText : undefined,
    headers: needsEtag ? [...headers, 'ETag', entityTag(body)] : headers,
    writtenAt,
    ownEtag: needsEtag || parts.ownEtag,
    varyValues: selectingValues(ask.request.headers, terms.varyNames),
  }
  return new StoredResponse(meta, body)
}

/** Strong: it is made of the very bytes that are sent, encoding included. */
function entityTag(body: Buffer): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}

/**
 * The fields of a stored response after a 304 for it (RFC 9111, 3.2): those that came replace those
 * of the same name, except what describes the bytes, which are still the stored ones.
 */
export function updatedFields(stored: StoredResponse, fresh: Fields): string[] {
  const connection = new Set(listOf(fresh.get('connection')?.toLowerCase()))
  const replaces = (name: string): boolean =>
    fresh.has(name) && !NOT_UPDATED.has(name) && !connection.has(name)
  const out: string[] = []
  const { headers } = stored.meta
  for (let i = 0; i < headers.length; i += 2) {
    if (!replaces(headers[i]!.toLowerCase())) out.push(headers[i]!, headers[i + 1]!)
  }
  for (let i = 0; i < fresh.raw.length; i += 2) {
    if (replaces(fresh.raw[i]!.toLowerCase())) out.push(fresh.raw[i]!, fresh.raw[i + 1]!)
  }
  return out
}

/**
 * Whether a 304 is about this stored response (RFC 9111, 4.3.4): a strong validator in it must match.
 */
export function confirms(stored: StoredResponse, fresh: Fields, now: number): boolean {
  const etag = fresh.lines('etag')[0]
  if (etag !== undefined && stored.etag !== undefined && !stored.meta.ownEtag) {
    const strip = (tag: string): string => tag.replace(/^W\//, '')
    return strip(etag) === strip(stored.etag)
  }
  const modified = parseHttpDate(fresh.get('last-modified'), now)
  const known = parseHttpDate(stored.lastModified, now)
  return modified === undefined || known === undefined || modified === known
}
