/**
 * The shapes of Next.js 15 and 16 as its documentation has them (`cacheHandler` and `cacheHandlers` of
 * next.config): written down here, so that Next.js is no dependency.
 */

/** What `cacheHandler` stores: pages, route handlers, fetches. Its kinds are Next.js's own matter. */
export interface IncrementalValue {
  readonly kind: string
  readonly headers?: Readonly<Record<string, unknown>> | undefined
  readonly data?: { readonly tags?: readonly string[] | undefined } | undefined
  readonly tags?: readonly string[] | undefined
}

/** What Next.js keeps under a key. */
export interface IncrementalEntry {
  /** ms since 1970; -1: serve it and regenerate it in the background. */
  readonly lastModified: number
  readonly value: IncrementalValue | null
}

/** What Next.js says when it asks for an entry. */
export interface IncrementalGetContext {
  readonly tags?: readonly string[] | undefined
  /** Tags of the page that asks. */
  readonly softTags?: readonly string[] | undefined
}

/** What Next.js says when it stores an entry. */
export interface IncrementalSetContext {
  readonly tags?: readonly string[] | undefined
  /** Seconds. */
  readonly cacheControl?: { readonly expire?: number | undefined } | undefined
}

/** What `cacheHandler` in next.config has to export: a class of these. */
export interface IncrementalCacheHandler {
  get(key: string, context?: IncrementalGetContext): Promise<IncrementalEntry | null>
  set(key: string, value: IncrementalValue | null, context?: IncrementalSetContext): Promise<void>
  revalidateTag(
    tags: string | readonly string[],
    durations?: { readonly expire?: number | undefined },
  ): Promise<void>
  resetRequestCache(): void
}

/** An entry of `'use cache'`. */
export interface UseCacheEntry {
  value: ReadableStream<Uint8Array>
  tags: string[]
  /** For the client, seconds. */
  stale: number
  /** When it was begun, ms since 1970. */
  timestamp: number
  /** Seconds. */
  expire: number
  /** Seconds; -1: serve it and regenerate it in the background. */
  revalidate: number
}

/** What a module of `cacheHandlers` in next.config has to export. */
export interface UseCacheHandler {
  get(cacheKey: string, softTags: string[]): Promise<UseCacheEntry | undefined>
  set(cacheKey: string, pendingEntry: Promise<UseCacheEntry>): Promise<void>
  refreshTags(): Promise<void>
  getExpiration(tags: string[]): Promise<number>
  updateTags(tags: string[], durations?: { expire?: number }): Promise<void>
}

/** How entries of Next.js are kept in the cache. */
export interface NextCacheOptions {
  /** Where the entries stand in the cache, apart from the application's own. @default 'next' */
  readonly area?: string | undefined
  /** Seconds that an entry is kept for which Next.js says no end. @default 30 days */
  readonly keepSeconds?: number | undefined
  /** Larger values are not stored. @default 8 MiB */
  readonly maxBytes?: number | undefined
}
