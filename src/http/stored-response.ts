import type { ValueCodec } from '../cache/options.ts'
import { Fields, isSendable } from './fields.ts'
import { formatHttpDate } from './http-date.ts'
import type { HttpReply, RawHeaders } from './message.ts'
import type { Validators } from './validators.ts'

/** What is known of a stored response beside its bytes. Times in ms of the clock of who stored it. */
export interface StoredMeta {
  readonly status: number
  readonly statusText: string | undefined
  /** End-to-end fields, without Age. */
  readonly headers: RawHeaders
  /** The moment at which its age was 0 (RFC 9111, 4.2.3). */
  readonly bornAt: number
  /** The moment at which it was handed to the store. */
  readonly writtenAt: number
  readonly dateMs: number
  readonly lifetimeMs: number
  readonly staleWhileRevalidateMs: number
  readonly staleIfErrorMs: number
  /** Never used stale, whatever else allows it. */
  readonly mustRevalidate: boolean
  /** Never used without asking. */
  readonly noCache: boolean
  /** The application said that everybody may have it. */
  readonly isPublic: boolean
  /** The entity-tag is ours: the application does not know it. */
  readonly ownEtag: boolean
  readonly varyNames: readonly string[]
  readonly varyValues: readonly (string | null)[]
}

/** A response at rest. Immutable, so that every request shares one. */
export class StoredResponse {
  readonly meta: StoredMeta
  readonly body: Buffer
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** Add it to a time in `meta` to get ours: clocks of two processes differ. */
  readonly #shift: number
  #fields: Fields | undefined
  /** The reply of the last hit: the same for all hits of one second. */
  #hit: { readonly age: number; readonly status: string; readonly reply: HttpReply } | undefined

  /** @param storedAt when it was stored, by the clock of this process; undefined: by this process */
  constructor(meta: StoredMeta, body: Buffer, storedAt?: number) {
    this.meta = meta
    this.#shift = storedAt === undefined ? 0 : storedAt - meta.writtenAt
    this.body = body
    this.etag = this.fields.lines('etag')[0]
    this.lastModified = this.fields.lines('last-modified')[0]
  }

  get fields(): Fields {
    this.#fields ??= new Fields(this.meta.headers)
    return this.#fields
  }

  get validators(): Validators {
    return { etag: this.etag, lastModified: this.lastModified, dateMs: this.meta.dateMs }
  }

  ageSeconds(now: number): number {
    return Math.max(0, Math.floor((now - this.#bornAt) / 1_000))
  }

  /** Negative once it is stale. */
  freshForMs(now: number): number {
    return this.#bornAt + this.meta.lifetimeMs - now
  }

  get #bornAt(): number {
    return this.meta.bornAt + this.#shift
  }

  /** `ttl` of Cache-Status: together with Age it is always the lifetime. */
  ttlSeconds(now: number): number {
    return Math.floor(this.meta.lifetimeMs / 1_000) - this.ageSeconds(now)
  }

  /** The whole of it. `status` is the Cache-Status member without its ttl; '' = none. */
  hit(now: number, status: string): HttpReply {
    const age = this.ageSeconds(now)
    const known = this.#hit
    if (known !== undefined && known.age === age && known.status === status) return known.reply
    const reply: HttpReply = {
      status: this.meta.status,
      statusText: this.meta.statusText,
      headers: this.headersAt(now, status === '' ? '' : `${status}; ttl=${this.ttlSeconds(now)}`),
      body: isBodiless(this.meta.status) ? undefined : this.body,
    }
    this.#hit = { age, status, reply }
    return reply
  }

  /** Its fields with Age, Content-Length and Cache-Status. */
  headersAt(now: number, cacheStatus: string, length: number | 'none' = this.body.length): string[] {
    const headers = [...this.meta.headers, 'Age', String(this.ageSeconds(now))]
    if (length !== 'none' && !isBodiless(this.meta.status)) headers.push('Content-Length', String(length))
    if (cacheStatus !== '') headers.push('Cache-Status', cacheStatus)
    return headers
  }
}

export function isBodiless(status: number): boolean {
  return status === 204 || status === 304 || status < 200
}

const MAGIC = 0x48
const VERSION = 1
const PREFIX_BYTES = 6

/** Stands in a flight for "each caller for himself": never stored. */
export const NOT_SHARED = Symbol('not shared')

/** One byte H, one version, the length of the JSON that follows, then the body as it is. */
export const storedCodec: ValueCodec = {
  immutable: true,
  encode(value) {
    if (!(value instanceof StoredResponse)) return Buffer.alloc(0)
    const meta = Buffer.from(JSON.stringify(value.meta))
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix[0] = MAGIC
    prefix[1] = VERSION
    prefix.writeUInt32BE(meta.length, 2)
    return Buffer.concat([prefix, meta, value.body])
  },
  decode(bytes, storedAt) {
    if (bytes.length === 0) return NOT_SHARED
    if (bytes[0] !== MAGIC || bytes[1] !== VERSION || bytes.length < PREFIX_BYTES) {
      throw new Error('not a stored response of this release')
    }
    const at = PREFIX_BYTES + bytes.readUInt32BE(2)
    if (at > bytes.length) throw new Error('cut short')
    const meta = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, at)) as StoredMeta
    if (!isMeta(meta)) throw new Error('not a stored response')
    return new StoredResponse(meta, bytes.subarray(at), storedAt)
  },
}

/** Bytes that somebody else could have written are looked at before they are believed. */
function isMeta(meta: StoredMeta): boolean {
  return (
    Number.isInteger(meta.status) &&
    meta.status >= 200 &&
    meta.status <= 999 &&
    Array.isArray(meta.headers) &&
    meta.headers.length % 2 === 0 &&
    meta.headers.every((one) => typeof one === 'string') &&
    isSendable(meta.headers) &&
    Number.isFinite(meta.bornAt) &&
    Number.isFinite(meta.writtenAt) &&
    Number.isFinite(meta.lifetimeMs) &&
    Array.isArray(meta.varyNames) &&
    Array.isArray(meta.varyValues)
  )
}

/** Date as it is sent with a response that came without. */
export const dateField = (ms: number): readonly [string, string] => ['Date', formatHttpDate(ms)]
