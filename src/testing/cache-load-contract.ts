import assert from 'node:assert/strict'
import { LEASE_MS } from '../cache/store.ts'
import { type CacheBackend, eventually, gate, within } from './cache-backend.ts'
import type { TestApi } from './test-api.ts'

/** Loading once for everybody, and what an invalidation during a load does. */
export function cacheLoadContract(
  api: TestApi,
  name: string,
  openBackend: () => Promise<CacheBackend>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`cache loads on ${name}`, () => {
    let backend: CacheBackend
    beforeAll(async () => {
      backend = await openBackend()
    })
    afterAll(() => backend.close())

    it('answers ten thousand concurrent misses of one key with one load [P1] [S2-46] [S3-46]', async () => {
      const { first } = await backend.open()
      const slow = gate<{ v: number }>()
      let loads = 0
      const calls = Array.from({ length: 10_000 }, () =>
        first.getOrSet('hot', () => {
          loads++
          return slow.opened
        }),
      )
      await eventually(backend, () => loads > 0)
      slow.open({ v: 1 })
      const values = await Promise.all(calls)
      assert.ok(values.every((value) => value.v === 1))
      assert.equal(loads, 1)
      const { joined, hits } = first.stats()
      // Who asked the server before the load and heard back after it finds the value there.
      assert.equal(joined + hits.l1 + hits.l2, 9_999)
    })

    it('loads once for two processes; the second waits for what the first brings [S2-46]', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const one = first.getOrSet('k', slow.load)
      await eventually(backend, () => slow.begun)
      const two = second.getOrSet('k', () => assert.fail('loaded twice'))
      await backend.advance(20)
      slow.open('once')
      assert.deepEqual(await within(backend, Promise.all([one, two])), ['once', 'once'])
    })

    it('takes over the lease of a process that died, without an error', async () => {
      const { second, store } = await backend.open()
      const dead = await store.lease('k', [])
      assert.equal(dead.state, 'granted')
      let isDone = false
      const call = second
        .getOrSet('k', () => 'taken over')
        .then((value) => {
          isDone = true
          return value
        })
      await backend.advance(LEASE_MS / 4)
      assert.equal(isDone, false)
      assert.equal(await within(backend, call, LEASE_MS * 2), 'taken over')
      assert.equal(await second.get('k'), 'taken over')
    })

    it('does not store what a process brings after its lease has passed to another', async () => {
      const { first, store } = await backend.open()
      const late = await store.lease('k', [])
      assert.ok(late.state === 'granted')
      await backend.advance(LEASE_MS + 100)
      await first.getOrSet('k', () => 'new')
      await eventually(backend, () => first.has('k'))
      const draft = {
        body: '"old"',
        flags: '',
        tags: [],
        ttlMs: 1_000,
        staleMs: 0,
        loadMs: 1,
        etag: undefined,
      }
      assert.equal((await store.fill(late.lease, draft)).state, 'refused')
      assert.equal(await first.get('k'), 'new')
    })

    it('keeps the lease of a long load alive', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const one = first.getOrSet('k', slow.load)
      await eventually(backend, () => slow.begun)
      await backend.advance(LEASE_MS * 1.5)
      const two = second.getOrSet('k', () => assert.fail('the lease was lost'))
      await backend.advance(LEASE_MS / 2)
      slow.open('long')
      assert.deepEqual(await within(backend, Promise.all([one, two])), ['long', 'long'])
      assert.equal(await second.get('k'), 'long')
    })

    it('gives a failure to all who wait, then lets the next load, never two at once [P2]', async () => {
      const { first } = await backend.open()
      let running = 0
      let most = 0
      let loads = 0
      const load = async () => {
        most = Math.max(most, ++running)
        await new Promise<void>((resolve) => setImmediateLike(backend, resolve))
        running--
        if (++loads === 1) throw new Error('first load fails')
        return loads
      }
      const calls = [first.getOrSet('k', load), first.getOrSet('k', load)]
      const failed = await within(backend, Promise.allSettled(calls))
      assert.deepEqual(
        failed.map(({ status }) => status),
        ['rejected', 'rejected'],
      )
      const again = Promise.all(Array.from({ length: 20 }, () => first.getOrSet('k', load)))
      assert.deepEqual(new Set(await within(backend, again)), new Set([2]))
      assert.equal(most, 1)
      assert.equal(first.stats().loadErrors, 1)
    })

    for (const [what, invalidate] of [
      ['its key is deleted', (pair: Pair) => pair.second.delete('k')],
      ['its tag is invalidated', (pair: Pair) => pair.second.invalidateTag('t')],
      ['a tag that only the loader names is invalidated', (pair: Pair) => pair.second.invalidateTag('late')],
      ['everything is cleared', (pair: Pair) => pair.second.clear()],
      ['a pattern over it is deleted', (pair: Pair) => pair.second.deletePattern('k*')],
      ['its tag is expired', (pair: Pair) => pair.second.expireTag('t')],
      ['its key is expired', (pair: Pair) => pair.second.expire('k')],
    ] as const) {
      it(`stores nothing when ${what} during the load; later callers load anew [P3] [P6]`, async () => {
        const pair = await backend.open()
        const { first, second } = pair
        const slow = gate<string>()
        let began = false
        const own = first.getOrSet(
          'k',
          (ctx) => {
            ctx.tag('late')
            began = true
            return slow.opened
          },
          { tags: ['t'] },
        )
        await eventually(backend, () => began)
        await invalidate(pair)
        // Comes after the invalidation, so the value on its way is too old for it.
        const after = first.getOrSet('k', () => 'new', { tags: ['t'] })
        await backend.advance(20)
        slow.open('old')
        assert.equal(await own, 'old')
        assert.equal(await within(backend, after), 'new')
        await eventually(backend, () => second.has('k'))
        assert.equal(await second.get('k'), 'new')
        assert.equal(await first.get('k'), 'new')
      })
    }

    it('leaves nothing behind when a set and a delete cross, the delete being last [P4]', async () => {
      const { first, second } = await backend.open()
      const set = first.set('k', 'v')
      await Promise.all([set, set.then(() => second.delete('k'))])
      assert.equal(await first.has('k'), false)
      assert.equal(await second.has('k'), false)
    })

    it('lets a put during a load win over what the load brings [P5]', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const load = first.getOrSet('k', slow.load)
      await eventually(backend, () => slow.begun)
      await second.set('k', 'put')
      slow.open('loaded')
      await load
      await backend.advance(20)
      assert.equal(await first.get('k'), 'put')
      assert.equal(await second.get('k'), 'put')
    })

    it('lets a late load of an earlier time not overwrite a newer one [P7] [P23]', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const early = first.getOrSet('k', slow.load)
      await eventually(backend, () => slow.begun)
      await second.delete('k')
      assert.equal(await second.getOrSet('k', () => 'newer'), 'newer')
      await eventually(backend, () => second.has('k'))
      slow.open('older')
      await early
      await backend.advance(20)
      assert.equal(await second.get('k'), 'newer')
      assert.equal(await first.get('k'), 'newer')
    })

    it('counts the ttl from the moment of storing, however long the load took [P23]', async () => {
      const { first } = await backend.open()
      const slow = gate<string>()
      const call = first.getOrSet('k', slow.load, { ttl: 300 })
      await eventually(backend, () => slow.begun)
      await backend.advance(400)
      slow.open('v')
      await call
      await eventually(backend, () => first.has('k'))
    })

    it('heeds what the loader says: ttl, tags, skip, etag, and its own ttl for nothing found', async () => {
      const { first, second } = await backend.open()
      const seen: unknown[] = []
      await first.getOrSet('a', (ctx) => {
        ctx.ttl(150, '1m')
        ctx.tag('dyn')
        ctx.etag('"v1"')
        return 'v'
      })
      await eventually(backend, () => second.has('a'))
      await backend.advance(200)
      assert.equal(await second.has('a'), false)
      const kept = await first.getOrSet(
        'a',
        (ctx) => {
          seen.push(ctx.stale?.value, ctx.stale?.etag)
          ctx.ttl('1m')
          return ctx.keep()
        },
        { timeout: { soft: false } },
      )
      assert.equal(kept, 'v')
      assert.deepEqual(seen, ['v', '"v1"'])
      await eventually(backend, () => second.has('a'))
      assert.equal((await second.inspect('a')).etag, '"v1"')
      await second.invalidateTag('dyn')
      assert.equal(await first.has('a'), false)
      assert.equal(await first.getOrSet('skip', (ctx) => ctx.skip('once')), 'once')
      assert.equal(await first.getOrSet('none', () => null, { negativeTtl: 0 }), null)
      await backend.advance(20)
      assert.equal(await first.has('skip'), false)
      assert.equal(await first.has('none'), false)
      await assert.rejects(
        first.getOrSet('b', (ctx) => ctx.fail(new Error('404'))),
        /404/,
      )
      await assert.rejects(
        first.getOrSet('b', (ctx) => ctx.keep()),
        { code: 'INVALID_OPTION' },
      )
    })

    it('checks the schema on load and on read; an old shape is migrated or loaded anew [P24]', async () => {
      const { first } = await backend.open()
      const schema = schemaOf((value) => (hasName(value) ? { name: value.name.trim() } : undefined))
      await assert.rejects(
        first.getOrSet('bad', () => ({ nom: 1 }), { schema }),
        { code: 'INVALID_VALUE' },
      )
      await assert.rejects(first.set('bad', { nom: 1 }, { schema }), { code: 'INVALID_VALUE' })
      await first.set('older', { nom: 'Mai' })
      await first.set('old', { nom: 'Mai' })
      const migrate = (value: unknown) => ({ name: (value as { nom: string }).nom })
      assert.deepEqual(await first.get('older', { schema, migrate }), { name: 'Mai' })
      assert.equal(await first.get('old', { schema }), undefined)
      assert.deepEqual(await first.getOrSet('old', () => ({ name: ' Lan ' }), { schema }), { name: 'Lan' })
      await eventually(backend, () => first.has('old', { schema }))
      assert.deepEqual(await first.get('old', { schema }), { name: 'Lan' })
    })
  })
}

type Pair = Awaited<ReturnType<CacheBackend['open']>>

function setImmediateLike(backend: CacheBackend, resolve: () => void): void {
  void backend.advance(5).then(resolve)
}

const hasName = (value: unknown): value is { name: string } =>
  typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string'

function schemaOf(parse: (value: unknown) => unknown) {
  const validate = (value: unknown) => {
    const output = parse(value)
    return output === undefined ? { issues: [{ message: 'wrong shape' }] } : { value: output }
  }
  return { '~standard': { version: 1 as const, vendor: 'test', validate } }
}
