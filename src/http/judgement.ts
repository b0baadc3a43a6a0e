import type { Ask } from './ask.ts'
import type { Rules } from './storable.ts'
import { StoredResponse } from './stored-response.ts'
import { sameValues, selectingValues } from './vary.ts'

/**
 * `hit`: use it. `stale`: use it although it is stale. `refresh`: the same, and ask behind the reply.
 * `validate`: ask first; `request` asks because the client wants it. `other`: it is the answer to
 * another variant. `unfit`: this request may not have it. `replace`: it is nothing of ours.
 */
export type Verdict = 'hit' | 'stale' | 'refresh' | 'validate' | 'request' | 'other' | 'unfit' | 'replace'

export interface Sight {
  /** The cache has not expired it softly. */
  readonly fresh: boolean
  /** The application failed to confirm it a moment ago. */
  readonly heldOff: boolean
}

/** What a stored response is good for, for one request (RFC 9111, 4). */
export function judge(found: unknown, sight: Sight, ask: Ask, rules: Rules, now: number): Verdict {
  if (!(found instanceof StoredResponse)) return 'replace'
  const { meta } = found
  const { directives: said } = ask
  if (!isVariant(found, ask)) return 'other'
  // Strangers' answers for strangers: who says who he is gets them only where they are for everybody.
  if (ask.hasAuthorization && !rules.isRfc && !ask.hasIdentity && !meta.isPublic) return 'unfit'
  const left = found.freshForMs(now)
  if (meta.noCache) return 'validate'
  if (said.noCache) return 'request'
  if (said.maxAge !== undefined && found.ageSeconds(now) > said.maxAge) return 'request'
  if (sight.fresh && left > 0) {
    return said.minFresh !== undefined && left < said.minFresh * 1_000 ? 'request' : 'hit'
  }
  if (meta.mustRevalidate || said.minFresh !== undefined) return 'validate'
  // Softly purged while fresh by its own terms: stale from that moment on.
  const staleMs = Math.max(0, -left)
  if (said.maxStale !== undefined && staleMs <= said.maxStale * 1_000) return 'stale'
  if (said.maxAge === undefined && staleMs < meta.staleWhileRevalidateMs) return 'refresh'
  if (sight.heldOff && staleMs < meta.staleIfErrorMs) return 'stale'
  return 'validate'
}

export function isVariant(found: StoredResponse, ask: Ask): boolean {
  const { varyNames, varyValues } = found.meta
  if (varyNames.length === 0) return true
  return sameValues(varyValues, selectingValues(ask.request.headers, varyNames))
}

/**
 * Whether a stale response may stand in for an application that failed. RFC 9111, 4.2.4 lets a
 * cache do so when it is cut off from the origin; `safe` does it only where that was asked for.
 */
export function mayStandIn(
  found: StoredResponse,
  ask: Ask,
  rules: Rules,
  now: number,
  isCutOff: boolean,
): boolean {
  const { meta } = found
  if (meta.mustRevalidate || meta.noCache || ask.directives.noCache) return false
  const { maxAge, minFresh } = ask.directives
  if (minFresh !== undefined || (maxAge !== undefined && found.ageSeconds(now) > maxAge)) return false
  if (isCutOff && rules.isRfc) return true
  return Math.max(0, -found.freshForMs(now)) < meta.staleIfErrorMs
}
