import type { Duration } from '../base/duration.ts'
import type { Cache } from '../cache/cache.ts'
import type { HeaderRecord, HttpRequest } from './message.ts'

/**
 * `safe`: stricter than the standard wherever a slip of the application would show one person's
 * answer to another. `rfc`: RFC 9111 as written, as a shared cache.
 */
export type HttpProfile = 'safe' | 'rfc'

/** Words for one route or one call; the same words are defaults in `createHttpCache`. */
export interface RouteOptions {
  /**
   * Life of responses that say nothing about their own: of status 200, 203, 204, 300, 301 and 308.
   * @default none: such a response is not fresh
   */
  ttl?: Duration | undefined
  /** The same for 404 and 410. @default none */
  negativeTtl?: Duration | undefined
  /** `stale-while-revalidate` of responses that have none. @default 0 */
  stale?: Duration | undefined
  /** `stale-if-error` of responses that have none. @default 0 */
  staleIfError?: Duration | undefined
  /** Cache tags beside those of Surrogate-Key and Cache-Tag. */
  tags?: readonly string[] | ((request: HttpRequest) => readonly string[]) | undefined
  /** Cache tags that a successful unsafe request to this route invalidates. */
  invalidates?: readonly string[] | ((request: HttpRequest) => readonly string[]) | undefined
  /**
   * Who asks: user, tenant, role. Answers are stored and found per identity, and requests with
   * Cookie or Authorization may then use the cache. `undefined` = this request bypasses it.
   */
  identity?: ((request: HttpRequest) => string | undefined) | undefined
  /** Which part of the query tells responses apart. @default 'exact' */
  query?: 'exact' | 'sorted' | { only: readonly string[] } | { ignore: readonly string[] } | undefined
  /** Request fields that the response depends on although it has no Vary for them. */
  vary?: readonly string[] | undefined
  /** Whether this client may force revalidation and the like by Cache-Control. @default safe: no, rfc: yes */
  trusted?: boolean | ((request: HttpRequest) => boolean) | undefined
  /** Largest body that is stored, in bytes; larger ones pass through. @default 2 MiB */
  maxBodyBytes?: number | undefined
  /** Store without explicit life, by a tenth of the age of Last-Modified. @default safe: false, rfc: true */
  heuristic?: boolean | undefined
  /** Whether `next` may be called after the reply was sent, to refresh. @default true */
  background?: boolean | undefined
  /** Encrypt responses at rest; needs `encryption` keys on the instance. @default false */
  sensitive?: boolean | undefined
  /** False: pass through untouched. @default true */
  enabled?: boolean | undefined
}

/** Options of `createHttpCache`: those of every route, and those of the cache itself. */
export interface HttpCacheOptions extends RouteOptions {
  /** Where responses live. Its tags are the surrogate keys: `cache.invalidateTag` clears both. */
  cache: Cache
  /**
   * `safe` is stricter than the standard where a slip would show one person another's answer; `rfc` is
   * by the letter. @default 'safe'
   */
  profile?: HttpProfile | undefined
  /** Name in Cache-Status (RFC 9211), or false for no such field. @default 'holdfast' */
  cacheStatus?: string | false | undefined
  /** Send the key in Cache-Status too. @default false */
  showKey?: boolean | undefined
  /** How long a response that can be confirmed is kept after its life. @default '1h' */
  keep?: Duration | undefined
  /** How long a load may take before its followers go on alone. @default '30s' */
  timeout?: Duration | undefined
  /** Variants of one URL by Vary. @default 64 */
  maxVariants?: number | undefined
  /** `https://shop.example`: lets `purge('/path')` do without a host. */
  origin?: string | undefined
  /** Vary fields that are refused in profile `safe` are let in when named here. */
  allowVary?: readonly string[] | undefined
}

/** Why a request was or would be answered as it was. */
export interface HttpExplanation {
  readonly url: string
  readonly key: string | undefined
  readonly outcome: 'hit' | 'stale' | 'miss' | 'bypass'
  /** The `fwd` reason of Cache-Status, or what kept the cache out. */
  readonly reason: string
  readonly vary: readonly string[]
  readonly tags: readonly string[]
  readonly ageSeconds: number | undefined
  readonly freshForSeconds: number | undefined
  readonly status: number | undefined
  readonly headers: HeaderRecord | undefined
}
