import { type CacheStats, snapshot } from '../../cache/stats.ts'
import { HISTOGRAM_SECONDS, type NamespaceSurvey, surveyNamespaces } from '../../cache/survey.ts'
import type { CacheNamespace } from '../answers/cache.ts'
import type { Route, RouteContext } from '../route.ts'

const BUDGET_MS = 400
const MOST = 500

export const namespaceRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/cache/namespaces',
    permission: 'stats',
    summary:
      'Hits and misses of this process by namespace, and keys, bytes and lives as far as a look comes.',
    answers: 'array',
    tenants: true,
    handle: namespaces,
  },
]

async function namespaces({ hf, cache, services }: RouteContext): Promise<readonly CacheNamespace[]> {
  const { enabled } = hf.health().cache
  const surveys = await surveyNamespaces(cache, BUDGET_MS)
  const fates = services.fates()
  const stats = new Map<string, CacheStats>([
    [cache.path, snapshot(cache.counters)],
    ...Object.entries(cache.stats().namespaces),
  ])
  const names = [...new Set([...stats.keys(), ...surveys.keys()])].sort().slice(0, MOST)
  return names.map((namespace): CacheNamespace => {
    const counted = stats.get(namespace)
    const { hits, misses = 0 } = counted ?? {}
    const total = hits ? hits.l1 + hits.l2 + hits.stale : 0
    const fate = fates.get(namespace)
    const ended = fate ? fate.read + fate.expiredUnread : 0
    return {
      namespace,
      enabled,
      hits: total,
      misses,
      // Off is not the same as never hit.
      hitRate: enabled && total + misses > 0 ? (counted?.hitRate ?? null) : null,
      l1: hits?.l1 ?? 0,
      l2: hits?.l2 ?? 0,
      staleServed: counted?.staleServed ?? 0,
      expiredUnread: fate?.expiredUnread ?? null,
      expiredUnreadShare: fate && ended > 0 ? Math.round((fate.expiredUnread / ended) * 1_000) / 10 : null,
      ...surveyed(surveys.get(namespace)),
    }
  })
}

function surveyed(
  survey: NamespaceSurvey | undefined,
): Pick<CacheNamespace, 'keys' | 'bytes' | 'ttlHistogram' | 'sampled'> {
  const { keys, bytes, lives, isSampled } = survey ?? { keys: 0, bytes: 0, lives: [], isSampled: false }
  const ttlHistogram = [...HISTOGRAM_SECONDS, null].map((underSeconds, i) => ({
    underSeconds,
    keys: lives[i] ?? 0,
  }))
  return { keys, bytes, ttlHistogram, sampled: isSampled }
}
