import assert from 'node:assert/strict'
import { LoadFailed } from '../base/errors.ts'
import { type CacheBackend, eventually } from './cache-backend.ts'
import type { TestApi } from './test-api.ts'

/** Bad input of every kind, and damage in the store. */
export function cacheInputContract(
  api: TestApi,
  name: string,
  openBackend: () => Promise<CacheBackend>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`bad input on ${name}`, () => {
    let backend: CacheBackend
    beforeAll(async () => {
      backend = await openBackend()
    })
    afterAll(() => backend.close())

    const BAD_KEYS: readonly unknown[] = [
      '',
      7,
      null,
      undefined,
      {},
      'a\nb',
      'a\u0000',
      '\u007f',
      '\u0085',
      '\ud800',
      'x\udc00y',
    ]

    it('refuses keys and tags that are no names, with every verb [S2-24]', async () => {
      const { first } = await backend.open()
      const wrong = { code: 'INVALID_KEY' }
      for (const given of BAD_KEYS) {
        const bad = given as string
        await assert.rejects(
          first.getOrSet(bad, () => 1),
          wrong,
        )
        await assert.rejects(first.get(bad), wrong)
        await assert.rejects(first.has(bad), wrong)
        await assert.rejects(first.set(bad, 1), wrong)
        await assert.rejects(first.delete(bad), wrong)
        await assert.rejects(first.expire(bad), wrong)
        await assert.rejects(first.touch(bad, 1), wrong)
        await assert.rejects(first.getMany([bad]), wrong)
        await assert.rejects(first.deleteMany([bad]), wrong)
        await assert.rejects(
          first.getOrSetMany(
            [1],
            () => bad,
            () => [1],
          ),
          wrong,
        )
        await assert.rejects(first.invalidateTag([bad]), wrong)
        await assert.rejects(first.deletePattern(bad), wrong)
        await assert.rejects(first.set('k', 1, { tags: [bad] }), wrong)
        assert.throws(() => first.namespace(bad), wrong)
      }
      await assert.rejects(
        first.getOrSet('k', (ctx) => ctx.tag('')),
        wrong,
      )
      await assert.rejects(first.set('k', 1, { tags: ['~mine'] }), { code: 'INVALID_OPTION' })
    })

    it('keeps very long keys apart although it stores only their hash [S2-24]', async () => {
      const { first, second } = await backend.open()
      const long = 'k'.repeat(2_000)
      await first.set(`${long}a`, 'a')
      await first.set(`${long}b`, 'b')
      await first.set('ở'.repeat(300), 'wide')
      assert.equal(await second.get(`${long}a`), 'a')
      assert.equal(await second.get(`${long}b`), 'b')
      assert.equal(await second.get('ở'.repeat(300)), 'wide')
      const { name } = await first.inspect(`${long}a`)
      assert.ok(Buffer.byteLength(name) < 128)
    })

    it('refuses durations and numbers out of range, and option names nobody knows', async () => {
      const { first } = await backend.open()
      const wrong = { code: 'INVALID_OPTION' }
      for (const ttl of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5 parsecs', '', null, {}, true]) {
        const options = { ttl: ttl as number }
        if (ttl === null) continue
        await assert.rejects(
          first.getOrSet('fresh', () => 1, options),
          wrong,
          `ttl ${String(ttl)}`,
        )
        await assert.rejects(first.set('fresh', 1, options), wrong)
        await assert.rejects(
          first.getOrSet('fresh', (ctx) => ctx.ttl(ttl as number)),
          wrong,
        )
      }
      await first.set('present', 1)
      await assert.rejects(first.touch('present', -5), wrong)
      const nonsense = [
        { jitter: 1 },
        { jitter: -0.1 },
        { refreshAhead: 2 },
        { xfetch: Number.NaN },
        { timeout: { hard: 0 } },
        { timeout: { soft: -1 } },
        { maxValueBytes: -1 },
        { codec: 'xml' },
        { tll: '5m' },
        { timeout: { sof: 1 } },
        { tags: 'one' },
      ]
      for (const options of nonsense)
        await assert.rejects(first.set('k', 1, options as object), wrong, JSON.stringify(options))
      await assert.rejects(first.getOrSet('k', 'no function' as unknown as () => 1), wrong) // as plain JavaScript would
      assert.equal(await first.has('fresh'), false)
    })

    it('refuses values that the codec would change, naming the place and never the value', async () => {
      const { first } = await backend.open()
      const circle: Record<string, unknown> = {}
      circle.self = circle
      const secret = 'hunter2'
      class Account {
        #password = secret
        check = (given: string) => given === this.#password
      }
      const values: unknown[] = [
        () => secret,
        Symbol(secret),
        1n,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        circle,
        new Map([[secret, 1]]),
        new Set([secret]),
        Promise.resolve(secret),
        new Error(secret),
        new Date(Number.NaN),
        [undefined],
        new Uint8Array(2),
        /x/,
        new Account(),
      ]
      for (const value of values) {
        for (const call of [
          first.set('k', { at: { deep: [value] } }),
          first.getOrSet('k', () => ({ at: { deep: [value] } })),
        ]) {
          await assert.rejects(call, (error: Error & { code?: string }) => {
            assert.equal(error.code, 'INVALID_VALUE', String(error))
            assert.match(error.message, /at \.at\.deep\[0\]|contains itself/)
            assert.doesNotMatch(error.message, /hunter2/)
            return true
          })
        }
      }
      assert.equal(await first.has('k'), false)
    })

    it('returns a loaded value that is too large without storing it, and refuses to set it', async () => {
      const { first } = await backend.open()
      const big = { text: 'x'.repeat(1_000) }
      assert.deepEqual(await first.getOrSet('big', () => big, { maxValueBytes: 500 }), big)
      await backend.advance(20)
      assert.equal(await first.has('big'), false)
      assert.equal(first.stats().bypassed, 1)
      await assert.rejects(first.set('big', big, { maxValueBytes: 500 }), { code: 'INVALID_VALUE' })
    })

    it('turns a falsy rejection into an error, for every caller alike', async () => {
      const { first } = await backend.open()
      for (const nothing of [undefined, null, 0, false, '']) {
        const load = () => Promise.reject(nothing)
        const results = await Promise.allSettled([first.getOrSet('k', load), first.getOrSet('k', load)])
        for (const result of results) {
          assert.ok(result.status === 'rejected' && result.reason instanceof LoadFailed)
        }
        await assert.rejects(
          first.getOrSet('k', () => {
            throw nothing
          }),
          { code: 'LOAD_FAILED' },
        )
      }
      await assert.rejects(
        first.getOrSet('k', () => Promise.reject('text')),
        (error) => error === 'text',
      )
    })

    it('makes one counted miss of a corrupt entry, and no other entry suffers', async () => {
      const pair = await backend.open()
      const { first } = pair
      for (const key of ['a', 'b', 'c']) await first.set(key, { key })
      await pair.corrupt('a')
      await pair.corrupt('c')
      assert.equal(await first.get('a'), undefined)
      const before = first.stats()
      assert.deepEqual(
        { corrupt: before.corrupt, misses: before.misses, errors: before.errors },
        { corrupt: 1, misses: 1, errors: 0 },
      )
      assert.deepEqual(await first.getMany(['a', 'b']), new Map([['b', { key: 'b' }]]))
      assert.deepEqual(await first.getOrSet('a', () => ({ key: 'loaded' })), { key: 'loaded' })
      await eventually(backend, () => first.has('a'))
      assert.deepEqual(await first.get('a'), { key: 'loaded' })
      const batch = await first.getOrSetMany(
        ['b', 'c'],
        (id) => id,
        (ids) => ids.map((key) => ({ key: `new ${key}` })),
      )
      assert.deepEqual([...batch.values()], [{ key: 'b' }, { key: 'new c' }])
    })

    it('drops keys that would poison a prototype', async () => {
      const { first, second } = await backend.open()
      await first.set(
        'k',
        JSON.parse('{"__proto__":{"admin":true},"a":{"constructor":{"prototype":{}},"b":1}}'),
      )
      const value = (await second.get<{ a: object }>('k'))!
      assert.deepEqual(value, { a: { b: 1 } })
      assert.equal(Object.getPrototypeOf(value), Object.prototype)
    })

    it('round-trips BigInt, v8, msgpack, compressed and encrypted values', async () => {
      const key = Buffer.alloc(32, 7)
      const { first, second } = await backend.open({ encryption: { keys: { k1: key } } })
      const text = {
        rows: Array.from({ length: 2_000 }, (_, i) => ({ id: i, name: `Món số ${i}`, price: i * 1_000 })),
      }
      const cases = [
        ['bigint', { n: 2n ** 80n, $b: 'mine', list: [1n] }, { bigint: true }],
        ['v8', { when: new Date(5), map: new Map([[1, 2]]) }, { codec: 'v8' }],
        ['msgpack', { a: [1, 'two', null, true], when: new Date(5) }, { codec: 'msgpack' }],
        ['large', text, {}],
        ['sensitive', text, { sensitive: true }],
        ['both', text, { sensitive: true, compress: 100 }],
        ['private', { a: 1 }, { l1: false }],
      ] as const
      for (const [name, value, options] of cases) {
        await first.set(name, value, options)
        assert.deepEqual(await second.get(name, options), value, name)
        assert.deepEqual(await first.getOrSet(name, () => assert.fail('loaded'), options), value, name)
      }
      assert.ok((await first.inspect('large')).bytes < 60_000)
      const stranger = await backend.open({ encryption: { keys: { k2: Buffer.alloc(32, 8) } } })
      assert.equal(await stranger.first.get('sensitive'), undefined)
    })
  })
}
