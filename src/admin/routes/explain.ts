import type { Inspection } from '../../cache/inspect.ts'
import type { CacheExplanation } from '../answers/cache.ts'
import type { Route, RouteContext } from '../route.ts'
import { place } from './place.ts'

export const explainRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/cache/explain/:key',
    permission: 'cache.list',
    summary: 'Why a key is or is not served: state, tags and their versions, age, lease, place, writer.',
    tenants: true,
    handle: explain,
  },
]

const RULES: Readonly<Record<string, NonNullable<CacheExplanation['refusedBy']>>> = {
  incarnation: 'epoch',
  epoch: 'epoch',
  tag: 'tag',
  expired: 'life',
  fence: 'fence',
  format: 'unreadable',
}

const REASONS: Readonly<Record<string, string>> = {
  epoch: 'it was stored before everything was cleared, or before the server lost its memory',
  tag: 'one of its tags was invalidated after its load began',
  life: 'its life is over, stale time included',
  fence: 'a mutation of it or of one of its tags is under way',
  unreadable: 'what stands there is no entry of this version',
}

async function explain(context: RouteContext): Promise<CacheExplanation> {
  const { hf, services, params } = context
  const { cache, key } = place(context)
  const found = await cache.inspect(key)
  const enabled = hf.health().cache.enabled
  const prefix = found.namespace === '' ? '' : `${found.namespace}|`
  const tags = found.tags.map((tag) => ({
    tag,
    version: found.tagVersions[tag] ?? null,
    invalidatedAt: services.watcher.invalidatedAt(prefix + tag) ?? null,
  }))
  const refusedBy = enabled ? (found.reason === undefined ? null : (RULES[found.reason] ?? null)) : 'off'
  const isThere = found.tier !== 'none'
  const isOwn = hf.health().driver === 'embedded' || services.watcher.wrote(found.name)
  return {
    key: params.key!,
    verdict: enabled
      ? verdict(found, refusedBy)
      : 'The cache is switched off: every call goes to its loader.',
    state: enabled ? found.state : 'disabled',
    reason: refusedBy === null || refusedBy === 'off' ? null : REASONS[refusedBy]!,
    refusedBy,
    parts: {
      namespace: found.namespace,
      key,
      name: found.name,
      redisKey: found.redisKey ?? null,
      bucket: found.bucket,
      hashed: found.name.startsWith(`${prefix}%h:`),
    },
    tier: found.tier,
    tags,
    version: found.version ?? null,
    ageSeconds: found.ageMs === undefined ? null : Math.floor(found.ageMs / 1_000),
    ttl: Math.ceil(found.ttlMs / 1_000),
    staleFor: Math.ceil(found.staleMs / 1_000),
    bytes: found.bytes,
    etag: found.etag ?? null,
    loadMs: found.loadMs ?? null,
    writtenBy: isThere ? (isOwn ? 'this process' : 'unknown') : null,
    loading: found.loading,
    leased: found.leased,
    heldOff: found.heldOff,
    compressed: /[bcz]/.test(found.flags),
    encrypted: found.flags.includes('e'),
  }
}

function verdict(found: Inspection, refusedBy: CacheExplanation['refusedBy']): string {
  const loads = found.loading || found.leased ? ' A load of it runs.' : ''
  if (found.state === 'fresh') {
    const from = found.tier === 'redis' ? 'Redis' : 'process memory'
    return `A hit: it is served from ${from} for another ${Math.ceil(found.ttlMs / 1_000)} s.${loads}`
  }
  if (found.state === 'stale') {
    const rest = found.heldOff ? ' Its last reload failed, so the next one waits.' : ''
    return `A stale hit where stale values may be served, else a miss: its time was over.${rest}${loads}`
  }
  if (refusedBy !== null) return `A miss: ${REASONS[refusedBy] ?? 'it may not be served'}.${loads}`
  return `A miss: there is no such entry; it was never stored, or was dropped, or evicted.${loads}`
}
