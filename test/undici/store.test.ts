import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import type { interceptors } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import type { UndiciCacheKey, UndiciCacheValue, UndiciGetResult } from '../../src/undici/interface.ts'
import { undiciDegradedEvents, undiciStore } from '../../src/undici/store.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { countCommands, countTrips } from '../support/monitor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

type Store = ReturnType<typeof undiciStore>

const keyOf = (path: string, headers: UndiciCacheKey['headers'] = {}, method = 'GET'): UndiciCacheKey => ({
  origin: 'https://api.example',
  method,
  path,
  headers,
})

function aValue(more: Partial<UndiciCacheValue> = {}, now = Date.now()): UndiciCacheValue {
  return {
    statusCode: 200,
    statusMessage: 'OK',
    headers: { 'content-type': 'text/plain', 'x-two': ['a', 'b'] },
    cacheControlDirectives: { 'max-age': 10, public: true },
    cachedAt: now,
    staleAt: now + 10_000,
    deleteAt: now + 20_000,
    ...more,
  }
}

async function write(
  store: Store,
  key: UndiciCacheKey,
  value: UndiciCacheValue,
  ...chunks: (string | Buffer)[]
) {
  const stream = store.createWriteStream(key, value)!
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  await finished(stream)
}

function bodyOf(found: UndiciGetResult | undefined): Buffer | undefined {
  return found && Buffer.concat([...(found.body as Iterable<Buffer>)])
}

async function textOf(store: Store, key: UndiciCacheKey): Promise<string | undefined> {
  return bodyOf(await store.get(structuredClone(key)))?.toString()
}

describe('the store for undici', () => {
  it('is what undici calls a cache store', () => {
    const store: NonNullable<NonNullable<Parameters<typeof interceptors.cache>[0]>['store']> = undiciStore({
      cache: createCache(),
    })
    expect(store).toBeDefined()
  })

  it.each([
    [{}, /no cache/],
    [{ cache: createCache(), maxSize: 1 }, /no option 'maxSize'/],
    [{ cache: createCache(), maxBodyBytes: -1 }, /maxBodyBytes/],
    [{ cache: createCache(), prefix: 'a b' }, /prefix/],
    [{ cache: createCache(), tags: ['a'] }, /tags/],
  ])('refuses options that cannot work: %#', (options, message) => {
    expect(() => undiciStore(options as Parameters<typeof undiciStore>[0])).toThrow(message)
  })
})

