/** A store for undici's cache interceptor: `holdfast/undici`. */
export type {
  UndiciCacheKey,
  UndiciCacheStore,
  UndiciCacheValue,
  UndiciGetResult,
} from './interface.ts'
export {
  type UndiciDegradedEvent,
  UndiciStore,
  type UndiciStoreOptions,
  type UndiciStoreStats,
  undiciStore,
} from './store.ts'
