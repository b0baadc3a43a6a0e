import { type StoredBody, unpackBody } from '../http/stored-body.ts'
import type { UndiciCacheKey, UndiciCacheValue, UndiciGetResult } from './interface.ts'
import { fieldValue } from './variant.ts'

/** One response as it lies in the cache. */
export type Stored = UndiciCacheValue & StoredBody

/** The hash already says so; this says it without trusting who wrote the entry. */
export function fits(value: Stored, key: UndiciCacheKey): boolean {
  return Object.entries(value.vary ?? {}).every(
    ([name, wanted]) => JSON.stringify(fieldValue(key.headers, name)) === JSON.stringify(wanted ?? null),
  )
}

/** A copy: what the cache hands out is shared and frozen, and undici may write on its own. */
export function answer(stored: Stored): UndiciGetResult {
  const { vary, etag } = stored
  return {
    statusCode: stored.statusCode,
    statusMessage: stored.statusMessage,
    headers: { ...stored.headers },
    ...(vary && { vary: { ...vary } }),
    ...(etag !== undefined && { etag }),
    body: stored.body === '' ? [] : [unpackBody(stored)],
    cacheControlDirectives: { ...stored.cacheControlDirectives },
    cachedAt: stored.cachedAt,
    staleAt: stored.staleAt,
    deleteAt: stored.deleteAt,
  }
}

/** What undici says of a response, and nothing else that its object may carry. */
export function pick(value: UndiciCacheValue): UndiciCacheValue {
  const { vary, etag, cacheControlDirectives } = value
  return {
    statusCode: value.statusCode,
    statusMessage: value.statusMessage,
    headers: value.headers,
    ...(vary && { vary }),
    ...(etag !== undefined && { etag }),
    ...(cacheControlDirectives && { cacheControlDirectives }),
    cachedAt: value.cachedAt,
    staleAt: value.staleAt,
    deleteAt: value.deleteAt,
  }
}
