import type { Readable, Writable } from 'node:stream'

/*
 * The store interface of undici 7 and 8, restated so that the types of this package need no undici.
 * A test holds it to undici's own.
 */

type FieldValue = string | string[]

/** A request as undici's cache interceptor asks for it. Names of header fields are in lower case. */
export interface UndiciCacheKey {
  origin: string
  method: string
  path: string
  headers?: Record<string, FieldValue>
}

/** A response without its body. Times are wall clock, ms. */
export interface UndiciCacheValue {
  statusCode: number
  statusMessage: string
  headers: Record<string, FieldValue>
  vary?: Record<string, FieldValue | null>
  etag?: string
  cacheControlDirectives?: object
  cachedAt: number
  staleAt: number
  deleteAt: number
}

/** What a store answers to undici's cache interceptor. */
export interface UndiciGetResult extends Omit<UndiciCacheValue, 'cacheControlDirectives'> {
  body?: Readable | Iterable<Buffer>
  cacheControlDirectives: object
}

/** What undici's cache interceptor asks of a store. */
export interface UndiciCacheStore {
  get(key: UndiciCacheKey): Promise<UndiciGetResult | undefined>
  createWriteStream(key: UndiciCacheKey, value: UndiciCacheValue): Writable | undefined
  delete(key: UndiciCacheKey): Promise<void>
}
