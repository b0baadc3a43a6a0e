import { countTagged, tagPage } from '../../cache/survey.ts'
import type { CacheTagInvalidated, CacheTags } from '../answers/cache.ts'
import { Refused } from '../problem.ts'
import { flag, PAGE_QUERY, pageOf, word } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'
import { placeOf } from './place.ts'

const MOST = 1_000
/** A dry run looks at entries for so long. */
const BUDGET_MS = 1_000

export const tagRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/cache/tags',
    permission: 'cache.list',
    summary: 'Tags that are in use, or were invalidated not long ago.',
    query: PAGE_QUERY,
    tenants: true,
    handle: listTags,
  },
  {
    method: 'DELETE',
    path: '/api/v1/cache/tags/:tag',
    permission: 'cache.clear',
    summary: 'Invalidates a tag, however many entries carry it.',
    query: {
      mode: 'hard (default): entries are gone. soft: they stay as stale, and are reloaded when next used.',
      dryRun: 'true: only count the entries that carry it, as far as a second comes.',
    },
    tenants: true,
    handle: invalidateTag,
  },
]

async function listTags({ cache, query, services }: RouteContext): Promise<CacheTags> {
  const { tags, cursor, truncated } = await tagPage(cache, pageOf(query, MOST))
  const dated = tags.map((tag) => {
    const invalidatedAt = services.watcher.invalidatedAt(cache.prefix + tag)
    return invalidatedAt === undefined ? { tag } : { tag, invalidatedAt }
  })
  return { tags: dated, cursor, truncated }
}

async function invalidateTag({ cache, params, query, record }: RouteContext): Promise<CacheTagInvalidated> {
  const tag = params.tag!
  const { at, name } = placeOf(cache, tag)
  const mode = word(query, 'mode') ?? 'hard'
  if (mode !== 'hard' && mode !== 'soft') throw new Refused(400, 'mode is neither hard nor soft.')
  if (flag(query, 'dryRun')) {
    const { count, isExact } = await countTagged(at, name, BUDGET_MS)
    return { tag, mode, dryRun: true, would_invalidate: count, exact: isExact }
  }
  if (mode === 'soft') await at.expireTag(name)
  else await at.invalidateTag(name)
  await record(mode === 'soft' ? 'cache.expire-tag' : 'cache.invalidate-tag', tag, 'done')
  return { tag, mode, dryRun: false }
}
