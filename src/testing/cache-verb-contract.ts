import assert from 'node:assert/strict'
import { escapeGlob } from '../base/key.ts'
import type { CacheBackend } from './cache-backend.ts'
import { eventually, gate } from './cache-backend.ts'
import type { TestApi } from './test-api.ts'

/** Reading, writing and invalidating without loaders in between. */
export function cacheVerbContract(
  api: TestApi,
  name: string,
  openBackend: () => Promise<CacheBackend>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`cache verbs on ${name}`, () => {
    let backend: CacheBackend
    beforeAll(async () => {
      backend = await openBackend()
    })
    afterAll(() => backend.close())

    it('tells a cached undefined, null, 0, false and empty text from absence, on every path [P25][B5]', async () => {
      const { first, second } = await backend.open()
      for (const [i, value] of [undefined, null, 0, false, ''].entries()) {
        const key = `empty:${i}`
        assert.equal(await first.set(key, value), true)
        for (const cache of [first, second]) {
          assert.equal(await cache.get(key), value)
          assert.equal(await cache.has(key), true)
          assert.deepEqual([...(await cache.getMany([key, 'none']))], [[key, value]])
          assert.equal(await cache.getOrSet(key, () => assert.fail('loaded a cached value')), value)
        }
      }
      assert.equal(await first.has('none'), false)
      assert.equal(await first.get('none'), undefined)
    })

    it('sets, gets and deletes; without a ttl a value lives 300 s [S2-3] [S2-4] [S2-14] [S2-15] [S2-16] [S2-31]', async () => {
      const { first, second } = await backend.open()
      assert.equal(await first.set('user:1', { name: 'Mai' }), true)
      assert.deepEqual(await second.get('user:1'), { name: 'Mai' })
      const { ttlMs, state } = await first.inspect('user:1')
      assert.ok(ttlMs > 295_000 && ttlMs <= 300_500, `ttl is ${ttlMs}`)
      assert.equal(state, 'fresh')
      assert.equal(await second.delete('user:1'), true)
      assert.equal(await first.get('user:1'), undefined)
      assert.equal((await first.inspect('user:1')).state, 'absent')
    })

    it('forgets a value when its ttl is over, and stores none with ttl 0', async () => {
      const { first, second } = await backend.open()
      await first.set('short', 1, { ttl: 100 })
      assert.equal(await second.get('short'), 1)
      await backend.advance(150)
      assert.equal(await second.has('short'), false)
      assert.equal(await first.has('short'), false)
      await first.set('zero', 'old')
      assert.equal(await first.set('zero', 'new', { ttl: 0 }), false)
      assert.equal(await second.has('zero'), false)
    })

    it('overwrites for every process at once', async () => {
      const { first, second } = await backend.open()
      await first.set('v', 1)
      assert.equal(await second.get('v'), 1)
      await first.set('v', 2)
      assert.equal(await second.get('v'), 2)
    })

    it('keeps names of namespaces apart, whatever characters they are made of [S2-24]', async () => {
      const { first } = await backend.open()
      const places = [
        first,
        first.namespace('a'),
        first.namespace('a').namespace('b'),
        first.namespace('a|b'),
        first.namespace('a:b'),
      ]
      places.push(first.namespace('users[1]'), first.namespace('*'))
      const keys = ['c', 'b:c', 'b|c', 'a|b|c', 'a%7Cb', '{x}', '*', '?', '[c]', 'back\\slash', 'phở', 'a b']
      for (const [p, place] of places.entries()) for (const key of keys) await place.set(key, `${p} ${key}`)
      for (const [p, place] of places.entries())
        for (const key of keys) assert.equal(await place.get(key), `${p} ${key}`)
    })

    it('clears a namespace and what is below it in one step, and nothing else [S2-17] [P20]', async () => {
      const { first, second } = await backend.open()
      const users = first.namespace('users[1]')
      await first.set('k', 'root')
      await users.set('k', 'user')
      await users.namespace('admins').set('k', 'admin')
      await first.namespace('users').set('k', 'other')
      assert.equal(await users.clear(), true)
      assert.equal(await second.namespace('users[1]').has('k'), false)
      assert.equal(await users.namespace('admins').has('k'), false)
      assert.equal(await second.get('k'), 'root')
      assert.equal(await second.namespace('users').get('k'), 'other')
      await first.clear()
      assert.equal(await second.has('k'), false)
      assert.equal(await second.namespace('users').has('k'), false)
      await second.set('k', 'again')
      assert.equal(await first.get('k'), 'again')
    })

    it('invalidates all entries of a tag in one step; a key made right afterwards is valid [P19] [S3-43] [S3-46]', async () => {
      const { first, second } = await backend.open()
      for (let i = 0; i < 20; i++) await first.set(`p:${i}`, i, { tags: ['products', `shop:${i % 2}`] })
      await first.set('other', 1, { tags: ['users'] })
      await second.invalidateTag('shop:1')
      assert.equal(await first.has('p:1'), false)
      assert.equal(await second.get('p:1'), undefined)
      assert.equal(await first.get('p:2'), 2)
      await first.set('p:1', 'new', { tags: ['products', 'shop:1'] })
      assert.equal(await second.get('p:1'), 'new')
      await first.invalidateTag(['products', 'absent'])
      assert.deepEqual([...(await second.getMany(['p:1', 'p:2', 'other']))], [['other', 1]])
    })

    it('does not serve an entry that lacks a tag which the caller now gives', async () => {
      const { first } = await backend.open()
      await first.set('k', 'untagged')
      assert.equal(await first.get('k', { tags: ['new'] }), undefined)
      assert.equal(await first.getOrSet('k', () => 'tagged', { tags: ['new'] }), 'tagged')
      await eventually(backend, () => first.has('k', { tags: ['new'] }))
      await first.invalidateTag('new')
      assert.equal(await first.has('k', { tags: ['new'] }), false)
    })

    it('keeps an expired value as stale: not for get, but for the next reload [P13]', async () => {
      const { first, second } = await backend.open()
      await first.set('k', 'old', { tags: ['t'] })
      await second.expire('k')
      assert.equal(await first.has('k'), false)
      assert.equal((await first.inspect('k')).state, 'stale')
      const seen = gate<unknown>()
      const value = await first.getOrSet(
        'k',
        (ctx) => {
          seen.open(ctx.stale?.value)
          return 'new'
        },
        { timeout: { soft: false }, tags: ['t'] },
      )
      assert.equal(value, 'new')
      assert.equal(await seen.opened, 'old')
      await first.expireTag('t')
      assert.equal(await second.has('k'), false)
      assert.equal((await second.inspect('k')).state, 'stale')
    })

    it('gives a present entry another life, and an absent one none', async () => {
      const { first, second } = await backend.open()
      await first.set('k', 1, { ttl: 100 })
      assert.equal(await second.touch('k', '10s'), true)
      await backend.advance(150)
      assert.equal(await second.get('k'), 1)
      assert.equal(await first.touch('none', '10s'), false)
    })

    it('deletes by pattern, counts, can only count, and takes escaped characters literally [S3-18]', async () => {
      const { first, second } = await backend.open()
      for (const key of ['task:1', 'task:2', 'task:*', 'tasks:1', 'other']) await first.set(key, key)
      assert.equal(await first.deletePattern('task:*', { dryRun: true }), 3)
      assert.equal(await second.get('task:1'), 'task:1')
      assert.equal(await first.deletePattern(`task:${escapeGlob('*')}`), 1)
      assert.equal(await second.has('task:*'), false)
      assert.equal(await second.deletePattern('task:?'), 2)
      assert.deepEqual(
        [...(await first.getMany(['task:1', 'task:2', 'tasks:1', 'other'])).keys()],
        ['tasks:1', 'other'],
      )
      await first.namespace('n').set('task:9', 1)
      assert.equal(await first.namespace('n').deletePattern('*'), 1)
      assert.equal(await first.has('other'), true)
    })

    it('pages through keys by cursor, each once, counts beyond the page, and refuses a foreign cursor [S3-22]', async () => {
      const { first, second } = await backend.open()
      for (let i = 0; i < 25; i++) await first.set(`task:${i}`, i)
      await first.set('other', 1)
      await first.namespace('n').set('task:99', 1)
      const page = await second.keys('task:*', { limit: 10, budget: '10s' })
      assert.equal(page.keys.length, 10)
      assert.equal(page.found, 25)
      assert.equal(page.truncated, false)
      const seen = [...page.keys]
      let cursor = page.cursor
      while (cursor !== undefined) {
        const next = await second.keys('task:*', { limit: 10, cursor, budget: '10s' })
        seen.push(...next.keys)
        cursor = next.cursor
      }
      assert.deepEqual(seen.sort(), Array.from({ length: 25 }, (_, i) => `task:${i}`).sort())
      assert.deepEqual((await second.namespace('n').keys()).keys, ['task:99'])
      for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) await assert.rejects(first.keys('*', { limit }))
      for (const bad of ['', 'x', '~', '1~1 or 1', `${'9'.repeat(40)}~0`]) {
        await assert.rejects(first.keys('*', { cursor: bad }))
      }
    })

    it('stores with a mark only if nothing touched the key or its tags since', async () => {
      const { first, second } = await backend.open()
      const calm = await first.mark()
      assert.equal(await first.set('k', 1, { mark: calm }), true)
      const beforeDelete = await first.mark()
      await second.delete('k')
      assert.equal(await first.set('k', 2, { mark: beforeDelete }), false)
      assert.equal(await second.has('k'), false)
      await first.set('t', 1, { tags: ['x'] })
      const beforeTag = await first.mark()
      await second.invalidateTag('x')
      assert.equal(await first.set('t', 2, { mark: beforeTag, tags: ['x'] }), false)
    })

    it('caches nothing under the names of a running mutation, and forgets them at its end [S3-3]', async () => {
      const { first, second } = await backend.open()
      await first.set('k', 'old', { tags: ['t'] })
      const tx = gate<string>()
      const mutation = first.mutate({ keys: ['k'], tags: ['t'] }, () => tx.opened)
      await backend.advance(10)
      assert.equal(await second.get('k'), undefined)
      assert.equal(await second.getOrSet('k', () => 'read inside'), 'read inside')
      assert.equal(await second.getOrSet('l', () => 'tagged', { tags: ['t'] }), 'tagged')
      assert.equal(await second.has('k'), false)
      assert.equal(await first.has('l'), false)
      tx.open('committed')
      assert.equal(await mutation, 'committed')
      assert.equal(await second.getOrSet('k', () => 'new'), 'new')
      assert.equal(await first.get('k'), 'new')
      await assert.rejects(
        first.mutate({ keys: ['k'] }, () => Promise.reject(new Error('rolled back'))),
        /rolled back/,
      )
      assert.equal(await second.getOrSet('k', () => 'after'), 'after')
    })

    it('never hands one mutable object to two callers', async () => {
      for (const share of ['frozen', 'copy'] as const) {
        const { first, second } = await backend.open({ l1: { share } })
        const source = { list: [1], deep: { n: 1 } }
        const values: { list: number[]; deep: { n: number } }[] = []
        for (const cache of [first, first, second, second])
          values.push(await cache.getOrSet('k', () => source))
        values.push(
          (await first.get('k'))!,
          (await first.getMany<{ list: number[]; deep: { n: number } }>(['k'])).get('k')!,
        )
        for (const value of values) {
          assert.notEqual(value, source)
          try {
            value.deep.n++
            value.list.push(9)
          } catch (error) {
            assert.ok(share === 'frozen' && error instanceof TypeError)
          }
        }
        assert.deepEqual(await first.get('k'), { list: [1], deep: { n: 1 } })
        assert.deepEqual(await second.getOrSet('k', () => source), { list: [1], deep: { n: 1 } })
      }
    })

    it('counts hits, misses, sets, deletes and invalidations exactly, per namespace [S2-5] [S2-18] [S2-19]', async () => {
      const { first } = await backend.open()
      const ns = first.namespace('counted')
      for (let i = 0; i < 30; i++) await ns.getOrSet(`k${i}`, () => i)
      for (let round = 0; round < 7; round++) for (let i = 0; i < 10; i++) await ns.get(`k${i}`)
      await ns.set('x', 1)
      await ns.delete('x')
      await ns.invalidateTag('none')
      const { hits, misses, errors, loads, sets, deletes, invalidations, hitRate } = ns.stats()
      assert.equal(hits.l1 + hits.l2, 70)
      assert.deepEqual(
        { misses, errors, loads, sets, deletes, invalidations, hitRate, stale: hits.stale },
        {
          misses: 30,
          errors: 0,
          loads: 30,
          sets: 1,
          deletes: 1,
          invalidations: 1,
          hitRate: 70,
          stale: 0,
        },
      )
      assert.equal(first.stats().misses, 30)
      const { namespaces: _, store: __, ...own } = ns.stats()
      assert.deepEqual(first.stats().namespaces.counted, own)
    })

    it('refuses every verb after close', async () => {
      const { first } = await backend.open()
      await first.close()
      await assert.rejects(first.get('k'), { code: 'CLOSED' })
      await assert.rejects(first.set('k', 1), { code: 'CLOSED' })
      await assert.rejects(
        first.getOrSet('k', () => 1),
        { code: 'CLOSED' },
      )
      await assert.rejects(first.invalidateTag('t'), { code: 'CLOSED' })
    })
  })
}
