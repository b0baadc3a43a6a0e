import assert from 'node:assert/strict'
import { type CacheBackend, eventually, gate, within } from './cache-backend.ts'
import type { TestApi } from './test-api.ts'

/** Batches, defined and wrapped functions, warming. */
export function cacheBatchContract(
  api: TestApi,
  name: string,
  openBackend: () => Promise<CacheBackend>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`cache batches on ${name}`, () => {
    let backend: CacheBackend
    beforeAll(async () => {
      backend = await openBackend()
    })
    afterAll(() => backend.close())

    it('loads only the missing ids, each once, and answers by id [P24]', async () => {
      const { first, second } = await backend.open()
      await first.set('p:2', 'two')
      const asked: number[][] = []
      const load = (ids: readonly number[]) => {
        asked.push([...ids])
        return new Map(ids.map((id) => [id, `loaded ${id}`]))
      }
      const values = await second.getOrSetMany([1, 2, 3, 3, 1], (id) => `p:${id}`, load)
      assert.deepEqual(
        [...values],
        [
          [1, 'loaded 1'],
          [2, 'two'],
          [3, 'loaded 3'],
        ],
      )
      assert.deepEqual(asked, [[1, 3]])
      await first.getOrSetMany(
        [3, 1],
        (id) => `p:${id}`,
        () => assert.fail('loaded again'),
      )
    })

    it('takes an array in the order of the ids or a Record; absent ids are undefined, and cached', async () => {
      const { first } = await backend.open()
      const array = await first.getOrSetMany(
        [1, 2],
        (id) => `a:${id}`,
        (ids) => ids.map((id) => id * 10),
      )
      assert.deepEqual(
        [...array],
        [
          [1, 10],
          [2, 20],
        ],
      )
      const record = await first.getOrSetMany<string, number>(
        ['x', 'toString'],
        (id) => `r:${id}`,
        () => ({ x: 1 }),
      )
      assert.deepEqual(
        [...record],
        [
          ['x', 1],
          ['toString', undefined],
        ],
      )
      assert.equal(await first.has('r:toString'), true)
    })

    it('rejects the whole batch when the number of values is wrong, or the loader fails [P24]', async () => {
      const { first } = await backend.open()
      await assert.rejects(
        first.getOrSetMany(
          [1, 2],
          (id) => `w:${id}`,
          () => [1],
        ),
        { code: 'INVALID_VALUE' },
      )
      await assert.rejects(
        first.getOrSetMany(
          [1, 2],
          (id) => `w:${id}`,
          () => Promise.reject(new Error('down')),
        ),
        /down/,
      )
      assert.equal(await first.has('w:1'), false)
      const again = await first.getOrSetMany(
        [1, 2],
        (id) => `w:${id}`,
        (ids) => [...ids],
      )
      assert.deepEqual([...again.values()], [1, 2])
    })

    it('shares its loads with single calls, in both directions', async () => {
      const { first } = await backend.open()
      const slow = gate<number[]>()
      let loads = 0
      const batch = first.getOrSetMany(
        [1, 2],
        (id) => `s:${id}`,
        () => {
          loads++
          return slow.opened
        },
      )
      await eventually(backend, () => loads === 1)
      const single = first.getOrSet('s:1', () => {
        loads++
        return 0
      })
      slow.open([10, 20])
      assert.deepEqual([...(await within(backend, batch)).values()], [10, 20])
      assert.equal(await within(backend, single), 10)
      assert.equal(loads, 1)

      const one = gate<number>()
      let begun = false
      const running = first.getOrSet('s:3', () => {
        begun = true
        return one.opened
      })
      await eventually(backend, () => begun)
      const both = first.getOrSetMany(
        [3, 4],
        (id) => `s:${id}`,
        (ids) => ids.map(() => 99),
      )
      one.open(30)
      assert.equal(await running, 30)
      assert.deepEqual(
        [...(await within(backend, both))],
        [
          [3, 30],
          [4, 99],
        ],
      )
    })

    it('stores nothing of a batch for the key that was deleted while it loaded', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string[]>()
      const batch = first.getOrSetMany([1, 2], (id) => `d:${id}`, slow.load)
      await eventually(backend, () => slow.begun)
      await second.delete('d:1')
      slow.open(['old', 'fine'])
      assert.deepEqual([...(await batch).values()], ['old', 'fine'])
      await backend.advance(20)
      assert.equal(await first.has('d:1'), false)
      await eventually(backend, async () => (await second.get('d:2')) === 'fine')
    })

    it('writes, reads and deletes many at once [S2-26] [S2-27]', async () => {
      const { first, second } = await backend.open()
      const entries = Array.from({ length: 100 }, (_, i) => [`m:${i}`, i] as const)
      assert.equal(await first.setMany(entries), 100)
      assert.equal(await first.setMany({ 'm:x': 'x' }), 1)
      const found = await second.getMany([...entries.map(([key]) => key), 'm:x', 'm:none'])
      assert.equal(found.size, 101)
      assert.equal(found.get('m:42'), 42)
      await second.deleteMany(['m:42', 'm:43'])
      assert.deepEqual([...(await first.getMany(['m:41', 'm:42', 'm:43'])).keys()], ['m:41'])
    })

    it('defines a function with a key, tags and verbs of its own', async () => {
      const { first } = await backend.open()
      let loads = 0
      const getUser = first.define(
        { key: (id: string) => `user:${id}`, tags: (id) => [`tenant:${id[0]}`], ttl: '10m' },
        async (id, ctx) => {
          loads++
          return { id, key: ctx.key }
        },
      )
      assert.deepEqual(await getUser('a7'), { id: 'a7', key: 'user:a7' })
      assert.deepEqual(await getUser('a7'), { id: 'a7', key: 'user:a7' })
      assert.equal(loads, 1)
      assert.equal(getUser.key('a7'), 'user:a7')
      assert.deepEqual(await getUser.peek('a7'), { id: 'a7', key: 'user:a7' })
      await getUser.invalidate('a7')
      assert.equal(await getUser.peek('a7'), undefined)
      await getUser('a7')
      await first.invalidateTag('tenant:a')
      assert.equal(await getUser.peek('a7'), undefined)
      await getUser('a7')
      await eventually(backend, async () => (await getUser.peek('a7')) !== undefined)
      await getUser.expire('a7')
      assert.equal((await first.inspect('user:a7')).state, 'stale')
    })

    it('caches a function, and invalidates only after a success [S3-2] [S3-16] [S3-17]', async () => {
      const { first } = await backend.open()
      let reads = 0
      const rows = new Map([[7, 'old']])
      const getTask = first.cached(
        async (id: number) => {
          reads++
          return rows.get(id)
        },
        { prefix: 'task', ttl: '5m' },
      )
      const update = first.invalidates(
        async (id: number, text: string) => {
          if (text === '') throw new Error('refused')
          rows.set(id, text)
          return text
        },
        { patterns: ['task:*'], keys: (id) => [`other:${id}`] },
      )
      await first.set('other:7', 1)
      assert.equal(await getTask(7), 'old')
      assert.equal(await getTask(7), 'old')
      assert.equal(reads, 1)
      assert.equal(await first.get('task:7'), 'old')
      await assert.rejects(update(7, ''), /refused/)
      assert.equal(await first.has('task:7'), true)
      assert.equal(await update(7, 'new'), 'new')
      assert.equal(await first.has('other:7'), false)
      assert.equal(await getTask(7), 'new')
    })

    it('warms what is missing, reports what failed and how far it is [S3-42] [S2-45]', async () => {
      const { first, second } = await backend.open()
      await first.set('w:0', 'there')
      const seen: number[] = []
      const entries = [0, 1, 2, 3].map((i) => ({
        key: `w:${i}`,
        load: () => (i === 3 ? Promise.reject(new Error('no')) : i),
      }))
      const report = await first.warm(entries, { concurrency: 2, onProgress: ({ done }) => seen.push(done) })
      assert.deepEqual({ loaded: report.loaded, present: report.present }, { loaded: 2, present: 1 })
      assert.deepEqual(
        report.failed.map(({ key }) => key),
        ['w:3'],
      )
      assert.deepEqual(seen, [1, 2, 3, 4])
      // The fill is off the caller's path.
      await eventually(backend, async () => (await second.get('w:2')) === 2)
    })
  })
}
