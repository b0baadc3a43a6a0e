import { MAX_DURATION_MS } from '../base/duration.ts'
import type { LoadContext } from '../cache/options.ts'
import type { Ask } from './ask.ts'
import { bodyOf, cancelBody, toBuffer } from './body.ts'
import { BodySpool } from './body-spool.ts'
import type { CacheStatus, Forwarded } from './cache-status.ts'
import { Fields, isSendable, listOf, requestField, toRaw } from './fields.ts'
import { isVariant, mayStandIn } from './judgement.ts'
import type { HttpReply, HttpRequest, HttpResponse, Next } from './message.ts'
import { respond } from './respond.ts'
import { assess, type Rules, type Terms } from './storable.ts'
import { isBodiless, NOT_SHARED, StoredResponse } from './stored-response.ts'
import { confirms, storedFields, toStored, updatedFields } from './storing.ts'
import { isNotModified } from './validators.ts'

/** What a load needs of its engine. */
export interface Surroundings {
  readonly rules: Rules
  readonly status: CacheStatus
  readonly keepMs: number
  now(): number
  /** One more variant of a URL, unless it has too many. */
  admits(ask: Ask, names: readonly string[], values: readonly (string | null)[]): boolean
  /** The stored response of this slot is not to be used any more. */
  drop(key: string): Promise<void>
  count(what: 'stored' | 'unstored' | 'staleIfError' | 'cut' | 'tooLarge' | 'validated'): void
}

/** The application failed and a stale response stood in for it: no news for those who wait. */
export class StoodIn extends Error {
  constructor(options?: ErrorOptions) {
    super('the application failed, a stale response was used', options)
    this.name = 'StoodIn'
  }
}

const MAX_TAGS = 128
const CUT_OFF = new Set([500, 502, 503, 504])

/**
 * One request's way to the application for the cache: with our validators, its answer streamed to
 * the one client who asked and kept for the others. Only what may be shared is returned.
 */
export class Load {
  /** The reply to the request whose load it is. Never settles if another's load answered. */
  readonly reply: Promise<HttpReply>
  /** The application was called. */
  started = false
  background = false
  /** What the judge found stale for this request. */
  older: StoredResponse | undefined
  fwd: Forwarded = 'uri-miss'
  readonly #ask: Ask
  readonly #key: string
  readonly #next: Next
  readonly #around: Surroundings
  #resolve!: (reply: HttpReply) => void
  #reject!: (error: unknown) => void

  constructor(ask: Ask, key: string, next: Next, around: Surroundings) {
    this.#ask = ask
    this.#key = key
    this.#next = next
    this.#around = around
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.reply.catch(() => {})
  }

  /** The loader for `getOrSet`. */
  async run(ctx: LoadContext<unknown>): Promise<unknown> {
    this.started = true
    const { rules } = this.#around
    const found = ctx.stale?.value
    const older = found instanceof StoredResponse && isVariant(found, this.#ask) ? found : this.older
    let requestedAt = this.#around.now()
    let response: HttpResponse
    let fields: Fields
    try {
      response = await this.#call(older)
      fields = new Fields(toRaw(response.headers))
      if (response.status === 304 && older && !confirms(older, fields, requestedAt)) {
        requestedAt = this.#around.now()
        response = await this.#call(undefined)
        fields = new Fields(toRaw(response.headers))
      }
    } catch (error) {
      return this.#failed(older, error, undefined)
    }
    const receivedAt = this.#around.now()
    if (response.status === 304 && older && canConfirm(older)) {
      return this.#validated(ctx, older, fields, requestedAt, receivedAt)
    }
    if (CUT_OFF.has(response.status) && older) {
      if (mayStandIn(older, this.#ask, rules, receivedAt, false)) {
        cancelBody(bodyOf(response.body))
        return this.#failed(older, undefined, response.status)
      }
    }
    const terms = this.#assess(response.status, fields, requestedAt, receivedAt)
    if (typeof terms === 'string') {
      // It was superseded by an answer that nobody else may have (RFC 9111, 4.3.3).
      if (older && response.status < 500) await this.#around.drop(this.#key)
      this.#around.count('unstored')
      this.#resolve(this.#passOn(response, fields, bodyOf(response.body), terms))
      return ctx.skip(NOT_SHARED)
    }
    return this.#store(ctx, response, fields, terms, receivedAt)
  }

  async #call(older: StoredResponse | undefined): Promise<HttpResponse> {
    return this.#next(forward(this.#ask.request, older), { background: this.background })
  }

  #assess(status: number, fields: Fields, requestedAt: number, receivedAt: number): Terms | string {
    const { route, directives, hasAuthorization, hasIdentity } = this.#ask
    const { rules } = this.#around
    if (!isSendable(fields.raw)) return 'fields'
    const terms = assess({
      status,
      fields,
      requestedAt,
      receivedAt,
      route,
      rules,
      directives,
      hasAuthorization,
      hasIdentity,
    })
    if (typeof terms === 'string') return terms
    const length = lengthOf(fields)
    if (length !== undefined && length > route.maxBodyBytes) return 'too-large'
    return terms
  }

