/** Holdfast behind the caches of Next.js: `cacheHandler` and `cacheHandlers` of next.config. */
export { incrementalCacheHandler } from './incremental.ts'
export type {
  IncrementalCacheHandler,
  IncrementalEntry,
  IncrementalGetContext,
  IncrementalSetContext,
  IncrementalValue,
  NextCacheOptions,
  UseCacheEntry,
  UseCacheHandler,
} from './shapes.ts'
export { useCacheHandler } from './use-cache.ts'
