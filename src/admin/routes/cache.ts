import type { CacheCleared, CacheKey, CacheKeyDeleted, CacheKeys } from '../answers/cache.ts'
import { Refused } from '../problem.ts'
import { flag, PAGE_QUERY, wholeNumber, word } from '../query.ts'
import { REDACTED, redact } from '../redact.ts'
import type { Route, RouteContext } from '../route.ts'
import { cacheStats } from './cache-stats.ts'
import { place, placeOf } from './place.ts'

const MOST_KEYS = 1_000

/** The word that a clear of everything must bring: the namespace's own name, so no habit can type it. */
const confirmWord = ({ principal, hf }: RouteContext): string => principal.namespace ?? hf.namespace

export const cacheRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/cache/stats',
    permission: 'stats',
    summary: 'Server, memory, and hits of this process since its start.',
    tenants: true,
    handle: cacheStats,
  },
  {
    method: 'GET',
    path: '/api/v1/cache/keys',
    permission: 'cache.list',
    summary: 'Keys that match, by SCAN: bounded in time, continued by cursor.',
    query: PAGE_QUERY,
    tenants: true,
    handle: listKeys,
  },
  {
    method: 'GET',
    path: '/api/v1/cache/key/:key',
    permission: 'cache.read',
    summary: 'One value, with secrets redacted.',
    query: { reveal: 'true: nothing is redacted; needs cache.reveal and is audited.' },
    tenants: true,
    handle: readKey,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/key/:key',
    permission: 'cache.clear',
    summary: 'Drops one entry.',
    tenants: true,
    handle: deleteKey,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/clear',
    permission: 'cache.clear',
    summary: 'Drops what matches, or with confirm=<namespace> all entries. Spares all that is no cache.',
    query: {
      pattern: PAGE_QUERY.pattern,
      dryRun: 'true: only count.',
      confirm: 'The namespace: needed where no pattern is given.',
    },
    tenants: true,
    handle: clear,
  },
]

async function listKeys({ cache, query }: RouteContext): Promise<CacheKeys> {
  const pattern = word(query, 'pattern') ?? '*'
  const limit = wholeNumber(query, 'limit', 100, MOST_KEYS)
  const { at, name, path } = placeOf(cache, pattern)
  const page = await at.keys(name, { limit, cursor: word(query, 'cursor', 64) })
  return {
    pattern,
    total_found: page.found,
    limit,
    keys: page.keys.map((key) => path + key),
    truncated: page.truncated,
    cursor: page.cursor ?? null,
  }
}

async function readKey(context: RouteContext): Promise<CacheKey> {
  const { params, query, need, record } = context
  const reveal = flag(query, 'reveal')
  if (reveal) need('cache.reveal')
  const { cache, key } = place(context)
  const found = await cache.inspect(key, { value: true })
  if (found.state === 'absent' || found.state === 'invalid') throw new Refused(404, 'There is no such entry.')
  const hidden = found.flags.includes('e') && !reveal
  const value = hidden ? REDACTED : reveal ? found.value : redact(found.value)
  if (reveal) await record('cache.reveal', params.key!, 'done', 1)
  return {
    key: params.key!,
    value: value ?? null,
    ttl: Math.ceil(found.ttlMs / 1_000),
    type: typeOf(found.value),
    redisType: found.tier === 'redis' || found.tier === 'l1' ? 'string' : null,
    valueType: typeOf(found.value),
    state: found.state,
    tags: found.tags,
    bytes: found.bytes,
    redacted: !reveal,
  }
}

async function deleteKey(context: RouteContext): Promise<CacheKeyDeleted> {
  const { cache, key } = place(context)
  const deleted = await cache.delete(key)
  const count = deleted ? 1 : 0
  await context.record('cache.delete', context.params.key!, 'done', count)
  return { key: context.params.key!, deleted: count }
}

async function clear(context: RouteContext): Promise<CacheCleared> {
  const { cache, query, record } = context
  const pattern = word(query, 'pattern')
  const dryRun = flag(query, 'dryRun')
  if (pattern !== undefined || dryRun) {
    const { at, name } = placeOf(cache, pattern ?? '*')
    const count = await at.deletePattern(name, { dryRun })
    if (!dryRun) await record('cache.clear', pattern!, 'done', count)
    return { pattern: pattern ?? '*', dryRun, [dryRun ? 'would_delete' : 'deleted']: count }
  }
  const own = confirmWord(context)
  if (query.get('confirm') !== own) {
    throw new Refused(
      400,
      'Clearing everything needs confirm=<namespace>; or give a pattern, or dryRun=true.',
    )
  }
  await cache.clear()
  await record('cache.clear', '*', 'done')
  return { pattern: null, dryRun: false, cleared: own }
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
