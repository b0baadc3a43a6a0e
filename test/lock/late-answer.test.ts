import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Lock } from '../../src/lock/lock.ts'
import { MemoryLockStore } from '../../src/lock/memory-store.ts'
import type { Claimant, ClaimOptions, ClaimReply, Target } from '../../src/lock/store.ts'
import { blockLoop } from '../../src/testing/waiting.ts'
import { until } from '../support/until.ts'

/** Grants at once, and then this process stands still before it can see the answer. */
class StandingStill extends MemoryLockStore {
  stillMs = 0
  override async claim(claimant: Claimant, options: ClaimOptions): Promise<ClaimReply> {
    const reply = await super.claim(claimant, options)
    blockLoop(this.stillMs)
    return reply
  }
}

describe('a lock that was granted in time and seen too late', () => {
  const target: Target = { kind: 'lock', id: 'late', mode: 'p', capacity: 1 }

  it('is not handed out but given back, and the next one gets it [L18]', async () => {
    const store = new StandingStill(systemClock, systemRandom)
    const lock = new Lock(store, target, { ttl: 200, wait: 0 }, 'lock()')
    store.stillMs = 198
    await expect(lock.acquire()).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    store.stillMs = 0
    await until('it is given back', async () => (await lock.inspect()).holders.length === 0)
    const lease = await lock.acquire()
    expect(lease.remaining).toBeGreaterThan(100)
    await lease.release()
  })

  it('counts its lease from before the request, not from the answer [L18]', async () => {
    const store = new StandingStill(systemClock, systemRandom)
    store.stillMs = 150
    const lease = await new Lock(store, target, { ttl: 400 }, 'lock()').acquire()
    expect(lease.remaining).toBeLessThanOrEqual(250)
    await lease.release()
  })
})
