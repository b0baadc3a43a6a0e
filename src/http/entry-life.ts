import { MAX_DURATION_MS } from '../base/duration.ts'
import type { LoadContext } from '../cache/options.ts'
import type { Ask } from './ask.ts'
import { type Fields, listOf } from './fields.ts'
import type { Rules, Terms } from './storable.ts'

/** Each tag is one more name to read with the entry. */
const MAX_TAGS = 128

/**
 * Gives an entry its life and its tags: those of the route, of Surrogate-Key (spaces) and of
 * Cache-Tag (commas). False: one of them is no name, so that nobody could ever purge by it.
 */
export function giveLife(
  ctx: LoadContext<unknown>,
  ask: Ask,
  terms: Terms,
  fields: Fields,
  receivedAt: number,
  keepMs: number,
  rules: Rules,
): boolean {
  const freshMs = terms.bornAt + terms.lifetimeMs - receivedAt
  const canAsk = fields.has('etag') || fields.has('last-modified') || rules.isRfc
  const staleMs = Math.max(terms.staleWhileRevalidateMs, terms.staleIfErrorMs, canAsk ? keepMs : 0)
  // A life of 0 would not be stored at all; the judge looks at the terms, not at this.
  ctx.ttl(clamp(freshMs, 1), clamp(staleMs, 0))
  const tags = [
    ...ask.route.tags(ask.request),
    ...(fields.get('surrogate-key') ?? '').split(/[ ,]+/),
    ...listOf(fields.get('cache-tag')),
  ].filter((tag) => tag !== '')
  if (tags.length > MAX_TAGS) return false
  try {
    ctx.tag(...tags)
    return true
  } catch {
    return false
  }
}

function clamp(ms: number, least: number): number {
  return Math.min(MAX_DURATION_MS, Math.max(least, Math.ceil(ms)))
}
