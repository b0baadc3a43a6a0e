/** What rolling windows say: the shapes that the admin API sends and the dashboard draws. */

/** Everything at a glance, over the last minute. */
export interface Overview {
  /** ISO 8601. */
  readonly at: string
  /** How far back the counts below reach, in seconds. */
  readonly windowSeconds: number
  /** `off`: the cache is switched off and everything else answers. */
  readonly status: 'ok' | 'degraded' | 'off'
  readonly degraded: readonly DegradedPart[]
  readonly cache: CacheWindow
  /** The servers of the cache role, summed up; null without Redis or while it does not answer. */
  readonly redis: RedisWindow | null
  readonly limits: { readonly allowed: number; readonly denied: number }
  readonly locks: {
    /** Held and waited for now. */
    readonly held: number
    readonly waiting: number
    /** Leases that ended before their holder gave them back, in the window. */
    readonly lost: number
  }
  readonly queues: QueuesWindow
  /** Namespaces with traffic in the window, busiest first, 50 at most. */
  readonly namespaces: readonly NamespaceWindow[]
  /** Processes whose numbers are in this: 1 unless they are shared; who only watches is none of them. */
  readonly processes: number
}

/** Something that is less than it should be, and since when. */
export interface DegradedPart {
  /** `redis 127.0.0.1:6379`. Never a credential. */
  readonly what: string
  /** ISO 8601. */
  readonly since: string
}

/** The cache in a window of time. */
export interface CacheWindow {
  readonly enabled: boolean
  /** Hits of hits and misses, in percent with one decimal; null when nothing was asked. Errors are neither. */
  readonly hitRate: number | null
  readonly hits: number
  readonly misses: number
  /** Look-ups for which the store could not be asked. */
  readonly errors: number
  readonly l1Hits: number
  readonly l2Hits: number
  readonly staleServed: number
  /** Callers that shared a load which another had started. */
  readonly stampedesPrevented: number
  readonly loads: number
  /** Time of loaders: what an uncached answer costs. Null when none ran. */
  readonly loadP50Ms: number | null
  readonly loadP99Ms: number | null
  /** Time of look-ups that were answered from the cache. Null when there were none. */
  readonly opP50Ms: number | null
  readonly opP99Ms: number | null
}

/** The servers, as INFO tells. */
export interface RedisWindow {
  readonly usedMemory: number
  /** 0: no limit. */
  readonly maxMemory: number
  readonly evictedKeys: number
  readonly connectedClients: number
  readonly opsPerSecond: number
  readonly pingMs: number | null
  /** Entries of all databases, other applications' included. */
  readonly keys: number
}

/** All queues in a window of time. */
export interface QueuesWindow {
  /** Messages that are not settled: waiting, or in a handler. */
  readonly waiting: number
  /** Of those, in a handler of the processes that are counted here. */
  readonly active: number
  /** Dead letters. */
  readonly failed: number
  /** Age of the oldest message that is not settled. */
  readonly oldestSeconds: number
}

/** One namespace of the cache in a window of time. */
export interface NamespaceWindow {
  /** `default`: outside any namespace. */
  readonly namespace: string
  readonly hits: number
  readonly misses: number
  readonly errors: number
  readonly hitRate: number | null
  readonly staleServed: number
}

/** At most 720 points of equal length, oldest first. */
export interface History {
  readonly stepSeconds: number
  /** Wall clock of the end of each step, ms since 1970. */
  readonly at: readonly number[]
  readonly series: Readonly<Record<HistorySeries, readonly (number | null)[]>>
}

/** Counts per step; `…Ms`, `usedMemory` and `keys` as they stood, null where nobody knew. */
export type HistorySeries =
  | 'hits'
  | 'misses'
  | 'errors'
  | 'staleServed'
  | 'loads'
  | 'opsP99Ms'
  | 'loadsP99Ms'
  | 'usedMemory'
  | 'keys'
  | 'allowed'
  | 'denied'
