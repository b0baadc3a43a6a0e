import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
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

describe('leased epochs on a real server', () => {
  let redis: RedisServer
  let a: Peer
  let b: Peer
  let ns: string
  const key = (kind: string, name = ''): string => `hf:{${ns}:0}:${kind}${name && `:${name}`}`

  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  beforeEach(async () => {
    ns = freshNamespace()
    a = await openPeer(redis.url, ns)
    b = await openPeer(redis.url, ns)
    return async () => {
      await a.close()
      await b.close()
    }
  })

  it('refuses a fill whose key was deleted during the load [P3]', async () => {
    const lease = await granted(a.store, 'k')
    await b.store.invalidate({ keys: ['k'] }, 'commit')
    expect(await a.store.fill(lease, draft('old'))).toEqual({ state: 'refused' })
    expect(await b.store.read('k', [])).toEqual({ state: 'miss' })
  })

  it('refuses a fill whose tag was invalidated during the load', async () => {
    const lease = await granted(a.store, 'k', ['t'])
    await b.store.invalidate({ tags: ['t'] }, 'commit')
    expect((await a.store.fill(lease, draft('old', { tags: ['t'] }))).state).toBe('refused')
  })

  it('refuses a fill with a tag that only the loader named, invalidated during the load', async () => {
    const lease = await granted(a.store, 'k')
    await b.store.invalidate({ tags: ['dynamic'] }, 'commit')
    expect((await a.store.fill(lease, draft('old', { tags: ['dynamic'] }))).state).toBe('refused')
  })

  it('refuses every fill that was leased before a clear, and spares foreign keys [S2-17] [B7]', async () => {
    await redis.cli('SET', 'otherapp:x', '1')
    await store(a.store, 'kept', 1)
    const lease = await granted(a.store, 'k')
    await b.store.invalidate({ all: true }, 'commit')
    expect((await a.store.fill(lease, draft('old'))).state).toBe('refused')
    expect((await b.store.read('kept', [])).state).toBe('miss')
    expect(await redis.cli('GET', 'otherapp:x')).toBe('1')
  })

  it('refuses every fill that was leased before a pattern was invalidated', async () => {
    const lease = await granted(a.store, 'user:1')
    expect(await b.store.invalidatePattern('user:*', { wait: 'commit', dryRun: false, soft: false })).toBe(0)
    expect((await a.store.fill(lease, draft('old'))).state).toBe('refused')
  })

  it('refuses a late holder after its lease lapsed and another filled', async () => {
    const late = await granted(a.store, 'k')
    await redis.cli('DEL', key('l', 'k'))
    await store(b.store, 'k', 'new')
    expect((await a.store.fill(late, draft('old'))).state).toBe('refused')
    expect(valueIn(await a.store.read('k', []))).toBe('new')
  })

  it('gives one lease at a time and hands it on when it is given back', async () => {
    const lease = await granted(a.store, 'k')
    expect((await b.store.lease('k', [])).state).toBe('busy')
    await a.store.release(lease)
    expect((await b.store.lease('k', [])).state).toBe('granted')
  })

  it('renews only a lease that is still its own', async () => {
    const lease = await granted(a.store, 'k')
    expect(await a.store.renew(lease)).toBe(true)
    await b.store.invalidate({ keys: ['k'] }, 'commit')
    expect(await a.store.renew(lease)).toBe(false)
  })

  it('treats a missing tag version as a miss, never as valid', async () => {
    await store(a.store, 'k', 1, { tags: ['t'] })
    expect((await b.store.read('k', ['t'])).state).toBe('found')
    await redis.cli('DEL', key('t', 't'))
    expect((await b.store.read('k', ['t'])).state).toBe('miss')
  })

  it('does not bring an old entry back when an evicted tag version is made anew', async () => {
    await store(a.store, 'k', 'old', { tags: ['t'] })
    await b.store.invalidate({ tags: ['t'] }, 'commit')
    await store(b.store, 'other', 1, { tags: ['t'] })
    expect((await a.store.read('k', ['t'])).state).toBe('miss')
  })

  it('lets everything miss when the word is lost, and starts a new epoch', async () => {
    await store(a.store, 'k', 1)
    const before = await redis.cli('GET', key('w'))
    await redis.cli('DEL', key('w'))
    expect((await b.store.read('k', [])).state).toBe('miss')
    await store(b.store, 'k', 2)
    expect(String(await redis.cli('GET', key('w'))).split(':')[0]).not.toBe(String(before).split(':')[0])
    expect(valueIn(await a.store.read('k', []))).toBe(2)
  })

  it('does not serve an entry under tags that its caller has added since', async () => {
    await store(a.store, 'k', 1, { tags: ['one'] })
    expect((await a.store.read('k', ['one', 'two'])).state).toBe('miss')
    expect((await a.store.lease('k', ['one', 'two'])).state).toBe('granted')
  })

  it('keeps soft-expired values as stale, of a key and of a tag', async () => {
    await store(a.store, 'k1', 1, { staleMs: 60_000 })
    await store(a.store, 'k2', 2, { staleMs: 60_000, tags: ['t'] })
    await b.store.invalidate({ keys: ['k1'], tags: ['t'], soft: true }, 'commit')
    for (const name of ['k1', 'k2']) {
      const reply = await a.store.read(name, [])
      expect(reply.state === 'found' && reply.entry.freshUntil).toBe(0)
    }
  })

  it('voids the lease of a load that began before a soft expiry', async () => {
    const lease = await granted(a.store, 'k', ['t'])
    await b.store.invalidate({ tags: ['t'], soft: true }, 'commit')
    expect((await a.store.fill(lease, draft('old', { tags: ['t'] }))).state).toBe('refused')
  })

  it('accepts a marked write only while nothing touched the key since the mark', async () => {
    const mark = await a.store.mark()
    expect(await a.store.set([{ key: 'k', draft: draft(1) }], { wait: 'commit', mark })).toEqual(['stored'])
    expect(await b.store.set([{ key: 'k', draft: draft(0) }], { wait: 'commit', mark })).toEqual(['refused'])
    // Refused means invalidated: nobody knows any more which value is right.
    expect((await a.store.read('k', [])).state).toBe('miss')
  })

  it('fences a key and a tag: no hit, no lease and no fill until lifted', async () => {
    await store(a.store, 'k', 'old')
    const running = await granted(b.store, 'tagged')
    const fence = await a.store.fence({ keys: ['k'], tags: ['t'] }, 5_000)
    expect((await b.store.read('k', [])).state).toBe('miss')
    expect((await b.store.lease('k', [])).state).toBe('fenced')
    expect((await b.store.lease('x', ['t'])).state).toBe('fenced')
    expect((await b.store.fill(running, draft(1, { tags: ['t'] }))).state).toBe('refused')
    await fence.lift('commit')
    expect((await b.store.lease('k', [])).state).toBe('granted')
  })

  it('keeps a second fence standing when the first is lifted', async () => {
    const first = await a.store.fence({ keys: ['k'], tags: [] }, 5_000)
    const second = await b.store.fence({ keys: ['k'], tags: [] }, 5_000)
    await first.lift('commit')
    expect((await a.store.lease('k', [])).state).toBe('fenced')
    await second.lift('commit')
    expect((await a.store.lease('k', [])).state).toBe('granted')
  })

  it('drops the copy in another process before an invalidation resolves', async () => {
    await store(a.store, 'k', 'old', { tags: ['t'] })
    await warmL1(b, 'k')
    await a.store.invalidate({ tags: ['t'] }, 'all')
    expect(b.store.peek('k')).toBeUndefined()
    await store(a.store, 'k', 'new', { tags: ['t'] })
    await warmL1(b, 'k')
    await a.store.invalidate({ keys: ['k'] }, 'all')
    expect(b.store.peek('k')).toBeUndefined()
    await store(a.store, 'k', 'newer')
    await warmL1(b, 'k')
    await a.store.invalidate({ all: true }, 'all')
    expect(b.store.peek('k')).toBeUndefined()
  })

  it('drops matching copies elsewhere even when the server has evicted the entry', async () => {
    await store(a.store, 'user:1', 'old')
    await warmL1(b, 'user:1')
    await redis.cli('DEL', key('e', 'user:1'))
    await a.store.invalidatePattern('user:*', { wait: 'all', dryRun: false, soft: false })
    expect(b.store.peek('user:1')).toBeUndefined()
  })

  it('counts with dryRun and touches nothing; glob characters of ids match only themselves [S3-18]', async () => {
    await store(a.store, 'task:1', 1)
    await store(a.store, 'task:2', 2)
    await store(a.store, 'tasks', 3)
    const options = { wait: 'commit', soft: false } as const
    expect(await a.store.invalidatePattern('task:*', { ...options, dryRun: true })).toBe(2)
    expect((await a.store.read('task:1', [])).state).toBe('found')
    expect(await a.store.invalidatePattern('task:*', { ...options, dryRun: false })).toBe(2)
    expect((await a.store.read('task:1', [])).state).toBe('miss')
    expect((await a.store.read('tasks', [])).state).toBe('found')
  })

  it('stops serving copies when the push connection is cut, and starts again by itself', async () => {
    await store(a.store, 'k', 1)
    await warmL1(b, 'k')
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until('copies are distrusted', () => b.store.peek('k') === undefined)
    await warmL1(b, 'k')
  })

  it('is fresh after a delete that the subscriber could not hear', async () => {
    await store(a.store, 'k', 'old')
    await warmL1(b, 'k')
    await Promise.all([
      redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'),
      a.store.invalidate({ keys: ['k'] }, 'all'),
    ])
    expect(b.store.peek('k')).toBeUndefined()
    expect((await b.store.read('k', [])).state).toBe('miss')
  })

  it('counts entries that cannot be read as one miss each and nothing else', async () => {
    const good = await store(a.store, 'good', 1)
    expect(good.state).toBe('stored')
    const raw = String(await redis.cli('GET', key('e', 'good')))
    const broken = ['', 'garbage', raw.slice(0, 20), raw.replace('hf1', 'hf9'), `${raw.split('\n')[0]}`]
    for (const [i, text] of broken.entries()) await redis.cli('SET', key('e', `bad${i}`), text)
    for (const i of broken.keys()) expect((await b.store.read(`bad${i}`, [])).state).toBe('miss')
    expect(b.store.counters().corrupt).toBe(broken.length)
    expect((await b.store.read('good', [])).state).toBe('found')
  })

  it('lets nothing in the cache live without a TTL but the word of the bucket [S0-20]', async () => {
    await store(a.store, 'k', 1, { tags: ['t'], ttlMs: 1_000 })
    await a.store.invalidate({ keys: ['x'], tags: ['u'] }, 'commit')
    const fence = await a.store.fence({ keys: ['f'], tags: [] }, 1_000)
    await granted(a.store, 'leased')
    for (const name of (await redis.cli('KEYS', `hf:{${ns}:*`)) as string[]) {
      const life = Number(await redis.cli('PTTL', name))
      if (name === key('w')) expect(life).toBe(-1)
      else expect(life, name).toBeGreaterThan(0)
    }
    expect(Number(await redis.cli('PTTL', key('t', 't')))).toBeGreaterThan(1_000)
    await fence.lift('commit')
  })

  it('gives an entry another life without touching its value', async () => {
    await store(a.store, 'k', 1, { tags: ['t'], ttlMs: 500 })
    expect(await b.store.touch('k', 60_000, 0)).toBe(true)
    expect(Number(await redis.cli('PTTL', key('e', 'k')))).toBeGreaterThan(30_000)
    expect(valueIn(await a.store.read('k', ['t']))).toBe(1)
    expect(await b.store.touch('absent', 60_000, 0)).toBe(false)
  })

  it('explains an entry that is there and would not be served', async () => {
    await store(a.store, 'k', 1, { tags: ['t'] })
    expect(await a.store.inspect('k')).toMatchObject({ invalid: undefined, bucket: 0, leased: false })
    await b.store.invalidate({ tags: ['t'] }, 'commit')
    expect(await a.store.inspect('k')).toMatchObject({ tier: 'redis', invalid: 'tag' })
    await b.store.invalidate({ all: true }, 'commit')
    expect(await a.store.inspect('k')).toMatchObject({ tier: 'redis', invalid: 'epoch' })
    expect(await a.store.inspect('absent')).toMatchObject({ tier: 'none', invalid: undefined })
  })
})
