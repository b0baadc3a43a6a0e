import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NotAcknowledged } from '../../src/base/errors.ts'
import { gate } from '../../src/testing/cache-backend.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const sourceDown = (): never => {
  throw new Error('the source is down')
}

/** The exceptions of docs/3.consistency.md that lie in how the cache is used; the others are beside the store. */
describe('stated exceptions to freshness, seen by callers', () => {
  let redis: RedisServer
  let a: LiveCache
  let b: LiveCache

  beforeEach(async () => {
    redis = await startRedis()
    const namespace = freshNamespace()
    a = await openCache(redis.url, { namespace, deadlines: { invalidate: 300 } })
    b = await openCache(redis.url, { namespace })
  })
  afterEach(async () => {
    await a.close()
    await b.close()
    await redis.stop()
  })

  describe('E3: values served stale on purpose', () => {
    it('come only from entries that were stored with `stale`, once their ttl is over', async () => {
      await a.cache.set('kept', 'old', { ttl: 300, stale: '1m' })
      await a.cache.set('plain', 'old', { ttl: 300 })
      for (const { cache } of [a, b]) {
        // Each process has its own idea of the server's time, a few ms apart.
        await until('the ttl is over', async () => (await cache.getMany(['kept', 'plain'])).size === 0)
      }
      for (const { cache } of [a, b]) {
        expect(await cache.getOrSet('kept', sourceDown, { timeout: { soft: false } })).toBe('old')
        await expect(cache.getOrSet('plain', sourceDown)).rejects.toThrow('the source is down')
        expect(await cache.get('kept')).toBeUndefined()
      }
      expect(b.cache.stats()).toMatchObject({ staleServed: 1, hits: { stale: 1 } })
    })

    it('come after `expire` no longer than until the ttl that the value had, plus `stale`', async () => {
      await a.cache.set('k', 'old', { ttl: 1_000 })
      await a.cache.expire('k')
      const expired = performance.now()
      expect(await b.cache.getOrSet('k', sourceDown)).toBe('old')
      await until('it is gone', () =>
        b.cache.getOrSet('k', sourceDown, { backoff: 0 }).then(
          () => false,
          () => true,
        ),
      )
      expect(performance.now() - expired).toBeLessThan(1_000 + 500)
    })

    it.each<[string, (cache: LiveCache['cache']) => Promise<unknown>]>([
      ['delete', (cache) => cache.delete('k')],
      ['invalidateTag', (cache) => cache.invalidateTag('t')],
      ['deletePattern', (cache) => cache.deletePattern('k*')],
      ['clear', (cache) => cache.clear()],
      ['mutate', (cache) => cache.mutate({ keys: ['k'] }, () => undefined)],
    ])('never come after %s, whatever the source does', async (_, invalidate) => {
      await a.cache.set('k', 'old', { stale: '1m', tags: ['t'] })
      await until('the other has a copy', async () => (await b.cache.get('k')) && b.store.peek('k'))
      await a.cache.expire('k')
      await invalidate(a.cache)
      for (const { cache } of [a, b]) {
        await expect(cache.getOrSet('k', sourceDown)).rejects.toThrow('the source is down')
      }
    })

    it('never come after a hard invalidation of this process that Redis did not confirm', async () => {
      await a.cache.set('k', 'old', { stale: '1m' })
      await a.cache.set('other', 'old', { stale: '1m' })
      await until('there are copies', async () => {
        await a.cache.getMany(['k', 'other'])
        return a.store.peek('k') && a.store.peek('other')
      })
      await redis.kill()
      await expect(a.cache.delete('k')).rejects.toThrow(NotAcknowledged)
      await until('nothing can be proved any more', () => a.store.peek('other') === undefined)
      await expect(a.cache.getOrSet('k', sourceDown)).rejects.toThrow('the source is down')
      expect(await a.cache.getOrSet('other', sourceDown)).toBe('old')
    })

    it('no caller shares a load that began before him, not even while Redis is away', async () => {
      await redis.kill()
      await until('it is noticed', () => a.port.nodes()[0]!.state !== 'ready')
      const slow = gate<string>()
      let loads = 0
      const load = (value: string | Promise<string>) => () => {
        loads++
        return value
      }
      const first = a.cache.getOrSet('k', load(slow.opened))
      await until('the load runs', () => loads === 1)
      const late = [1, 2, 3].map(() => a.cache.getOrSet('k', load('after them')))
      slow.open('before them')
      expect(await first).toBe('before them')
      expect(await Promise.all(late)).toEqual(['after them', 'after them', 'after them'])
      expect(loads).toBe(2)
    })
  })

  describe('E4: a loader that reads before the commit', () => {
    /** A row that a transaction replaces while a reader comes by. */
    class Row {
      committed = 'old'
      readonly read = (): string => this.committed
    }
    const TTL = { ttl: 1_500 }

    it('caches the old row until its ttl where the writer only invalidates', async () => {
      const row = new Row()
      await a.cache.delete('row')
      // Between the invalidation and the commit.
      await b.cache.getOrSet('row', row.read, TTL)
      row.committed = 'new'
      expect(await b.cache.getOrSet('row', row.read, TTL)).toBe('old')
      await until('the ttl is over', async () => (await b.cache.getOrSet('row', row.read, TTL)) === 'new')
    })

    it('caches nothing where the writer uses mutate', async () => {
      const row = new Row()
      await b.cache.getOrSet('row', row.read)
      await a.cache.mutate({ keys: ['row'] }, async () => {
        expect(await b.cache.getOrSet('row', row.read)).toBe('old')
        row.committed = 'new'
      })
      expect(await b.cache.getOrSet('row', row.read)).toBe('new')
      expect(await a.cache.getOrSet('row', row.read)).toBe('new')
    })
  })

  describe('E5: two writers that race', () => {
    it('leave the value of the loser behind when they set without a mark', async () => {
      let row = ''
      row = 'first'
      row = 'second'
      await b.cache.set('row', 'second')
      await a.cache.set('row', 'first')
      expect(await b.cache.getOrSet('row', () => row)).toBe('first')
    })

    it('leave nothing but the truth behind when they set with a mark', async () => {
      let row = ''
      const [markOfFirst, markOfSecond] = await Promise.all([a.cache.mark(), b.cache.mark()])
      row = 'first'
      row = 'second'
      expect(await b.cache.set('row', 'second', { mark: markOfSecond })).toBe(true)
      expect(await a.cache.set('row', 'first', { mark: markOfFirst })).toBe(false)
      for (const { cache } of [a, b]) expect(await cache.getOrSet('row', () => row)).toBe('second')
    })
  })
})