describe.each(['memory', 'redis'])('a response stored in %s', (place) => {
  let redis: RedisServer | undefined
  const open: LiveCache[] = []
  beforeAll(async () => {
    if (place === 'redis') redis = await startRedis()
  })
  afterAll(async () => {
    for (const live of open) await live.close()
    await redis?.stop()
  })

  async function fresh(options: Partial<Parameters<typeof undiciStore>[0]> = {}): Promise<Store> {
    if (!redis) return undiciStore({ cache: createCache(), ...options })
    const live = await openCache(redis.url)
    open.push(live)
    return undiciStore({ cache: live.cache, ...options })
  }

  it('comes back whole: status, fields, directives, times and body', async () => {
    const store = await fresh()
    const key = keyOf('/a?x=1')
    const value = aValue({ etag: '"v1"' })
    expect(await store.get(key)).toBeUndefined()
    await write(store, key, value, 'one,', Buffer.from('two'))
    const found = (await store.get(structuredClone(key)))!
    const { body: _, ...rest } = found
    expect(rest).toEqual(value)
    expect(bodyOf(found)?.toString()).toBe('one,two')
    expect(await store.get(keyOf('/a?x=2'))).toBeUndefined()
    expect(await store.get(keyOf('/a?x=1', {}, 'HEAD'))).toBeUndefined()
    expect(await store.get({ ...key, origin: 'http://api.example' })).toBeUndefined()
  })

  it('keeps every byte of a body that is no text, and an empty one', async () => {
    const store = await fresh()
    const bytes = Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 31) % 256))
    await write(store, keyOf('/bytes'), aValue(), bytes.subarray(0, 1_000), bytes.subarray(1_000))
    expect(bodyOf(await store.get(keyOf('/bytes')))).toEqual(bytes)
    await write(store, keyOf('/bom'), aValue(), Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0]))
    expect(bodyOf(await store.get(keyOf('/bom')))).toEqual(Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0]))
    await write(store, keyOf('/none'), aValue({ statusCode: 204 }))
    expect(bodyOf(await store.get(keyOf('/none')))).toEqual(Buffer.alloc(0))
  })

  it('may be changed by who got it: the next one gets his own', async () => {
    const store = await fresh()
    await write(store, keyOf('/mine'), aValue(), 'text')
    for (let i = 0; i < 3; i++) {
      const found = (await store.get(keyOf('/mine')))!
      expect(found.headers.warning).toBeUndefined()
      expect(bodyOf(found)?.toString()).toBe('text')
      found.headers.warning = '110'
      bodyOf(found)?.fill(0)
      for (const chunk of found.body as Iterable<Buffer>) chunk.fill(0)
    }
  })

  it('is one of several that vary by the request, and the right one', async () => {
    const store = await fresh()
    const as = (language: string) => keyOf('/greeting', { 'accept-language': language })
    const varying = (language: string) => aValue({ vary: { 'accept-language': language } })
    await write(store, as('en'), varying('en'), 'hello')
    expect(await textOf(store, as('de'))).toBeUndefined()
    expect(await textOf(store, keyOf('/greeting'))).toBeUndefined()
    await write(store, as('de'), varying('de'), 'hallo')
    expect(await textOf(store, as('en'))).toBe('hello')
    expect(await textOf(store, as('de'))).toBe('hallo')
    // Absent is a value of its own, and so is a list of two.
    await write(store, keyOf('/greeting'), aValue({ vary: { 'accept-language': null } }), 'oi')
    expect(await textOf(store, keyOf('/greeting'))).toBe('oi')
    expect(await textOf(store, as('en'))).toBe('hello')
    const two = keyOf('/greeting', { 'accept-language': ['en', 'de'] })
    expect(await textOf(store, two)).toBeUndefined()
    await write(store, two, aValue({ vary: { 'accept-language': ['en', 'de'] } }), 'hello hallo')
    expect(await textOf(store, two)).toBe('hello hallo')
    expect(await textOf(store, as('de'))).toBe('hallo')
  })

  it('is found under every set of fields that the resource varied by, the latest first', async () => {
    const store = await fresh()
    const key = keyOf('/sets', { accept: 'a', 'accept-language': 'en' })
    const now = Date.now()
    await write(store, key, aValue({ vary: { accept: 'a' }, cachedAt: now - 50 }), 'by accept')
    await write(store, key, aValue({ vary: { 'accept-language': 'en' }, cachedAt: now - 40 }), 'by language')
    expect(await textOf(store, key)).toBe('by language')
    expect(await textOf(store, keyOf('/sets', { accept: 'a' }))).toBe('by accept')
    await write(store, key, aValue({ cachedAt: now - 30 }), 'by nothing')
    expect(await textOf(store, key)).toBe('by nothing')
    for (let i = 0; i < 20; i++) {
      await write(store, keyOf('/sets', { [`x-${i}`]: '1' }), aValue({ vary: { [`x-${i}`]: '1' } }), `${i}`)
    }
    expect(await textOf(store, keyOf('/sets', { 'x-19': '1' }))).toBe('19')
  })

  it('is replaced by a later one, also while it is stale', async () => {
    const store = await fresh()
    const now = Date.now()
    await write(store, keyOf('/v'), aValue({ staleAt: now - 1, deleteAt: now + 20_000 }), 'old')
    expect(await textOf(store, keyOf('/v'))).toBe('old')
    await write(store, keyOf('/v'), aValue({ headers: { foo: 'baz' } }), 'new')
    expect((await store.get(keyOf('/v')))?.headers).toEqual({ foo: 'baz' })
    expect(await textOf(store, keyOf('/v'))).toBe('new')
  })

  it('is gone after deletion, with all methods and variants, and only that resource', async () => {
    const store = await fresh()
    const en = keyOf('/d', { 'accept-language': 'en' })
    await write(store, en, aValue({ vary: { 'accept-language': 'en' } }), 'en')
    await write(store, keyOf('/d', {}, 'HEAD'), aValue())
    await write(store, keyOf('/d2'), aValue(), 'other')
    await store.delete(keyOf('/d'))
    expect(await store.get(en)).toBeUndefined()
    expect(await store.get(keyOf('/d', {}, 'HEAD'))).toBeUndefined()
    expect(await textOf(store, keyOf('/d2'))).toBe('other')
  })

  it('is not stored when it was asked for before a deletion', async () => {
    const store = await fresh()
    const key = keyOf('/race')
    expect(await store.get(key)).toBeUndefined()
    await store.delete(keyOf('/race'))
    await write(store, key, aValue(), 'from before')
    expect(await store.get(keyOf('/race'))).toBeUndefined()
    const next = keyOf('/race')
    await store.get(next)
    await write(store, next, aValue(), 'from after')
    expect(await textOf(store, keyOf('/race'))).toBe('from after')
  })

  it('is not stored when the body was not ended, or is too large', async () => {
    const store = await fresh({ maxBodyBytes: 6 })
    const aborted = store.createWriteStream(keyOf('/aborted'), aValue())!
    aborted.write('abc')
    aborted.destroy(new Error('reset by the server'))
    await once(aborted, 'close')
    expect(await store.get(keyOf('/aborted'))).toBeUndefined()
    await write(store, keyOf('/fits'), aValue(), 'asd', '123')
    expect(await textOf(store, keyOf('/fits'))).toBe('asd123')
    const large = store.createWriteStream(keyOf('/large'), aValue())!
    large.write('asd')
    large.write('1234')
    await once(large, 'close')
    expect(await store.get(keyOf('/large'))).toBeUndefined()
    expect(store.stats()).toMatchObject({ stored: 1, aborted: 1, tooLarge: 1, errors: 0 })
  })

  it('counts look-ups: hits and misses', async () => {
    const store = await fresh()
    await write(store, keyOf('/c'), aValue(), 'x')
    for (let i = 0; i < 10; i++) await store.get(keyOf(i < 7 ? '/c' : `/absent/${i}`))
    expect(store.stats()).toMatchObject({ hits: 7, misses: 3, errors: 0 })
  })
})

