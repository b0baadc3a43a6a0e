import { Counter, Gauge, Histogram } from 'prom-client'
import type { Clock } from '../base/clock.ts'
import { type CacheStats, lookups, writes } from '../cache/stats.ts'
import type { Holdfast } from '../holdfast.ts'
import { EntryFates } from './entry-fates.ts'
import { LabelCap } from './labels.ts'
import { hear, type PartSetup, type Stop, stopAll } from './part.ts'

/** The label of entries that belong to no namespace. */
const ROOT = 'default'

/** Seconds: an answer from process memory is some microseconds, a slow source some seconds. */
const BUCKETS = [
  0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

type Reading = Pick<CacheStats, Exclude<keyof CacheStats, 'hits' | 'hitRate'>> & {
  readonly hits: CacheStats['hits']
}

interface Family {
  readonly name: string
  readonly help: string
  readonly label?: string
  read(stats: Reading): number | Readonly<Record<string, number>>
}

const FAMILIES: readonly Family[] = [
  {
    name: 'cache_hits_total',
    help: 'Look-ups that were answered, by where from: process memory (l1), Redis (l2), a stale value.',
    label: 'tier',
    read: ({ hits }) => ({ l1: hits.l1, l2: hits.l2, stale: hits.stale }),
  },
  { name: 'cache_misses_total', help: 'Look-ups that found nothing usable.', read: (s) => s.misses },
  {
    name: 'cache_errors_total',
    help: 'Look-ups for which the store could not be asked: neither hit nor miss.',
    read: (s) => s.errors,
  },
  {
    name: 'holdfast_cache_loads_total',
    help: 'Loaders that settled, by result.',
    label: 'result',
    read: (s) => ({ ok: s.loads - s.loadErrors, error: s.loadErrors }),
  },
  {
    name: 'holdfast_cache_joined_total',
    help: 'Callers that shared a load which another had started: stampedes prevented.',
    read: (s) => s.joined,
  },
  { name: 'holdfast_cache_stale_served_total', help: 'Stale values handed out.', read: (s) => s.staleServed },
  {
    name: 'holdfast_cache_bypassed_total',
    help: 'Values that could not be stored: store down, memory full, or too large.',
    read: (s) => s.bypassed,
  },
  { name: 'holdfast_cache_corrupt_total', help: 'Entries that could not be read.', read: (s) => s.corrupt },
  {
    name: 'holdfast_cache_writes_total',
    help: 'Acknowledged writes, by kind.',
    label: 'op',
    read: (s) => ({ set: s.sets, delete: s.deletes, invalidate: s.invalidations }),
  },
  {
    name: 'holdfast_cache_refreshes_total',
    help: 'Reloads in the background, begun or skipped because too many ran.',
    label: 'result',
    read: (s) => ({ begun: s.refreshes, skipped: s.refreshesSkipped }),
  },
]

/**
 * Counters are read from the cache's own when somebody scrapes, so that a hit pays nothing for
 * them; only the histogram hears each look-up.
 */
export function cacheMetrics({ register, instances, clock }: PartSetup, latency: boolean): Stop {
  const cap = new LabelCap()
  for (const family of FAMILIES) {
    new Counter({
      name: family.name,
      help: family.help,
      labelNames: family.label === undefined ? ['namespace'] : ['namespace', family.label],
      registers: [register],
      collect() {
        this.reset()
        for (const [namespace, stats] of readings(instances)) {
          const value = family.read(stats)
          const labels = { namespace: cap.of(namespace) }
          if (typeof value === 'number') this.inc(labels, value)
          else {
            for (const [word, count] of Object.entries(value)) {
              this.inc({ ...labels, [family.label ?? '']: word }, count)
            }
          }
        }
      },
    })
  }
  new Gauge({
    name: 'holdfast_cache_hit_ratio',
    help: 'Hits of hits and misses since the start, 0 to 1. Look-ups that the store could not answer count as neither.',
    labelNames: ['namespace'],
    registers: [register],
    collect() {
      this.reset()
      for (const [namespace, { hits, misses }] of readings(instances)) {
        const found = hits.l1 + hits.l2 + hits.stale
        if (found + misses > 0) this.set({ namespace: cap.of(namespace) }, found / (found + misses))
      }
    },
  })
  return latency ? stopAll([hearLatency(register, cap), followEntries(register, clock, cap)]) : stopAll([])
}

function followEntries(register: PartSetup['register'], clock: Clock, cap: LabelCap): Stop {
  const fates = new EntryFates(clock)
  new Counter({
    name: 'holdfast_cache_entries_total',
    help: 'Entries that a loader filled, by what came of them here: read, or expired unread.',
    labelNames: ['namespace', 'fate'],
    registers: [register],
    collect() {
      this.reset()
      for (const [path, { read, expiredUnread }] of fates.counts()) {
        const namespace = cap.of(path || ROOT)
        this.inc({ namespace, fate: 'read' }, read)
        this.inc({ namespace, fate: 'expired-unread' }, expiredUnread)
      }
    },
  })
  return fates.stop
}

function hearLatency(register: PartSetup['register'], cap: LabelCap): Stop {
  const histogram = new Histogram({
    name: 'cache_response_seconds',
    help: 'Time of a cache operation, seconds; of a look-up with its load, if there was one.',
    labelNames: ['namespace', 'op'],
    buckets: BUCKETS,
    registers: [register],
  })
  const children = new Map<string, { observe(seconds: number): void }>()
  const observe = (path: string, op: string, ms: number): void => {
    const key = `${op} ${path}`
    let child = children.get(key)
    if (child === undefined) {
      const namespace = cap.of(path || ROOT)
      child = histogram.labels(namespace, op)
      if (namespace !== 'other') children.set(key, child)
    }
    child.observe(ms / 1_000)
  }
  return stopAll([
    hear(lookups, ({ namespace, ms }) => observe(namespace, 'get', ms)),
    hear(writes, ({ namespace, op, ms }) => observe(namespace, op, ms)),
  ])
}

/** By namespace, over all instances; what no namespace counted belongs to the root. */
function readings(instances: ReadonlySet<Holdfast>): Map<string, Reading> {
  const found = new Map<string, Reading>()
  const add = (namespace: string, stats: Reading): void => {
    const known = found.get(namespace)
    found.set(namespace, known === undefined ? stats : combine(known, stats, 1))
  }
  for (const { cache } of instances) {
    const { namespaces, ...total } = cache.stats()
    let root: Reading = total
    for (const [path, stats] of Object.entries(namespaces)) {
      root = combine(root, stats, -1)
      add(path, stats)
    }
    add(ROOT, root)
  }
  return found
}

function combine(a: Reading, b: Reading, sign: 1 | -1): Reading {
  const sum = (x: number, y: number): number => x + sign * y
  return {
    hits: {
      l1: sum(a.hits.l1, b.hits.l1),
      l2: sum(a.hits.l2, b.hits.l2),
      stale: sum(a.hits.stale, b.hits.stale),
    },
    misses: sum(a.misses, b.misses),
    errors: sum(a.errors, b.errors),
    loads: sum(a.loads, b.loads),
    loadErrors: sum(a.loadErrors, b.loadErrors),
    joined: sum(a.joined, b.joined),
    sets: sum(a.sets, b.sets),
    deletes: sum(a.deletes, b.deletes),
    invalidations: sum(a.invalidations, b.invalidations),
    bypassed: sum(a.bypassed, b.bypassed),
    corrupt: sum(a.corrupt, b.corrupt),
    staleServed: sum(a.staleServed, b.staleServed),
    refreshes: sum(a.refreshes, b.refreshes),
    refreshesSkipped: sum(a.refreshesSkipped, b.refreshesSkipped),
  }
}