  /** A 304: the stored bytes are right, their fields are brought up to date. */
  async #validated(
    ctx: LoadContext<unknown>,
    older: StoredResponse,
    fresh: Fields,
    requestedAt: number,
    receivedAt: number,
  ): Promise<unknown> {
    this.#around.count('validated')
    const { rules, status } = this.#around
    const merged = updatedFields(older, fresh)
    const age = fresh.lines('age')[0]
    const fields = new Fields(age === undefined ? merged : [...merged, 'Age', age])
    const terms = this.#assess(older.meta.status, fields, requestedAt, receivedAt)
    const isStored = typeof terms !== 'string'
    const { meta, body } = older
    const next = isStored
      ? toStored(
          this.#ask,
          meta.status,
          meta.statusText,
          storedFields(fields, terms),
          body,
          terms,
          rules,
          receivedAt,
          meta.ownEtag,
        )
      : new StoredResponse({ ...meta, headers: merged }, body)
    const line = status.forwarded(this.#key, { fwd: this.fwd, fwdStatus: 304, stored: isStored })
    if (!isStored) await this.#around.drop(this.#key)
    this.#resolve(respond(next, this.#ask, receivedAt, line))
    if (!isStored || !this.#keep(ctx, terms, fields, receivedAt)) return ctx.skip(NOT_SHARED)
    return next
  }

  async #store(
    ctx: LoadContext<unknown>,
    response: HttpResponse,
    fields: Fields,
    terms: Terms,
    receivedAt: number,
  ): Promise<unknown> {
    const { rules } = this.#around
    const toResponse = (body: Buffer): StoredResponse =>
      toStored(
        this.#ask,
        response.status,
        response.statusText,
        storedFields(fields, terms),
        body,
        terms,
        rules,
        receivedAt,
      )
    const body = bodyOf(response.body)
    const expected = isBodiless(response.status) ? undefined : lengthOf(fields)
    if (body === undefined || body instanceof Uint8Array) {
      const bytes = body === undefined ? Buffer.alloc(0) : toBuffer(body)
      const refusal = this.#refuses(bytes.length, expected) ?? (this.#admit(terms) ? undefined : 'variants')
      if (refusal === undefined && this.#keep(ctx, terms, fields, receivedAt)) {
        this.#around.count('stored')
        const stored = toResponse(bytes)
        this.#resolve(this.#passOn(response, fields, body, undefined, stored))
        return stored
      }
      this.#around.count('unstored')
      this.#resolve(this.#passOn(response, fields, body, refusal ?? 'tags'))
      return ctx.skip(NOT_SHARED)
    }
    if (!this.#admit(terms) || !this.#keep(ctx, terms, fields, receivedAt)) {
      this.#around.count('unstored')
      this.#resolve(this.#passOn(response, fields, body, 'variants'))
      return ctx.skip(NOT_SHARED)
    }
    const spool = new BodySpool(body, this.#ask.route.maxBodyBytes, expected)
    ctx.signal.addEventListener('abort', () => spool.forget(), { once: true })
    if (this.background) spool.leave()
    this.#resolve(this.#passOn(response, fields, spool.reader(), undefined))
    let whole: Buffer | undefined
    try {
      whole = await spool.whole
    } catch {
      this.#around.count('cut')
      return ctx.skip(NOT_SHARED)
    }
    if (whole === undefined) {
      this.#around.count('tooLarge')
      return ctx.skip(NOT_SHARED)
    }
    this.#around.count('stored')
    return toResponse(whole)
  }

  #refuses(length: number, expected: number | undefined): string | undefined {
    if (expected !== undefined && expected !== length) return 'length'
    return length > this.#ask.route.maxBodyBytes ? 'too-large' : undefined
  }

  #admit(terms: Terms): boolean {
    if (terms.varyNames.length === 0) return true
    const values = terms.varyNames.map((name) => requestField(this.#ask.request.headers, name) ?? null)
    return this.#around.admits(this.#ask, terms.varyNames, values)
  }

  /** Gives the entry its life and its tags. False: a tag is no name, so nobody could purge it. */
  #keep(ctx: LoadContext<unknown>, terms: Terms, fields: Fields, receivedAt: number): boolean {
    const freshMs = terms.bornAt + terms.lifetimeMs - receivedAt
    const { staleWhileRevalidateMs, staleIfErrorMs } = terms
    const canAsk = fields.has('etag') || fields.has('last-modified') || this.#around.rules.isRfc
    const staleMs = Math.max(staleWhileRevalidateMs, staleIfErrorMs, canAsk ? this.#around.keepMs : 0)
    // A life of 0 would not be stored at all; the judge looks at the terms, not at this.
    ctx.ttl(clamp(freshMs, 1), clamp(staleMs, 0))
    const tags = [
      ...this.#ask.route.tags(this.#ask.request),
      ...(fields.get('surrogate-key') ?? '').split(/[ ,]+/),
      ...listOf(fields.get('cache-tag')),
    ].filter((tag) => tag !== '')
    if (tags.length > MAX_TAGS) return false
    try {
      ctx.tag(...tags)
      return true
    } catch {
      return false
    }
  }

  #passOn(
    response: HttpResponse,
    fields: Fields,
    body: HttpReply['body'],
    refusal: string | undefined,
    stored?: StoredResponse,
  ): HttpReply {
    const status = this.#around.status.forwarded(this.#key, {
      fwd: this.fwd,
      fwdStatus: response.status,
      stored: refusal === undefined,
      detail: refusal,
    })
    const headers = [...fields.raw]
    const now = this.#around.now()
    const { headers: asked } = this.#ask.request
    if (response.status === 200 && (asked['if-none-match'] ?? asked['if-modified-since']) !== undefined) {
      const validators = stored?.validators ?? {
        etag: fields.lines('etag')[0],
        lastModified: fields.lines('last-modified')[0],
        dateMs: now,
      }
      const tags = requestField(asked, 'if-none-match')
      const since = requestField(asked, 'if-modified-since')
      const canTell = validators.etag !== undefined || validators.lastModified !== undefined
      if (canTell && isNotModified(tags, since, validators, now)) {
        cancelBody(body)
        return {
          status: 304,
          statusText: 'Not Modified',
          headers: notModifiedFields(fields, status),
          body: undefined,
        }
      }
    }
    if (status !== '') headers.push('Cache-Status', status)
    return { status: response.status, statusText: response.statusText, headers: withoutOurs(headers), body }
  }

  /** The application failed: a stale response where there is one and it may be used, else the failure. */
  #failed(older: StoredResponse | undefined, error: unknown, status: number | undefined): never {
    const now = this.#around.now()
    const { rules } = this.#around
    if (older && mayStandIn(older, this.#ask, rules, now, status === undefined)) {
      this.#around.count('staleIfError')
      this.#resolve(standIn(older, this.#ask, this.#key, now, this.#around.status, this.fwd, status))
      throw new StoodIn({ cause: error })
    }
    this.#reject(error)
    throw error
  }
}