describe('the life of a response', () => {
  it('ends at deleteAt, and not at staleAt', async () => {
    const clock = new FakeClock()
    const store = undiciStore({ cache: createCache({ clock }) })
    const now = clock.wall()
    await write(store, keyOf('/l'), aValue({ staleAt: now + 1_000, deleteAt: now + 5_000 }, now), 'x')
    await clock.advance(1_500)
    expect(await textOf(store, keyOf('/l'))).toBe('x')
    await clock.advance(3_400)
    expect(await textOf(store, keyOf('/l'))).toBe('x')
    await clock.advance(200)
    expect(await store.get(keyOf('/l'))).toBeUndefined()
    await write(store, keyOf('/past'), aValue({ deleteAt: now - 1 }, now), 'x')
    expect(await store.get(keyOf('/past'))).toBeUndefined()
  })
})

describe('in Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  it('costs one read among 100,000 keys of others, and never searches', async () => {
    await redis.cli(
      'EVAL',
      "for i = 1, 100000 do redis.call('SET', 'otherapp:' .. i, 'x') end return redis.call('DBSIZE')",
      '0',
    )
    const counter = await countTrips(redis.port)
    const live = await openCache(counter.url, { l1: false })
    const store = undiciStore({ cache: live.cache })
    const varying = keyOf('/varying', { accept: 'a' })
    await write(store, keyOf('/k'), aValue(), 'x')
    await write(store, varying, aValue({ vary: { accept: 'a' } }), 'y')
    await store.get(varying)
    const seen = await countCommands(redis, () => store.get(keyOf('/k')))
    expect(seen.byName).toEqual({ MGET: 1 })
    expect(seen.inScripts).toEqual({})
    const least = async (fn: () => unknown) => {
      let trips = Number.POSITIVE_INFINITY
      for (let i = 0; i < 5; i++) trips = Math.min(trips, await counter.during(fn))
      return trips
    }
    expect(await least(() => store.get(keyOf('/k')))).toBe(1)
    expect(await least(() => store.get(varying))).toBe(1)
    expect(await least(() => store.get(keyOf('/absent')))).toBe(2)
    const all = await countCommands(redis, async () => {
      await store.get(varying)
      await write(store, keyOf('/more'), aValue(), 'z')
      await store.delete(keyOf('/k'))
    })
    expect(Object.keys(all.byName).filter((name) => /SCAN|KEYS/.test(name))).toEqual([])
    expect(Object.keys(all.inScripts).filter((name) => /SCAN|KEYS/i.test(name))).toEqual([])
    await live.close()
    await counter.stop()
  })

  it('costs nothing with a copy in memory, varying or not', async () => {
    const live = await openCache(redis.url)
    const store = undiciStore({ cache: live.cache })
    const varying = keyOf('/in-memory', { accept: 'a' })
    await write(store, keyOf('/in-memory/plain'), aValue(), 'x')
    await write(store, varying, aValue({ vary: { accept: 'a' } }), 'y')
    const both = async () => {
      expect(await textOf(store, keyOf('/in-memory/plain'))).toBe('x')
      expect(await textOf(store, varying)).toBe('y')
    }
    await until('the copies are trusted', async () => {
      const seen = await countCommands(redis, both)
      return seen.commands.every(({ name }) => name.startsWith('EVAL'))
    })
    await live.close()
  })

  it('two processes share it, and a deletion by one counts for both', async () => {
    const namespace = freshNamespace()
    const [a, b] = [await openCache(redis.url, { namespace }), await openCache(redis.url, { namespace })]
    const [first, second] = [undiciStore({ cache: a.cache }), undiciStore({ cache: b.cache })]
    await write(first, keyOf('/s'), aValue(), 'shared')
    expect(await textOf(second, keyOf('/s'))).toBe('shared')
    await first.delete(keyOf('/s'))
    await until('the other has heard of it', async () => (await second.get(keyOf('/s'))) === undefined)
    await a.close()
    await b.close()
  })

  it('an entry ends with its deleteAt and carries tags of the user', async () => {
    const live = await openCache(redis.url)
    const store = undiciStore({
      cache: live.cache,
      tags: (_, value) => String(value.headers['cache-tag'] ?? '').split(','),
    })
    await write(store, keyOf('/t'), aValue({ headers: { 'cache-tag': 'a,b' } }), 'x')
    const names: string[] = []
    for await (const batch of live.cache.scan('undici:*')) names.push(...batch)
    const own = names.filter((name) => !name.endsWith(':fields'))
    expect(own).toHaveLength(1)
    const { ttlMs, tags } = await live.cache.inspect(own[0]!)
    expect(ttlMs).toBeGreaterThan(15_000)
    expect(ttlMs).toBeLessThanOrEqual(20_000)
    expect(tags).toEqual(expect.arrayContaining(['a', 'b']))
    await live.cache.invalidateTag('b')
    expect(await store.get(keyOf('/t'))).toBeUndefined()
    await live.close()
  })

  it('is unreadable at rest where it is sensitive', async () => {
    const live = await openCache(redis.url, { encryption: { keys: { k: Buffer.alloc(32, 7) } } })
    const store = undiciStore({ cache: live.cache, sensitive: true })
    await write(store, keyOf('/customers/1'), aValue(), '{"contactNumber":"0912345678"}')
    expect(await textOf(store, keyOf('/customers/1'))).toContain('0912345678')
    let found = 0
    for (const name of (await redis.cli('KEYS', `hf:{*}*:e:undici*`)) as string[]) {
      expect(String(await redis.cli('GET', name))).not.toMatch(/0912345678|contactNumber/)
      found++
    }
    expect(found).toBeGreaterThan(0)
    await live.close()
  })
})

