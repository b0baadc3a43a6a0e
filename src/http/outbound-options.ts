import type { Duration } from '../base/duration.ts'
import type { Cache } from '../cache/cache.ts'
import type { HeaderBag } from '../limit/remote-signals.ts'
import type { OutboundFailure } from './outbound-failure.ts'
import type { OutboundRequest } from './outbound-request.ts'

/** The part of `hf.outbound(name, limits)` that is used. */
export interface OutboundTurns {
  acquire(call: {
    id?: string | undefined
    maxWait?: Duration | undefined
    signal?: AbortSignal | undefined
  }): Promise<void>
  observe(headers: HeaderBag, call: { id?: string | undefined }): Promise<void>
}

/** How long answers live and what happens when the upstream fails. The words are the cache's. */
export interface OutboundPolicy {
  /** How long an answer is fresh. A route needs one, of its own or by its class. */
  readonly ttl?: Duration | undefined
  /** How long after `ttl` it is kept to be served stale. @default 0 (off) */
  readonly stale?: Duration | undefined
  /** Shortens each ttl by a random share up to this, 0 ≤ n < 1. @default 0 */
  readonly jitter?: number | undefined
  /** Reload in the background once this share of `ttl` has passed, 0 < n < 1. @default off */
  readonly refreshAhead?: number | undefined
  /**
   * `soft`: with a stale answer at hand, wait this long for the upstream before serving it; 0 serves
   * it at once (stale-while-revalidate), `false` serves it only when the upstream fails.
   * `hard`: an upstream that takes longer has failed.
   * @default { soft: 0, hard: '30s' }
   */
  readonly timeout?:
    | { readonly soft?: Duration | false | undefined; readonly hard?: Duration | undefined }
    | undefined
  /** Which failures a stale answer may stand in for. @default all of them */
  readonly staleIfError?: boolean | ((failure: OutboundFailure) => boolean) | undefined
  /**
   * Statuses that are failures too, besides 429 and 500 and above, so that a stale answer may stand in:
   * `[401, 403]` where the credential is the application's own, and says nothing about its callers.
   * Of client errors only; not together with `negative`. @default none
   */
  readonly failures?: readonly number[] | undefined
  /** After a failed reload that a stale answer stood in for, do not try again for this long. @default '1s' */
  readonly backoff?: Duration | undefined
  /**
   * How long client errors are kept: for 404 and 410, or by status. 401, 407, 408, 425 and 429 never
   * are, nor is an error whose body says that a quota is used up. @default not at all
   */
  readonly negative?: Duration | Readonly<Record<number, Duration>> | undefined
  /** `'json'`: an answer of another type, or that does not parse, has failed. @default 'any' */
  readonly expect?: 'json' | 'any' | undefined
  /** Ask a stale entry's upstream with its ETag or Last-Modified. @default true */
  readonly revalidate?: boolean | undefined
  /** Encrypt at rest; needs `encryption` keys on the instance. @default false */
  readonly sensitive?: boolean | undefined
  /** Keep answers in process memory too. @default true */
  readonly l1?: boolean | undefined
  /** A larger body is passed through and not stored. In bytes. @default 4 MiB */
  readonly maxBodyBytes?: number | undefined
}

/**
 * For whom an answer is. `'credential'`: for the bearer of exactly this credential; a request that
 * shows none is not cached. `'shared'`: for everybody, whatever the credential. `{ id }` or a function:
 * who is meant, so that a renewed token finds the old answers; `undefined` = do not cache this one.
 */
export type OutboundIdentity = 'credential' | 'shared' | { readonly id: string } | IdentityOf
export type IdentityOf = (request: OutboundRequest) => string | undefined

/** What callers and routes may both say about keys and quota. */
export interface OutboundShared {
  /** For whom an answer is: see the docs. @default 'credential' */
  readonly identity?: OutboundIdentity | undefined
  /** Header fields that do not change the answer, besides those that never do (see the docs). */
  readonly ignoreHeaders?: readonly string[] | undefined
  /** Header fields and parameters that hold a credential, besides the usual ones. */
  readonly credentials?:
    | { readonly headers?: readonly string[] | undefined; readonly params?: readonly string[] | undefined }
    | undefined
  /** `hf.outbound(name, limits)`: each request to the upstream waits for its turn, and its answers are heeded. */
  readonly limiter?: OutboundTurns | undefined
  /** Which account, business or app of the remote a request uses up. @default one for all */
  readonly limiterId?: ((request: OutboundRequest) => string | undefined) | undefined
  /** Pause for all processes after an answer that says "throttled" but not for how long. @default '60s' */
  readonly throttlePause?: Duration | undefined
}

/** Which requests, and how their answers are kept. */
export interface OutboundRoute extends OutboundPolicy, OutboundShared {
  /** For keys, statistics and events: no secrets. Letters, digits and `_ . : / -`. @default from `match` */
  readonly name?: string | undefined
  /** `'GET https://api.example/products/*'`; `*` is any run of characters. The first route that matches counts. */
  readonly match: string
  /** One of `classes`; what the route says itself wins. */
  readonly class?: string | undefined
  /** Parameters that count (all, by default) and that do not. */
  readonly params?:
    | { readonly keep?: readonly string[] | undefined; readonly drop?: readonly string[] | undefined }
    | undefined
  /** To invalidate answers together; by the request where given as a function. */
  readonly tags?: readonly string[] | ((request: OutboundRequest) => readonly string[]) | undefined
  /** Further tags, from the answer. */
  readonly tagsFrom?: ((answer: OutboundAnswer, request: OutboundRequest) => readonly string[]) | undefined
  /** A route that writes: after its success these tags are invalidated. Nothing of it is cached. */
  readonly invalidates?: readonly string[] | ((request: OutboundRequest) => readonly string[]) | undefined
}

/** An answer as `tagsFrom` sees it. */
export interface OutboundAnswer {
  readonly status: number
  readonly headers: Headers
  text(): string
  /** @throws SyntaxError when it is not JSON */
  json(): unknown
}

/** Options of `outbound(fetch, options)`. */
export interface OutboundOptions extends OutboundShared {
  /** Where answers are kept: `hf.cache`, or a namespace of it. */
  readonly cache: Cache
  /** Which requests are kept, and how. The first that matches counts. */
  readonly routes: readonly OutboundRoute[]
  /** Policies by name, for `class`: `{ static: { ttl: '10m', stale: '1h' }, dynamic: { ttl: '30s' } }`. */
  readonly classes?: Readonly<Record<string, OutboundPolicy>> | undefined
  /** Policy of every route, unless its class or the route itself says otherwise. */
  readonly defaults?: OutboundPolicy | undefined
  /** Keys the digests in key names: 16 characters or more, the same in all processes. Needed for `'credential'`. */
  readonly secret?: string | Uint8Array | undefined
  /** First part of every key. @default 'out' */
  readonly prefix?: string | undefined
}
