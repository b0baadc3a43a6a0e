import type { Holdfast } from '../holdfast.ts'
import type { LatencyHistogram } from './latency-histogram.ts'
import type { ProcessReport, QueueLook } from './process-report.ts'
import type { RollingEar } from './rolling-ear.ts'
import type { DegradedPart, NamespaceWindow, Overview, QueuesWindow, RedisWindow } from './rolling-shapes.ts'
import {
  addCounts,
  addNamespace,
  type Counts,
  type NamespaceCounts,
  STEP_SECONDS,
  WINDOW_SLOTS,
} from './rolling-slots.ts'

const MOST_NAMESPACES = 50

interface Parts {
  readonly hf: Holdfast
  /** Wall clock. */
  readonly now: number
  /** Of this process; it is added to. */
  readonly window: {
    readonly counts: Counts
    readonly ops: LatencyHistogram
    readonly loads: LatencyHistogram
    readonly namespaces: Map<string, NamespaceCounts>
  }
  readonly ear: RollingEar
  readonly redis: RedisWindow | null
  readonly degraded: readonly DegradedPart[]
  /** Whether this process is one of those that are looked at, or looks only. */
  readonly isMember: boolean
  /** Other processes. */
  readonly others: readonly ProcessReport[]
}

/** Puts together what this process and the others counted. */
export function overviewOf({ hf, now, window, ear, redis, degraded, isMember, others }: Parts): Overview {
  const { counts, ops, loads, namespaces } = window
  const locks = { held: ear.held, waiting: ear.waiting }
  let inHand = ear.inHand
  const health = hf.health()
  const queues: QueueLook[] = [...health.queues]
  const faults: DegradedPart[] = [...degraded]
  for (const other of others) {
    addCounts(counts, other.counts)
    ops.addSparse(other.ops)
    loads.addSparse(other.loads)
    for (const { name, ...its } of other.namespaces) addNamespace(namespaces, name, its)
    locks.held += other.held
    locks.waiting += other.waiting
    inHand += other.inHand
    queues.push(...other.queues)
    faults.push(...other.degraded)
  }
  const enabled = health.cache.enabled
  const all = earliest(faults)
  return {
    at: new Date(now).toISOString(),
    windowSeconds: WINDOW_SLOTS * STEP_SECONDS,
    status: all.length > 0 ? 'degraded' : enabled ? 'ok' : 'off',
    degraded: all,
    cache: {
      enabled,
      hitRate: hitRate(counts),
      hits: counts.hits,
      misses: counts.misses,
      errors: counts.errors,
      l1Hits: counts.l1Hits,
      l2Hits: counts.l2Hits,
      staleServed: counts.staleServed,
      stampedesPrevented: counts.stampedesPrevented,
      loads: counts.loads,
      loadP50Ms: loads.quantile(0.5),
      loadP99Ms: loads.quantile(0.99),
      opP50Ms: ops.quantile(0.5),
      opP99Ms: ops.quantile(0.99),
    },
    redis,
    limits: { allowed: counts.allowed, denied: counts.denied },
    locks: { ...locks, lost: counts.lost },
    queues: queuesOf(queues, inHand),
    namespaces: busiest(namespaces).map(({ name, ...its }) => windowOf(name, its)),
    processes: others.length + (isMember ? 1 : 0),
  }
}

/** Those with most look-ups, 50 at most. */
export function busiest(
  namespaces: ReadonlyMap<string, NamespaceCounts>,
): (NamespaceCounts & { readonly name: string })[] {
  const asked = ({ hits, misses, errors }: NamespaceCounts) => hits + misses + errors
  return [...namespaces]
    .map(([name, its]) => ({ name, ...its }))
    .sort((a, b) => asked(b) - asked(a))
    .slice(0, MOST_NAMESPACES)
}

/** Percent with one decimal; errors are neither hit nor miss, so an outage does not change it. */
function hitRate({ hits, misses }: { readonly hits: number; readonly misses: number }): number | null {
  return hits + misses === 0 ? null : Math.round((hits / (hits + misses)) * 1_000) / 10
}

function windowOf(namespace: string, counts: NamespaceCounts): NamespaceWindow {
  return { namespace, ...counts, hitRate: hitRate(counts) }
}

/** Every process sees the same queue: the freshest look at each counts, once. */
function queuesOf(looks: readonly QueueLook[], active: number): QueuesWindow {
  const freshest = new Map<string, QueueLook>()
  for (const look of looks) {
    const known = freshest.get(look.queue)
    if (known === undefined || known.asOf < look.asOf) freshest.set(look.queue, look)
  }
  let waiting = 0
  let failed = 0
  let oldestMs = 0
  for (const look of freshest.values()) {
    waiting += look.depth
    failed += look.dead
    oldestMs = Math.max(oldestMs, look.oldestMs)
  }
  return { waiting, active, failed, oldestSeconds: Math.round(oldestMs / 100) / 10 }
}

function earliest(parts: readonly DegradedPart[]): DegradedPart[] {
  const found = new Map<string, DegradedPart>()
  for (const part of parts) {
    const known = found.get(part.what)
    if (known === undefined || part.since < known.since) found.set(part.what, part)
  }
  return [...found.values()]
}
