import { eventChannel } from '../base/events.ts'

/** Counters of one namespace. Every look-up ends as exactly one of hit, miss or error. */
export class Counters {
  hitsL1 = 0
  hitsL2 = 0
  hitsStale = 0
  misses = 0
  errors = 0
  loads = 0
  loadErrors = 0
  joined = 0
  sets = 0
  deletes = 0
  invalidations = 0
  bypassed = 0
  corrupt = 0
  staleServed = 0
  refreshes = 0
  refreshesSkipped = 0

  add(other: Counters): void {
    for (const name of Object.keys(this) as (keyof Counters)[]) {
      const mine = this[name]
      const its = other[name]
      if (typeof mine === 'number' && typeof its === 'number')
        (this as Record<string, unknown>)[name] = mine + its
    }
  }
}

/** One reading of the counters of a namespace and all below it. */
export interface CacheStats {
  /** Look-ups answered: from process memory, from Redis, and with a stale value from either. */
  readonly hits: { readonly l1: number; readonly l2: number; readonly stale: number }
  readonly misses: number
  /** Look-ups for which the store could not be asked. */
  readonly errors: number
  /** Hits of hits + misses, in percent with one decimal; 0 before the first look-up. */
  readonly hitRate: number
  readonly loads: number
  readonly loadErrors: number
  /** Callers that shared a load which another caller had started. */
  readonly joined: number
  readonly sets: number
  readonly deletes: number
  readonly invalidations: number
  /** Values that could not be stored: store down, memory full, or larger than `maxValueBytes`. */
  readonly bypassed: number
  /** Entries whose body could not be read; each counted as one miss. See `store.corrupt` for headers. */
  readonly corrupt: number
  /** Stale values handed out, for whatever reason. */
  readonly staleServed: number
  readonly refreshes: number
  /** Background refreshes not started, because too many ran. */
  readonly refreshesSkipped: number
}

export function snapshot(c: Counters): CacheStats {
  const hits = c.hitsL1 + c.hitsL2 + c.hitsStale
  const asked = hits + c.misses
  return {
    hits: { l1: c.hitsL1, l2: c.hitsL2, stale: c.hitsStale },
    misses: c.misses,
    errors: c.errors,
    hitRate: asked === 0 ? 0 : Math.round((hits / asked) * 1_000) / 10,
    loads: c.loads,
    loadErrors: c.loadErrors,
    joined: c.joined,
    sets: c.sets,
    deletes: c.deletes,
    invalidations: c.invalidations,
    bypassed: c.bypassed,
    corrupt: c.corrupt,
    staleServed: c.staleServed,
    refreshes: c.refreshes,
    refreshesSkipped: c.refreshesSkipped,
  }
}

export type Outcome = 'l1' | 'l2' | 'stale' | 'miss' | 'error'

/** `holdfast:cache:lookup`: one per look-up, once its outcome is certain. `ms` includes the load. */
export interface LookupEvent {
  readonly namespace: string
  readonly key: string
  readonly outcome: Outcome
  readonly ms: number
}
export const lookups = eventChannel<LookupEvent>('holdfast:cache:lookup')

/** `holdfast:cache:load`: one per loader that settled. */
export interface LoadEvent {
  readonly namespace: string
  readonly key: string
  readonly ms: number
  readonly error: unknown
  readonly background: boolean
  /** What became of the value. */
  readonly fill: 'stored' | 'refused' | 'bypassed' | 'unstored' | 'failed'
  /** The life it was to be stored for, jitter included; undefined when nothing was to be stored. */
  readonly ttlMs: number | undefined
}
export const loads = eventChannel<LoadEvent>('holdfast:cache:load')

/** `holdfast:cache:write`: set, touch, delete, expire, invalidate, clear, pattern; acknowledged or not. */
export interface WriteEvent {
  readonly namespace: string
  readonly op:
    | 'set'
    | 'touch'
    | 'delete'
    | 'expire'
    | 'invalidate-tag'
    | 'expire-tag'
    | 'pattern'
    | 'clear'
    | 'mutate'
  readonly names: readonly string[]
  readonly ms: number
  readonly error: unknown
}
export const writes = eventChannel<WriteEvent>('holdfast:cache:write')

/** `holdfast:cache:corrupt`: an entry that could not be read was treated as absent. */
export interface CorruptEvent {
  readonly namespace: string
  readonly key: string
  readonly cause: unknown
}
export const corruptions = eventChannel<CorruptEvent>('holdfast:cache:corrupt')