/** A stale response in place of a failure. */
export function standIn(
  stored: StoredResponse,
  ask: Ask,
  key: string,
  now: number,
  status: CacheStatus,
  fwd: Forwarded,
  fwdStatus: number | undefined,
): HttpReply {
  return respond(stored, ask, now, status.forwarded(key, { fwd, fwdStatus, detail: 'stale-if-error' }))
}

/** The request as the application gets it: with the validators of what is stored, or as it came. */
function forward(request: HttpRequest, older: StoredResponse | undefined): HttpRequest {
  const has = request.headers
  const isPlain =
    has['if-none-match'] === undefined &&
    has['if-modified-since'] === undefined &&
    (older === undefined || (has.range === undefined && !canConfirm(older)))
  if (isPlain) return request
  const headers: Record<string, string | readonly string[] | undefined> = { ...has }
  delete headers['if-none-match']
  delete headers['if-modified-since']
  if (older) {
    delete headers.range
    delete headers['if-range']
    if (older.etag !== undefined && !older.meta.ownEtag) headers['if-none-match'] = older.etag
    if (older.lastModified !== undefined) headers['if-modified-since'] = older.lastModified
  }
  return withHeaders(request, headers)
}

function withHeaders(request: HttpRequest, headers: HttpRequest['headers']): HttpRequest {
  // Inherits, so that what an adapter hung on its request is still there.
  return Object.create(request, { headers: { value: headers, enumerable: true } }) as HttpRequest
}

function canConfirm(stored: StoredResponse): boolean {
  return (stored.etag !== undefined && !stored.meta.ownEtag) || stored.lastModified !== undefined
}

/** A field meant for this cache alone stays here. */
export function withoutOurs(headers: string[]): string[] {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i]!.toLowerCase() === 'holdfast-cache-control') headers.splice(i, 2)
  }
  return headers
}

const IN_304 = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
  'last-modified',
])

function notModifiedFields(fields: Fields, status: string): string[] {
  const headers: string[] = []
  for (let i = 0; i < fields.raw.length; i += 2) {
    const name = fields.raw[i]!.toLowerCase()
    if (IN_304.has(name) || name === 'set-cookie') headers.push(fields.raw[i]!, fields.raw[i + 1]!)
  }
  if (status !== '') headers.push('Cache-Status', status)
  return headers
}

function lengthOf(fields: Fields): number | undefined {
  const lines = fields.lines('content-length')
  const text = lines[0]
  if (text === undefined) return undefined
  // Two lengths that differ are no length: then nothing about the body can be believed.
  return /^\d+$/.test(text) && lines.every((one) => one === text) ? Number(text) : Number.NaN
}

function clamp(ms: number, least: number): number {
  return Math.min(MAX_DURATION_MS, Math.max(least, Math.ceil(ms)))
}
