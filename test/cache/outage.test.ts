import { describe, expect, it } from 'vitest'
import { RedisUnavailable } from '../../src/base/errors.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createCache } from '../../src/cache/create.ts'
import { MemoryStore } from '../../src/cache/memory-store.ts'
import type { Draft, Entry, FillReply, Lease, LeaseReply, ReadReply } from '../../src/cache/store.ts'
import { gate } from '../../src/testing/cache-backend.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

/** A store that can be switched off, as the Redis one is when its server is gone. */
class Fallible extends MemoryStore {
  isDown = false
  leftover: Entry | undefined
  loseFills = false

  override peek(key: string): Entry | undefined {
    return this.isDown ? undefined : super.peek(key)
  }
  override async read(key: string, tags: readonly string[]): Promise<ReadReply> {
    return this.isDown ? this.#down() : super.read(key, tags)
  }
  override async readMany(
    keys: readonly string[],
    tags: readonly (readonly string[])[],
  ): Promise<ReadReply[]> {
    return Promise.all(keys.map((key, i) => this.read(key, tags[i]!)))
  }
  override async lease(
    key: string,
    tags: readonly string[],
    options?: { force?: boolean },
  ): Promise<LeaseReply> {
    return this.isDown ? this.#down() : super.lease(key, tags, options)
  }
  override async leaseMany(
    keys: readonly string[],
    tags: readonly (readonly string[])[],
  ): Promise<LeaseReply[]> {
    return Promise.all(keys.map((key, i) => this.lease(key, tags[i]!)))
  }
  override async fill(lease: Lease, draft: Draft): Promise<FillReply> {
    if (this.loseFills) throw new Error('OOM command not allowed')
    return super.fill(lease, draft)
  }
  #down() {
    return { state: 'down', cause: new RedisUnavailable('gone'), leftover: this.leftover } as const
  }
}

const setUp = (more: { maxOutageLoads?: number } = {}) => {
  const clock = new FakeClock()
  const store = new Fallible({ clock, random: systemRandom })
  return { clock, store, cache: createCache({ store, clock, ...more }) }
}

describe('the cache without its store', () => {
  it('still answers from the loader, one load for all, and counts errors and bypasses [P22] [S2-6] [B6]', async () => {
    const { store, cache } = setUp()
    store.isDown = true
    let loads = 0
    const load = async () => ++loads
    expect(await Promise.all([1, 2, 3].map(() => cache.getOrSet('k', load)))).toEqual([1, 1, 1])
    expect(await cache.getOrSet('k', load)).toBe(2)
    expect(await cache.get('k')).toBeUndefined()
    // Those who joined a load were not answered by the store either: no misses, and no false hit rate.
    expect(cache.stats()).toMatchObject({ errors: 5, misses: 0, bypassed: 2, joined: 2 })
    store.isDown = false
    expect(await cache.getOrSet('k', load)).toBe(3)
    expect(await cache.getOrSet('k', load)).toBe(3)
  })

  it('gives those who come during a load the next one, shared by all of them', async () => {
    const { clock, store, cache } = setUp()
    store.isDown = true
    const slow = gate<string>()
    const first = cache.getOrSet('k', () => slow.opened)
    await clock.advance(5)
    let loads = 0
    const late = [1, 2, 3].map(() => cache.getOrSet('k', () => `load ${++loads}`))
    await clock.advance(5)
    slow.open('the first')
    expect(await first).toBe('the first')
    expect(await Promise.all(late)).toEqual(['load 1', 'load 1', 'load 1'])
    // The late ones were not answered by the store either: no misses for that.
    expect(cache.stats()).toMatchObject({ errors: 4, misses: 0 })
  })

  it('limits how many loads reach the source at once, in single calls and in batches', async () => {
    const { store, cache } = setUp({ maxOutageLoads: 2 })
    store.isDown = true
    let running = 0
    let most = 0
    const load = async () => {
      most = Math.max(most, ++running)
      await Promise.resolve()
      running--
      return 1
    }
    await Promise.all(Array.from({ length: 50 }, (_, i) => cache.getOrSet(`k${i}`, load)))
    expect(most).toBe(2)
    const batch = await cache.getOrSetMany(
      [1, 2],
      (id) => `b${id}`,
      (ids) => ids.map((id) => id * 2),
    )
    expect([...batch.values()]).toEqual([2, 4])
  })

  it('falls back on a value it once had when the loader fails too, if the options allow it', async () => {
    const { store, cache } = setUp()
    await cache.set('k', 'once')
    store.leftover = store.peek('k')
    store.isDown = true
    const fail = () => Promise.reject(new Error('source down'))
    expect(await cache.getOrSet('k', fail)).toBe('once')
    expect(cache.stats().staleServed).toBe(1)
    await expect(cache.getOrSet('k', fail, { staleIfError: false })).rejects.toThrow('source down')
    expect(await cache.getOrSet('k', () => 'loaded')).toBe('loaded')
  })

  it('hands out a value whose fill was lost, and counts it as bypassed', async () => {
    const { store, cache } = setUp()
    store.loseFills = true
    expect(await cache.getOrSet('k', () => 1)).toBe(1)
    await Promise.resolve()
    expect(cache.stats().bypassed).toBe(1)
    expect(await cache.has('k')).toBe(false)
  })

  it('leaves no timer and no flight behind', async () => {
    const { clock, store, cache } = setUp()
    await cache.getOrSet('a', () => 1)
    await cache.getOrSet('b', () => Promise.reject(new Error('no'))).catch(() => {})
    store.isDown = true
    await cache.getOrSet('c', () => 1)
    await cache.getOrSetMany(
      [1, 2],
      (id) => `m${id}`,
      (ids) => [...ids],
    )
    await clock.advance(0)
    expect(clock.pending).toBe(0)
    expect(cache.core.flights.size).toBe(0)
    expect(cache.core.background.running + cache.core.outage.running).toBe(0)
  })
})

describe('what the cache tells', () => {
  it('logs one debug line per operation, with a key that cannot be read back [S2-38]', async () => {
    const lines: string[] = []
    const silent = () => {}
    const logger = { debug: (line: string) => lines.push(line), info: silent, warn: silent, error: silent }
    const cache = createCache({ logger })
    await cache.set('session:secret', 1)
    await cache.get('session:secret')
    await cache.delete('session:secret')
    expect(lines.map((line) => line.replace(/#[0-9a-f]{8}/, '#').replace(/\d\.\d{3}s/, 'x.xxxs'))).toEqual(
      ['set', 'get', 'delete'].map((op) => `Cache ${op} - Key: session:#, Duration: x.xxxs`),
    )
  })
})
