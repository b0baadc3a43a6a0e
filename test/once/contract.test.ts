import { afterAll, beforeAll, describe, it } from 'vitest'
import { createOnce } from '../../src/once/once.ts'
import { onceContract } from '../../src/testing/once-contract.ts'
import { REDIS_PLACES, twoViews } from '../support/redis-places.ts'

const api = { describe, it, beforeAll, afterAll }

onceContract(api, 'memory', async () => {
  const once = createOnce()
  return { first: once, second: once, close: async () => once.close() }
})

for (const [name, open] of REDIS_PLACES) {
  onceContract(api, name, () => twoViews(open, (redis) => createOnce({ redis, namespace: 'test' })))
}