describe('while Redis is down', () => {
  it('every look-up is a miss, counted and told, and nothing throws [S2-6]', async () => {
    const redis = await startRedis()
    const live = await openCache(redis.url, {
      l1: false,
      deadlines: { read: 200, write: 200, invalidate: 300 },
    })
    const store = undiciStore({ cache: live.cache })
    await write(store, keyOf('/k'), aValue(), 'x')
    expect(await textOf(store, keyOf('/k'))).toBe('x')
    const heard: unknown[] = []
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const listen = (event: unknown) => heard.push(event)
    subscribe(undiciDegradedEvents.name, listen)
    await redis.kill()
    expect(await store.get(keyOf('/k'))).toBeUndefined()
    await write(store, keyOf('/k2'), aValue(), 'x')
    await store.delete(keyOf('/k2'))
    unsubscribe(undiciDegradedEvents.name, listen)
    const { misses, errors, stored } = store.stats()
    expect({ misses, stored }).toEqual({ misses: 1, stored: 1 })
    expect(errors).toBeGreaterThanOrEqual(2)
    expect(heard).toHaveLength(errors)
    expect(live.cache.stats().errors).toBeGreaterThan(0)
    await redis.restart()
    await until(
      'it is shared again',
      async () => {
        await write(store, keyOf('/k3'), aValue(), 'back')
        return (await textOf(store, keyOf('/k3'))) === 'back'
      },
      15_000,
    )
    await live.close()
    await redis.stop()
  })

  it('a closed cache stores and finds nothing, without an error in the request', async () => {
    const cache = createCache()
    const store = undiciStore({ cache })
    await cache.close()
    expect(await store.get(keyOf('/k'))).toBeUndefined()
    await write(store, keyOf('/k'), aValue(), 'x')
    await store.delete(keyOf('/k'))
    expect(store.stats()).toMatchObject({ hits: 0, stored: 0 })
  })
})
