import { afterAll, beforeAll, describe, it } from 'vitest'
import { Locks } from '../../src/lock/locks.ts'
import { lockContract } from '../../src/testing/lock-contract.ts'
import { REDIS_PLACES, twoViews } from '../support/redis-places.ts'

const api = { describe, it, beforeAll, afterAll }

lockContract(api, 'memory', async () => {
  const locks = new Locks()
  return { first: locks, second: locks, close: async () => locks.close() }
})

for (const [name, open] of REDIS_PLACES) {
  lockContract(api, name, () => twoViews(open, (redis) => new Locks({ redis, namespace: 'test' })))
}
