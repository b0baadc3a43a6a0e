/** `GET /api/v1/cache/stats`, as the first users of it know it; bytes beside the human strings. */
export interface CacheStatsAnswer {
  readonly status: 'enabled' | 'disabled'
  readonly driver: 'embedded' | 'redis'
  readonly namespace: string
  readonly server: {
    /** `embedded` in process memory. */
    readonly version: string
    readonly uptime_seconds: number
    readonly connected_clients: number
  }
  readonly memory: {
    /** `2.5MB`. */
    readonly used_memory: string
    readonly peak_memory: string
    readonly total_system_memory: string
    readonly used_memory_bytes: number
    readonly peak_memory_bytes: number
    readonly total_system_memory_bytes: number
    readonly maxmemory_bytes: number | null
    readonly eviction_policy: string | null
  }
  readonly stats: {
    readonly total_keys: number
    /** False: more keys than a look of a quarter second sees, so the number is a lower bound. */
    readonly total_keys_exact: boolean
    readonly hits: number
    readonly misses: number
    /** Percent with one decimal. */
    readonly hit_rate: number
    readonly errors: number
    /** Hits and misses are those of this process, of the caller's namespace. */
    readonly scope: 'process'
  }
}

/** `GET /api/v1/cache/keys`. */
export interface CacheKeys {
  readonly pattern: string
  /** Matches seen from the cursor on: all of them unless `truncated`. */
  readonly total_found: number
  readonly limit: number
  readonly keys: readonly string[]
  /** Time was over before the end. */
  readonly truncated: boolean
  /** Where the next page begins; null: this was the last. */
  readonly cursor: string | null
}

/** `GET /api/v1/cache/key/{key}`. */
export interface CacheKey {
  readonly key: string
  /** Secrets redacted, unless `reveal`. */
  readonly value: unknown
  /** Seconds that it stays fresh. */
  readonly ttl: number
  readonly type: string
  readonly redisType: string | null
  readonly valueType: string
  readonly state: 'fresh' | 'stale'
  readonly tags: readonly string[]
  readonly bytes: number
  readonly redacted: boolean
}

/** `DELETE /api/v1/cache/key/{key}`. */
export interface CacheKeyDeleted {
  readonly key: string
  readonly deleted: number
}

/** `DELETE /api/v1/cache/clear`: one of the three counts. */
export interface CacheCleared {
  readonly pattern: string | null
  readonly dryRun: boolean
  readonly would_delete?: number | undefined
  readonly deleted?: number | undefined
  /** The namespace, where everything was cleared. */
  readonly cleared?: string | undefined
}

/** `GET /api/v1/cache/explain/{key}`. */
export interface CacheExplanation {
  readonly key: string
  /** One sentence: what a `get` would answer now, and why. */
  readonly verdict: string
  /** `disabled`: the cache is switched off. */
  readonly state: 'fresh' | 'stale' | 'invalid' | 'absent' | 'disabled'
  /** Why an entry that is there is not served. */
  readonly reason: string | null
  /** The rule that would refuse it now. */
  readonly refusedBy: 'epoch' | 'tag' | 'life' | 'fence' | 'unreadable' | 'off' | null
  readonly parts: {
    readonly namespace: string
    /** Without namespace. */
    readonly key: string
    /** As the store names it. */
    readonly name: string
    readonly redisKey: string | null
    readonly bucket: number
    /** The key was longer than 512 bytes: its SHA-256 stands for it. */
    readonly hashed: boolean
  }
  readonly tier: 'memory' | 'l1' | 'redis' | 'none'
  /** When each was invalidated last: ISO 8601, null where nothing tells. */
  readonly tags: readonly {
    readonly tag: string
    /** Position of its last invalidation in the bucket's history; null: none known. */
    readonly version: string | null
    readonly invalidatedAt: string | null
  }[]
  /** Position in the bucket's history at which the load of the entry began. */
  readonly version: string | null
  readonly ageSeconds: number | null
  /** Seconds that it stays fresh; 0 when it is not. */
  readonly ttl: number
  /** Seconds that it may still be served stale, `ttl` included. */
  readonly staleFor: number
  readonly bytes: number
  readonly etag: string | null
  readonly loadMs: number | null
  /** Who stored it; unknown where this administration did not see it: before it began, or elsewhere. */
  readonly writtenBy: 'this process' | 'unknown' | null
  /** A load runs: here, anywhere. Reloads rest after a failure. */
  readonly loading: boolean
  readonly leased: boolean
  readonly heldOff: boolean
  readonly compressed: boolean
  readonly encrypted: boolean
}

/** One line of `GET /api/v1/cache/namespaces`. Counts of this process since its start. */
export interface CacheNamespace {
  /** `''` is the root. */
  readonly namespace: string
  readonly enabled: boolean
  readonly hits: number
  readonly misses: number
  /** Percent with one decimal; null before the first look-up, and where the cache is off. */
  readonly hitRate: number | null
  readonly l1: number
  readonly l2: number
  readonly staleServed: number
  /** Entries whose life ended and that were never read in this process; and of all that ended, in percent. */
  readonly expiredUnread: number | null
  readonly expiredUnreadShare: number | null
  /** As far as the look came. */
  readonly keys: number
  readonly bytes: number
  /** Keys by what is left of their life; the last `underSeconds` is null: no end. */
  readonly ttlHistogram: readonly { readonly underSeconds: number | null; readonly keys: number }[]
  /** True: time was over before the end, or bytes and lives are those of a sample. */
  readonly sampled: boolean
}

/** `GET /api/v1/cache/tags`. */
export interface CacheTags {
  /** `invalidatedAt` is ISO 8601, of this process's own invalidations. */
  readonly tags: readonly { readonly tag: string; readonly invalidatedAt?: string | undefined }[]
  readonly cursor?: string | undefined
  readonly truncated: boolean
}

/** `DELETE /api/v1/cache/tags/{tag}`. */
export interface CacheTagInvalidated {
  readonly tag: string
  readonly mode: 'hard' | 'soft'
  readonly dryRun: boolean
  /** Entries that carry it, as far as a dry run looked. */
  readonly would_invalidate?: number | undefined
  readonly exact?: boolean | undefined
}
