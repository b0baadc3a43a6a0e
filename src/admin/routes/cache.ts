import { NAMESPACE_SEPARATOR } from '../../base/key.ts'
import type { Cache } from '../../cache/cache.ts'
import { Refused } from '../problem.ts'
import { flag, wholeNumber } from '../query.ts'
import { REDACTED, redact } from '../redact.ts'
import type { Route, RouteContext } from '../route.ts'
import { cacheStats } from './cache-stats.ts'

const MOST_KEYS = 1_000
const PATTERN = 'Glob of keys: * ? [a-z] and \\ before a literal.'
const LONGEST_PATTERN = 1_024

/** The word that a clear of everything must bring: the namespace's own name, so no habit can type it. */
const confirmWord = ({ principal, hf }: RouteContext): string => principal.namespace ?? hf.namespace

export const cacheRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/cache/stats',
    permission: 'stats',
    summary: 'Server, memory, and hits of this process since its start.',
    handle: cacheStats,
  },
  {
    method: 'GET',
    path: '/api/v1/cache/keys',
    permission: 'cache.list',
    summary: 'Keys that match, by SCAN: bounded in time, continued by cursor.',
    query: {
      pattern: PATTERN,
      limit: `Most keys on the page, 1 to ${MOST_KEYS}.`,
      cursor: 'Where to go on.',
    },
    handle: listKeys,
  },
  {
    method: 'GET',
    path: '/api/v1/cache/key/:key',
    permission: 'cache.read',
    summary: 'One value, with secrets redacted.',
    query: { reveal: 'true: nothing is redacted; needs cache.reveal and is audited.' },
    handle: readKey,
  },
  {
    method: 'GET',
    path: '/api/v1/cache/explain/:key',
    permission: 'cache.list',
    summary: 'Why a key is or is not served: state, tags, age, lease, place.',
    handle: explainKey,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/key/:key',
    permission: 'cache.clear',
    summary: 'Drops one entry.',
    handle: deleteKey,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/clear',
    permission: 'cache.clear',
    summary: 'Drops what matches, or with confirm=<namespace> all entries. Spares all that is no cache.',
    query: {
      pattern: PATTERN,
      dryRun: 'true: only count.',
      confirm: 'The namespace: needed where no pattern is given.',
    },
    handle: clear,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/tag/:tag',
    permission: 'cache.clear',
    summary: 'Invalidates a tag, however many entries carry it.',
    query: { soft: 'true: entries stay as stale, and are reloaded when next used.' },
    handle: invalidateTag,
  },
]

function patternOf(query: URLSearchParams): string | undefined {
  const pattern = query.get('pattern')
  if (pattern === null) return undefined
  if (pattern === '' || pattern.length > LONGEST_PATTERN) {
    throw new Refused(400, `pattern is empty or longer than ${LONGEST_PATTERN} characters.`)
  }
  return pattern
}

async function listKeys({ cache, query }: RouteContext): Promise<object> {
  const pattern = patternOf(query) ?? '*'
  const limit = wholeNumber(query, 'limit', 100, MOST_KEYS)
  const page = await cache.keys(pattern, { limit, cursor: query.get('cursor') ?? undefined })
  return {
    pattern,
    total_found: page.found,
    limit,
    keys: page.keys,
    truncated: page.truncated,
    cursor: page.cursor ?? null,
  }
}

async function readKey(context: RouteContext): Promise<object> {
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
    key: params.key,
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

async function explainKey(context: RouteContext): Promise<object> {
  const { cache, key } = place(context)
  return cache.inspect(key)
}

async function deleteKey(context: RouteContext): Promise<object> {
  const { cache, key } = place(context)
  const deleted = await cache.delete(key)
  const count = deleted ? 1 : 0
  await context.record('cache.delete', context.params.key!, 'done', count)
  return { key: context.params.key, deleted: count }
}

async function clear(context: RouteContext): Promise<object> {
  const { cache, query, record } = context
  const pattern = patternOf(query)
  const dryRun = flag(query, 'dryRun')
  if (pattern !== undefined || dryRun) {
    const count = await cache.deletePattern(pattern ?? '*', { dryRun })
    if (!dryRun) await record('cache.clear', pattern!, 'done', count)
    return { pattern: pattern ?? '*', dryRun, [dryRun ? 'would_delete' : 'deleted']: count }
  }
  const word = confirmWord(context)
  if (query.get('confirm') !== word) {
    throw new Refused(
      400,
      'Clearing everything needs confirm=<namespace>; or give a pattern, or dryRun=true.',
    )
  }
  await cache.clear()
  await record('cache.clear', '*', 'done')
  return { pattern: null, dryRun: false, cleared: word }
}

async function invalidateTag({ cache, params, query, record }: RouteContext): Promise<object> {
  const soft = flag(query, 'soft')
  if (soft) await cache.expireTag(params.tag!)
  else await cache.invalidateTag(params.tag!)
  await record(soft ? 'cache.expire-tag' : 'cache.invalidate-tag', params.tag!, 'done')
  return { tag: params.tag, soft }
}

/** `users|admins|7`, as keys are listed, is the key 7 of the namespace admins of users. */
function place({ cache, params }: RouteContext): { cache: Cache; key: string } {
  const path = params.key!.split(NAMESPACE_SEPARATOR)
  const key = path.pop()!
  let at = cache
  for (const name of path) at = at.namespace(name)
  return { cache: at, key }
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
