import assert from 'node:assert/strict'
import type { Cache } from '../cache/cache.ts'
import type { CacheOptions } from '../cache/options.ts'
import { type CacheBackend, eventually, gate, within } from './cache-backend.ts'
import type { TestApi } from './test-api.ts'

const STALE: CacheOptions = { ttl: 100, stale: '1m' }

/** Stale values, timeouts, early refresh, abort. */
export function cacheRefreshContract(
  api: TestApi,
  name: string,
  openBackend: () => Promise<CacheBackend>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`cache refreshes on ${name}`, () => {
    let backend: CacheBackend
    beforeAll(async () => {
      backend = await openBackend()
    })
    afterAll(() => backend.close())

    /** A value that was fresh once and is stale now. */
    const stale = async (options: CacheOptions = STALE) => {
      const pair = await backend.open()
      await pair.first.set('k', 'old', options)
      await backend.advance(150)
      return pair
    }

    it('serves stale at once to all while one load runs in the background, and stores it [P8]', async () => {
      const { first, second } = await stale()
      const slow = gate<string>()
      let loads = 0
      const load = () => {
        loads++
        return slow.opened
      }
      for (let i = 0; i < 3; i++) assert.equal(await first.getOrSet('k', load, STALE), 'old')
      await eventually(backend, () => loads === 1)
      assert.equal(await second.getOrSet('k', load, STALE), 'old')
      await backend.advance(50)
      assert.equal(loads, 1)
      slow.open('new')
      await eventually(backend, () => second.has('k'))
      assert.equal(await first.get('k'), 'new')
      assert.equal(first.stats().hits.stale, 3)
      assert.equal(first.stats().refreshes, 1)
    })

    it('waits the soft timeout for the reload, then serves stale; the load is stored [P9] [P11]', async () => {
      const { first, second } = await stale()
      const options: CacheOptions = { ...STALE, ttl: '1m', timeout: { soft: 50 } }
      const slow = gate<string>()
      let loads = 0
      const calls = [1, 2, 3].map(() =>
        first.getOrSet(
          'k',
          () => {
            loads++
            return slow.opened
          },
          options,
        ),
      )
      assert.deepEqual(await within(backend, Promise.all(calls), 1_000), ['old', 'old', 'old'])
      assert.equal(loads, 1)
      slow.open('new')
      await eventually(backend, () => second.has('k'))
      assert.equal(await first.getOrSet('k', () => assert.fail('loaded again'), options), 'new')
    })

    it('gives the reload if it comes within the soft timeout', async () => {
      const { first } = await stale()
      assert.equal(await first.getOrSet('k', () => 'new', { ...STALE, timeout: { soft: '5s' } }), 'new')
    })

    it('ignores the soft timeout without a stale value; at the hard one it rejects, the load goes on [P10]', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const call = first.getOrSet('k', slow.load, { timeout: { soft: 10, hard: 300 } })
      let isDone = false
      call.then(
        () => {},
        () => {
          isDone = true
        },
      )
      await backend.advance(100)
      assert.equal(isDone, false)
      await assert.rejects(within(backend, call), { code: 'LOAD_TIMEOUT' })
      slow.open('late')
      await eventually(backend, () => second.has('k'))
      assert.equal(await first.get('k'), 'late')
    })

    it('starts over after a loader that never settles, at the latest after two hard timeouts', async () => {
      const { first } = await backend.open()
      const options: CacheOptions = { timeout: { hard: 100 } }
      const never = first.getOrSet('k', () => new Promise<string>(() => {}), options)
      await assert.rejects(within(backend, never), { code: 'LOAD_TIMEOUT' })
      await backend.advance(150)
      assert.equal(
        await within(
          backend,
          first.getOrSet('k', () => 'fine', options),
        ),
        'fine',
      )
    })

    it('answers a failed reload with the stale value, and rests before the next try', async () => {
      const options: CacheOptions = { ...STALE, timeout: { soft: false }, backoff: 200 }
      const { first } = await stale(options)
      let loads = 0
      const fail = () => {
        loads++
        throw new Error('source down')
      }
      assert.equal(await first.getOrSet('k', fail, options), 'old')
      assert.equal(await first.getOrSet('k', fail, options), 'old')
      assert.equal(loads, 1)
      await backend.advance(250)
      assert.equal(await first.getOrSet('k', fail, options), 'old')
      assert.equal(loads, 2)
    })

    it('tries again at once without a rest, and adds no jitter to it [P14]', async () => {
      const options: CacheOptions = { ...STALE, timeout: { soft: false }, backoff: 0, jitter: 0.9 }
      const { first } = await stale({ ...STALE, ttl: 50 })
      const fail = () => Promise.reject(new Error('source down'))
      assert.equal(await first.getOrSet('k', fail, options), 'old')
      assert.equal(await first.getOrSet('k', () => 'back', options), 'back')
    })

    it('lets a predicate decide which errors a stale value may answer', async () => {
      const options: CacheOptions = {
        ...STALE,
        timeout: { soft: false },
        backoff: 0,
        staleIfError: (error) => error instanceof Error && error.message === '503',
      }
      const { first } = await stale(options)
      assert.equal(await first.getOrSet('k', () => Promise.reject(new Error('503')), options), 'old')
      await assert.rejects(
        first.getOrSet('k', () => Promise.reject(new Error('404')), options),
        /404/,
      )
    })

    it('never serves stale after a hard invalidation', async () => {
      const { first, second } = await stale()
      await second.delete('k')
      await assert.rejects(
        first.getOrSet('k', () => Promise.reject(new Error('down')), STALE),
        /down/,
      )
      assert.equal(await first.getOrSet('k', () => 'new', STALE), 'new')
    })

    for (const [verb, end, left] of [
      ['a delete', (cache: Cache) => cache.delete('k'), undefined],
      ['a put', (cache: Cache) => cache.set('k', 'put'), 'put'],
    ] as const) {
      it(`lets ${verb} during a background refresh win [P5] [P6]`, async () => {
        const { first, second } = await stale()
        const slow = gate<string>()
        assert.equal(await first.getOrSet('k', slow.load, STALE), 'old')
        await eventually(backend, () => slow.begun)
        await end(second)
        slow.open('refreshed')
        await backend.advance(50)
        assert.equal(await first.get('k'), left)
        assert.equal(await second.get('k'), left)
      })
    }

    it('refreshes ahead in the background, once; a miss meanwhile waits for that load [P11] [P12]', async () => {
      const { first, second } = await backend.open()
      const options: CacheOptions = { ttl: 1_000, refreshAhead: 0.2 }
      await first.set('k', 'v1', options)
      await backend.advance(300)
      const slow = gate<string>()
      let loads = 0
      const load = () => {
        loads++
        return slow.opened
      }
      assert.equal(await first.getOrSet('k', load, options), 'v1')
      assert.equal(await first.getOrSet('k', load, options), 'v1')
      await eventually(backend, () => loads === 1)
      await backend.advance(800)
      const miss = first.getOrSet('k', load, options)
      await backend.advance(20)
      slow.open('v2')
      assert.equal(await within(backend, miss), 'v2')
      assert.equal(loads, 1)
      assert.equal(await second.get('k'), 'v2')
    })

    it('refreshes early by chance when the load was long and the end is near (XFetch)', async () => {
      const { first } = await backend.open()
      const options: CacheOptions = { ttl: '1m', xfetch: 1_000_000 }
      const slow = gate<string>()
      const call = first.getOrSet('k', slow.load, options)
      await eventually(backend, () => slow.begun)
      await backend.advance(100)
      slow.open('v1')
      await call
      await eventually(backend, () => first.has('k'))
      // Each call throws the dice; with a minute to go only an early refresh can bring v2.
      await eventually(backend, async () => (await first.getOrSet('k', () => 'v2', options)) === 'v2')
      assert.equal(first.stats().hits.stale, 0)
      assert.ok(first.stats().refreshes >= 1)
    })

    it('limits background refreshes, and serves stale without one above it', async () => {
      const { first } = await backend.open({ maxBackgroundLoads: 1 })
      await first.setMany(
        [
          ['a', 1],
          ['b', 2],
        ],
        STALE,
      )
      await backend.advance(150)
      const slow = gate<number>()
      assert.equal(await first.getOrSet('a', slow.load, STALE), 1)
      assert.equal(await first.getOrSet('b', () => assert.fail('one refresh too many'), STALE), 2)
      assert.equal(first.stats().refreshesSkipped, 1)
      slow.open(10)
      await eventually(backend, async () => (await first.get('a')) === 10)
      await first.getOrSet('b', () => 20, STALE)
      await eventually(backend, async () => (await first.get('b')) === 20)
    })

    it('lets one caller give up while the load goes on for the other', async () => {
      const { first } = await backend.open()
      const slow = gate<string>()
      const impatient = new AbortController()
      const gone = first.getOrSet('k', slow.load, { signal: impatient.signal })
      const stays = first.getOrSet('k', slow.load)
      await backend.advance(10)
      impatient.abort(new Error('changed my mind'))
      await assert.rejects(gone, /changed my mind/)
      slow.open('v')
      assert.equal(await within(backend, stays), 'v')
      await assert.rejects(
        first.getOrSet('k', () => 1, { signal: impatient.signal }),
        /changed my mind/,
      )
    })

    it('tells the loader when nobody waits any more; a value that comes all the same is stored', async () => {
      const { first, second } = await backend.open()
      const slow = gate<string>()
      const told = gate<unknown>()
      let began = false
      const impatient = new AbortController()
      const gone = first.getOrSet(
        'k',
        ({ signal }) => {
          began = true
          signal.addEventListener('abort', () => told.open(signal.reason))
          return slow.opened
        },
        { signal: impatient.signal },
      )
      await eventually(backend, () => began)
      impatient.abort(new Error('left'))
      await assert.rejects(gone, /left/)
      assert.match(String(await told.opened), /left/)
      slow.open('late')
      await eventually(backend, () => second.has('k'))
      assert.equal(await first.get('k'), 'late')
    })

    it('makes nobody else pay for a load that was told to stop', async () => {
      const { first } = await backend.open()
      const impatient = new AbortController()
      let began = false
      const gone = first.getOrSet<string>(
        'k',
        ({ signal }) =>
          new Promise((_, reject) => {
            began = true
            signal.addEventListener('abort', () => void backend.advance(20).then(() => reject(signal.reason)))
          }),
        { signal: impatient.signal },
      )
      await eventually(backend, () => began)
      impatient.abort(new Error('left'))
      await assert.rejects(gone, /left/)
      assert.equal(
        await within(
          backend,
          first.getOrSet('k', () => 'mine'),
        ),
        'mine',
      )
    })

    it('shortens lives by jitter, and never makes one longer', async () => {
      const { first } = await backend.open()
      const lives: number[] = []
      for (let i = 0; i < 30; i++) {
        await first.set(`j${i}`, i, { ttl: '10s', jitter: 0.5 })
        lives.push((await first.inspect(`j${i}`)).ttlMs)
      }
      assert.ok(
        lives.every((ms) => ms > 4_000 && ms <= 10_000),
        String(lives),
      )
      assert.ok(new Set(lives.map(Math.round)).size > 10)
    })
  })
}
