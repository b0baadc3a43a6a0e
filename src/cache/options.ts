import type { Duration } from '../base/duration.ts'
import type { StandardSchema } from '../base/schema.ts'
import type { Mark, Wait } from './store.ts'

/** The vocabulary of the cache. Each word means the same in defaults, namespaces and calls. */
export interface CacheOptions {
  /** How long a value is fresh. @default '5m' */
  ttl?: Duration | undefined
  /**
   * How long after `ttl` a value is kept to be served stale: while a reload runs, and when it
   * fails. Never after a hard invalidation. @default 0 (off)
   */
  stale?: Duration | undefined
  /** Names under which the entry can be invalidated together with others. */
  tags?: readonly string[] | undefined
  /**
   * `soft`: with a stale value at hand, wait this long for the reload before serving it. 0 serves
   * it at once (stale-while-revalidate); `false` waits for the reload and serves stale only on error.
   * `hard`: a caller waits no longer than this; the load goes on and is stored.
   * @default { soft: 0, hard: '30s' }
   */
  timeout?: { soft?: Duration | false | undefined; hard?: Duration | undefined } | undefined
  /** With a stale value at hand, serve it when the loader fails (with this error). @default true */
  staleIfError?: boolean | ((error: unknown) => boolean) | undefined
  /** After a failed reload answered from stale, do not try again for this long. @default '1s' */
  backoff?: Duration | undefined
  /** Reload in the background once this share of `ttl` has passed, 0 < n < 1. @default off */
  refreshAhead?: number | undefined
  /** Probabilistic early refresh (XFetch, Vattani et al., VLDB 2015): beta, usually 1. @default off */
  xfetch?: number | undefined
  /** Shortens each ttl by a random share up to this, 0 ≤ n < 1, so that entries do not expire together. @default 0 */
  jitter?: number | undefined
  /** ttl of `undefined` and `null` results. @default the ttl */
  negativeTtl?: Duration | undefined
  /** Checked on load and on each first read; a mismatch on read is a miss. Any Standard Schema. */
  schema?: StandardSchema | undefined
  /** Upgrades a stored value that does not match `schema`; return undefined to give it up. */
  migrate?: ((value: unknown) => unknown) | undefined
  /** How values are written: JSON, bytes of v8 or msgpack, or a form of your own. @default 'json' */
  codec?: 'json' | 'v8' | 'msgpack' | ValueCodec | undefined
  /** Allow BigInt in JSON values (stored exactly, read back as BigInt). @default false */
  bigint?: boolean | undefined
  /** Compress bodies from this many bytes on; `false` = never. @default by measurement, see codec.ts */
  compress?: number | false | undefined
  /** Encrypt at rest (AES-256-GCM); needs `encryption` keys on the instance. @default false */
  sensitive?: boolean | undefined
  /** Refuse encoded values larger than this. @default 8 MiB */
  maxValueBytes?: number | undefined
  /** Keep this entry in process memory too. @default true */
  l1?: boolean | undefined
  /** Gives up waiting; a load that other callers share goes on. */
  signal?: AbortSignal | undefined
}

/** A form of one's own for values, e.g. for bytes with a header. The same for every call of a key. */
export interface ValueCodec {
  /** Bytes of the value. What it throws reaches who stores. */
  encode(value: unknown): Buffer
  /**
   * Throws when the bytes are none of its own: that is one miss.
   * @param storedAt when they were stored, in ms of the reading store's clock; undefined: just now, here
   */
  decode(bytes: Buffer, storedAt?: number): unknown
  /** Decoded values cannot be changed by who gets them, so that all callers share one. @default false */
  readonly immutable?: boolean | undefined
}

/** The words of a `set`: those of every call, whom it waits for, and the mark it was made under. */
export interface WriteOptions extends CacheOptions {
  /** Whom it waits for, as for an invalidation. @default 'all' */
  wait?: Wait | undefined
  /** See `Cache.mark`. */
  mark?: Mark | undefined
}

/** Whom an invalidation waits for. */
export interface InvalidateOptions {
  /**
   * `all`: resolves when every live process dropped its copy (or its trust in it lapsed, at most
   * one second). `commit`: resolves when Redis committed; other processes follow within 1 s.
   * @default 'all'
   */
  wait?: Wait | undefined
}

/** What a loader gets. */
export interface LoadContext<T> {
  readonly key: string
  /** The value that the load replaces, where one is at hand: for conditional requests. */
  readonly stale: { readonly value: T; readonly etag: string | undefined; readonly ageMs: number } | undefined
  /** Aborts when nobody waits for the load any more and at the hard end of its life. */
  readonly signal: AbortSignal
  /** Sets the ttl from what was loaded; the optional second duration sets `stale`. */
  ttl(ttl: Duration, stale?: Duration): void
  /** Adds tags from what was loaded. */
  tag(...tags: string[]): void
  /** Remembers the source's validator with the value. */
  etag(etag: string | undefined): void
  /** `return ctx.keep()`: the stale value is still right; extend its life. Throws without one. */
  keep(): T
  /** `return ctx.skip(value)`: hand the value to the callers but do not store it. */
  skip(value: T): T
  /** `return ctx.fail(error)`: same as throwing; reads well in expressions. */
  fail(error: unknown): never
}

/** Gets the value that was missing. What it throws reaches the callers as it is. */
export type Loader<T> = (context: LoadContext<T>) => T | Promise<T>

/** Bounds of the copies in process memory. */
export interface L1Options {
  /** Most copies. @default 10_000 */
  maxEntries?: number | undefined
  /** Bytes of encoded values plus names. @default 64 MiB */
  maxBytes?: number | undefined
  /**
   * How two callers are kept from changing each other's value. `frozen`: all share one deep-frozen
   * object (fastest). `copy`: each gets its own. @default 'frozen'
   */
  share?: 'frozen' | 'copy' | undefined
}
