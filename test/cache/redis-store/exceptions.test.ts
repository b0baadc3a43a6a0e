import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NotAcknowledged } from '../../../src/base/errors.ts'
import { startProxy, type TestProxy } from '../../support/proxy.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { startReplica } from '../../support/replica.ts'
import { until } from '../../support/until.ts'
import { freshNamespace, openPeer, type Peer, store, warmL1 } from './store-harness.ts'

/** W, and what a busy machine may add to a timer. */
const TRUST_MS = 1_000
const SLACK_MS = 400

/**
 * When a copy was handed out for the last time. Read before each look: on a busy machine a look may
 * come late, but a late look at a copy that is gone proves nothing about how long it was served.
 */
async function lastServed(peer: Peer): Promise<number> {
  let last = 0
  await until('the copy is gone', () => {
    const before = performance.now()
    if (peer.store.peek('k') === undefined) return true
    last = before
    return false
  })
  return last
}

/** The stated exceptions of docs/3.consistency.md, each with the bound it has. */
describe('stated exceptions to freshness', () => {
  let redis: RedisServer
  let proxy: TestProxy

  beforeAll(async () => {
    redis = await startRedis()
    proxy = await startProxy(redis.port)
  })
  afterAll(async () => {
    await proxy.stop()
    await redis.stop()
  })

  it("E2: after wait 'commit', a process that hears nothing serves its copy for at most a second", async () => {
    const ns = freshNamespace()
    const writer = await openPeer(redis.url, ns, { patient: false })
    const deaf = await openPeer(proxy.url, ns, { patient: false })
    await store(writer.store, 'k', 'old')
    await warmL1(deaf, 'k')
    proxy.halfOpen('replies')
    const committed = performance.now()
    await writer.store.invalidate({ keys: ['k'] }, 'commit')
    expect((await lastServed(deaf)) - committed).toBeLessThan(TRUST_MS + SLACK_MS)
    proxy.heal()
    await deaf.close()
    await writer.close()
  })

  it("wait 'all' outwaits a process that hears nothing: its copy is gone when the call resolves", async () => {
    const ns = freshNamespace()
    const writer = await openPeer(redis.url, ns, { patient: false })
    const deaf = await openPeer(proxy.url, ns, { patient: false })
    await store(writer.store, 'k', 'old')
    await warmL1(deaf, 'k')
    proxy.halfOpen('replies')
    const started = performance.now()
    await writer.store.invalidate({ keys: ['k'] }, 'all')
    expect(deaf.store.peek('k')).toBeUndefined()
    expect(performance.now() - started).toBeLessThan(TRUST_MS * 1.02 + 10 * SLACK_MS)
    proxy.heal()
    await deaf.close()
    await writer.close()
  })

  it('E8: FLUSHALL is no invalidation; a local copy outlives it by one heartbeat, at most a second', async () => {
    const ns = freshNamespace()
    const peer = await openPeer(redis.url, ns, { patient: false })
    await store(peer.store, 'k', 'old')
    await warmL1(peer, 'k')
    const flushed = performance.now()
    await redis.cli('FLUSHALL')
    expect((await lastServed(peer)) - flushed).toBeLessThan(TRUST_MS + SLACK_MS)
    await peer.close()
  })

  it('E1: with min-replicas-to-write, a master cut off from its replicas acknowledges no invalidation', async () => {
    const master = await startRedis({ config: { 'min-replicas-to-write': 1, 'min-replicas-max-lag': 1 } })
    const replica = await startReplica(master)
    await until('the replica counts', async () => {
      const reply = await master.cli('SET', 'probe', '1').catch(() => undefined)
      return reply === 'OK'
    })
    const peer = await openPeer(master.url, freshNamespace(), { patient: false })
    await store(peer.store, 'k', 'old')
    await peer.store.invalidate({ keys: ['other'] }, 'commit')
    replica.pause()
    await until(
      'the master notices',
      async () => (await master.cli('SET', 'probe', '2').catch((error: unknown) => String(error))) !== 'OK',
    )
    await expect(peer.store.invalidate({ keys: ['k'] }, 'commit')).rejects.toThrow(NotAcknowledged)
    expect((await peer.store.read('k', [])).state).toBe('down')
    replica.resume()
    await peer.close()
    await replica.stop()
    await master.stop()
  })
})
