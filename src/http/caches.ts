import type { Holdfast } from '../holdfast.ts'
import { createHttpCache, type HttpCache } from './engine.ts'
import type { HttpCacheOptions } from './options.ts'

/** What `createHttpCache` takes, without the place, which the instance knows. */
export type ResponseCacheOptions = Omit<HttpCacheOptions, 'cache'>

/** Responses stand apart from the application's own keys; their tags are the application's tags. */
const caches = new WeakMap<Holdfast, HttpCache>()

/**
 * The response cache of an instance. With options: one of its own defaults on the same storage, so
 * that what one stored another finds and invalidates.
 */
export function responseCacheOf(holdfast: Holdfast, options?: ResponseCacheOptions): HttpCache {
  if (options !== undefined) return createHttpCache({ ...options, cache: holdfast.cache })
  const known = caches.get(holdfast) ?? createHttpCache({ cache: holdfast.cache })
  caches.set(holdfast, known)
  return known
}
