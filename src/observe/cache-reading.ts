import type { CacheStats } from '../cache/stats.ts'
import type { Holdfast } from '../holdfast.ts'
import type { NamespaceCounts, RollingSlots } from './rolling-slots.ts'

/** The label of entries that belong to no namespace. */
const ROOT = 'default'

type Totals = Pick<CacheStats, 'hits' | 'misses' | 'errors' | 'staleServed' | 'joined' | 'loads'>

/**
 * Turns the cache's own counters into what rose since the last look, so that a hit pays nothing for
 * being counted here.
 */
export class CacheReading {
  readonly #hf: Holdfast
  #total: Totals
  #namespaces: ReadonlyMap<string, NamespaceCounts>

  constructor(hf: Holdfast) {
    this.#hf = hf
    const stats = hf.cache.stats()
    this.#total = stats
    this.#namespaces = perNamespace(stats, stats.namespaces)
  }

  /** Look-ups since the start, as of the last call. */
  get asked(): number {
    const { hits, misses, errors } = this.#total
    return hits.l1 + hits.l2 + hits.stale + misses + errors
  }

  /** Adds to the current slot what rose since the last call. */
  into(slots: RollingSlots): void {
    const stats = this.#hf.cache.stats()
    const before = this.#total
    const { counts } = slots
    const staleHits = stats.hits.stale - before.hits.stale
    const l1 = stats.hits.l1 - before.hits.l1
    const l2 = stats.hits.l2 - before.hits.l2
    counts.hits += l1 + l2 + staleHits
    counts.l1Hits += l1
    counts.l2Hits += l2
    counts.misses += stats.misses - before.misses
    counts.errors += stats.errors - before.errors
    counts.staleServed += stats.staleServed - before.staleServed
    counts.stampedesPrevented += stats.joined - before.joined
    counts.loads += stats.loads - before.loads
    this.#total = stats
    const namespaces = perNamespace(stats, stats.namespaces)
    for (const [name, now] of namespaces) {
      const was = this.#namespaces.get(name)
      const rise = {
        hits: now.hits - (was?.hits ?? 0),
        misses: now.misses - (was?.misses ?? 0),
        errors: now.errors - (was?.errors ?? 0),
        staleServed: now.staleServed - (was?.staleServed ?? 0),
      }
      if (rise.hits + rise.misses + rise.errors > 0) slots.addNamespace(name, rise)
    }
    this.#namespaces = namespaces
  }
}

/** Of each namespace; the root is what none of them counted. */
function perNamespace(
  total: Totals,
  namespaces: Readonly<Record<string, CacheStats>>,
): Map<string, NamespaceCounts> {
  const found = new Map<string, NamespaceCounts>()
  const root = countsOf(total)
  for (const [name, stats] of Object.entries(namespaces)) {
    const counts = countsOf(stats)
    found.set(name, counts)
    root.hits -= counts.hits
    root.misses -= counts.misses
    root.errors -= counts.errors
    root.staleServed -= counts.staleServed
  }
  found.set(ROOT, root)
  return found
}

function countsOf({ hits, misses, errors, staleServed }: Totals): NamespaceCounts {
  return { hits: hits.l1 + hits.l2 + hits.stale, misses, errors, staleServed }
}
