/** `GET /api/v1/overview`, and the event `overview` of the stream: the last minute as this process saw it. */
export interface Overview {
  /** ISO 8601. */
  readonly at: string
  /** `off`: the cache is switched off. */
  readonly status: 'ok' | 'degraded' | 'off'
  /** `since` is ISO 8601. */
  readonly degraded: readonly { readonly what: string; readonly since: string }[]
  readonly cache: {
    readonly enabled: boolean
    /** Percent with one decimal; null before the first look-up of the window. */
    readonly hitRate: number | null
    readonly hits: number
    readonly misses: number
    readonly errors: number
    readonly l1Hits: number
    readonly l2Hits: number
    readonly staleServed: number
    /** Callers who shared a load that was under way instead of starting their own. */
    readonly stampedesPrevented: number
    readonly loads: number
    readonly loadP50Ms: number | null
    readonly loadP99Ms: number | null
    readonly opP50Ms: number | null
    readonly opP99Ms: number | null
  }
  /** Null in process memory, and while Redis does not answer. Bytes, and counts since the server started. */
  readonly redis: {
    readonly usedMemory: number
    readonly maxMemory: number
    readonly evictedKeys: number
    readonly connectedClients: number
    readonly opsPerSecond: number
    readonly pingMs: number | null
  } | null
  readonly limits: { readonly allowed: number; readonly denied: number }
  readonly locks: { readonly held: number; readonly waiting: number; readonly lost: number }
  readonly queues: {
    readonly waiting: number
    readonly active: number
    readonly failed: number
    readonly oldestSeconds: number
  }
  /** Processes that share the namespace, as far as this one knows. */
  readonly processes: number
}

/** `GET /api/v1/history`: bounded points, oldest first. `at` is ms since 1970; null where nothing was seen. */
export interface History {
  readonly stepSeconds: number
  readonly at: readonly number[]
  readonly series: Readonly<Record<HistorySeries, readonly (number | null)[]>>
}

export type HistorySeries =
  | 'hits'
  | 'misses'
  | 'errors'
  | 'staleServed'
  | 'opsP99Ms'
  | 'usedMemory'
  | 'keys'
  | 'denied'
