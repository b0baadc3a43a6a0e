import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NotAcknowledged } from '../../../src/base/errors.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { until } from '../../support/until.ts'
import {
  draft,
  freshNamespace,
  granted,
  openPeer,
  type Peer,
  store,
  valueIn,
  warmL1,
} from './store-harness.ts'

describe('the cache store while Redis is away', () => {
  let redis: RedisServer
  let a: Peer
  let b: Peer
  let ns: string

  beforeEach(async () => {
    redis = await startRedis({ aof: 'always' })
    ns = freshNamespace()
    a = await openPeer(redis.url, ns, { patient: false })
    b = await openPeer(redis.url, ns, { patient: false })
  })
  afterEach(async () => {
    await a.close()
    await b.close()
    await redis.stop()
  })

  it('rejects an invalidation as not acknowledged, bypasses the name, and replays it first', async () => {
    await store(a.store, 'k', 'old')
    await redis.kill()
    await expect(a.store.invalidate({ keys: ['k'] }, 'all')).rejects.toThrow(NotAcknowledged)
    expect(a.store.counters().journal).toBe(1)
    expect((await a.store.read('k', [])).state).toBe('down')
    await redis.restart()
    await until('the journal is replayed', () => a.store.counters().journal === 0)
    expect((await b.store.read('k', [])).state).not.toBe('found')
  })

  it('still acknowledges when Redis comes back within the deadline', async () => {
    // How long a server takes to start is the machine's affair, not the subject here.
    const patient = await openPeer(redis.url, ns, { invalidate: 45_000 })
    await redis.kill()
    const pending = patient.store.invalidate({ keys: ['k'] }, 'commit')
    await redis.restart()
    await pending
    expect(patient.store.counters().journal).toBe(0)
    await patient.close()
  })

  it('gives a fence up at once that it cannot set: the transaction runs all the same, and waits only at its end', async () => {
    const patient = await openPeer(redis.url, ns, { invalidate: 45_000 })
    await redis.kill()
    const from = performance.now()
    await expect(patient.store.fence({ keys: ['k'], tags: [] }, 1_000)).rejects.toThrow(NotAcknowledged)
    expect(performance.now() - from).toBeLessThan(20_000)
    expect((await patient.store.read('k', [])).state).toBe('down')
    await redis.restart()
    await until('the journal is replayed', () => patient.store.counters().journal === 0)
    await patient.close()
  })

  it('coalesces what it journals, and bypasses tags as well as keys', async () => {
    await store(a.store, 'tagged', 1, { tags: ['t'] })
    await redis.kill()
    const failed: unknown[] = []
    for (let i = 0; i < 20; i++) a.store.invalidate({ tags: ['t'] }, 'commit').catch((e) => failed.push(e))
    await until('all were refused', () => failed.length === 20)
    expect(a.store.counters().journal).toBe(1)
    expect((await a.store.read('tagged', ['t'])).state).toBe('down')
  })

  it('takes its own copies away although Redis could not be told', async () => {
    await store(a.store, 'k', 'old', { tags: ['t'] })
    await warmL1(a, 'k')
    redis.pause()
    const refused = a.store.invalidate({ tags: ['t'] }, 'all').catch((error) => error)
    expect(await refused).toBeInstanceOf(NotAcknowledged)
    expect(a.store.peek('k')).toBeUndefined()
    redis.resume()
    await until('the journal is replayed', () => a.store.counters().journal === 0)
    expect((await a.store.read('k', ['t'])).state).toBe('miss')
  })

  it('answers reads, leases and fills as down or bypassed within the deadline, never by throwing', async () => {
    const lease = await granted(a.store, 'k')
    redis.pause()
    const started = performance.now()
    expect((await a.store.read('k', [])).state).toBe('down')
    expect((await a.store.lease('k', [])).state).toBe('down')
    expect((await a.store.fill(lease, draft(1))).state).toBe('bypassed')
    expect(performance.now() - started).toBeLessThan(2_000)
    redis.resume()
    await until('it answers again', async () => (await a.store.read('k', [])).state !== 'down')
  })

  it('never serves what a restart from an older snapshot brought back', async () => {
    await store(a.store, 'k', 'old')
    await redis.cli('SAVE')
    await a.store.invalidate({ keys: ['k'] }, 'commit')
    await redis.kill()
    await redis.restart({ keepData: true })
    await until('connected again', () => a.port.health().nodes[0]?.state === 'ready')
    expect(['miss', 'down']).toContain((await a.store.read('k', [])).state)
    const reply = await until('it can be asked', async () => {
      const read = await a.store.read('k', [])
      return read.state === 'down' ? undefined : read
    })
    expect(valueIn(reply)).toBeUndefined()
  })

  it('offers a copy that cannot be proved any more only as a leftover, and none that was invalidated', async () => {
    await store(a.store, 'kept', 1, { staleMs: 60_000 })
    await store(a.store, 'gone', 1, { staleMs: 60_000 })
    await warmL1(b, 'kept')
    await warmL1(b, 'gone')
    await a.store.invalidate({ keys: ['gone'] }, 'all')
    await redis.kill()
    await until('copies are distrusted', () => b.store.peek('kept') === undefined)
    const kept = await b.store.read('kept', [])
    expect(kept.state === 'down' && kept.leftover?.key).toBe('kept')
    const gone = await b.store.read('gone', [])
    expect(gone.state === 'down' && gone.leftover).toBeUndefined()
  })

  it('invalidates on a server that is full, and counts a fill that it refuses [S2-8] [S4-37]', async () => {
    await store(a.store, 'k', 'old')
    const lease = await granted(a.store, 'new')
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1mb')
    expect((await a.store.fill(lease, draft('x'.repeat(1_000)))).state).toBe('bypassed')
    expect(a.store.counters().bypassedFills).toBe(1)
    await a.store.invalidate({ keys: ['k'], tags: ['t'] }, 'all')
    expect((await b.store.read('k', [])).state).toBe('miss')
    expect((await a.store.lease('k', [])).state).toBe('down')
    expect(await a.store.set([{ key: 'k', draft: draft(1) }], { wait: 'commit' })).toEqual(['bypassed'])
    await a.store.invalidate({ all: true }, 'commit')
  })

  it('leaves a quarter of a server that does not evict to what must not be lost [S2-30][B11]', async () => {
    await redis.cli('SET', 'session:data', Buffer.alloc(20_000_000))
    const used = Number(/used_memory:(\d+)/.exec(String(await redis.cli('INFO', 'memory')))?.[1])
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', Math.round(used * 1.2))
    let n = 0
    await until('the cache leaves room', async () => {
      const lease = await granted(a.store, `k${n++}`)
      return (await a.store.fill(lease, draft(1))).state === 'bypassed'
    })
    expect(a.store.counters().bypassedFills).toBeGreaterThan(0)
    expect(await a.store.set([{ key: 'set', draft: draft(1) }], { wait: 'commit' })).toEqual(['bypassed'])
    expect(await redis.cli('SET', 'queue:job', 'must not be refused')).toBe('OK')
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await until('it fills again where the server evicts', async () => {
      const lease = await granted(a.store, `k${n++}`)
      return (await a.store.fill(lease, draft(1))).state === 'stored'
    })
  })

  it('goes on after SCRIPT FLUSH without a single failed call', async () => {
    await store(a.store, 'k', 1)
    await redis.cli('SCRIPT', 'FLUSH')
    expect((await a.store.lease('other', [])).state).toBe('granted')
    await a.store.invalidate({ keys: ['k'] }, 'commit')
    expect((await b.store.read('k', [])).state).toBe('miss')
  })
})
