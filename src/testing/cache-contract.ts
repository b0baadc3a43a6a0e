import type { CacheBackend } from './cache-backend.ts'
import { cacheBatchContract } from './cache-batch-contract.ts'
import { cacheInputContract } from './cache-input-contract.ts'
import { cacheLoadContract } from './cache-load-contract.ts'
import { cacheRefreshContract } from './cache-refresh-contract.ts'
import { cacheVerbContract } from './cache-verb-contract.ts'
import type { TestApi } from './test-api.ts'

/** What every place for cache entries must do, seen through the cache that stands on it. */
export function describeCacheContract(api: TestApi, name: string, open: () => Promise<CacheBackend>): void {
  for (const part of [
    cacheVerbContract,
    cacheBatchContract,
    cacheLoadContract,
    cacheRefreshContract,
    cacheInputContract,
  ]) {
    part(api, name, open)
  }
}
