import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HEARTBEAT } from '../../src/cache/redis-store/scripts.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { countCommands, countTrips, type SeenCommand, type TripCounter } from '../support/monitor.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const hundred = Array.from({ length: 100 }, (_, i) => `k${i}`)

/** The heartbeat belongs to the process, not to any call. */
const isBeat = ({ name, args }: SeenCommand): boolean => name.startsWith('EVAL') && args[0] === HEARTBEAT.sha

describe('what a call costs at the server', () => {
  let redis: RedisServer
  let writer: LiveCache
  let reader: LiveCache
  let counter: TripCounter
  let distant: LiveCache
  let namespace: string

  beforeAll(async () => {
    redis = await startRedis()
    counter = await countTrips(redis.port)
  })
  beforeEach(async () => {
    namespace = freshNamespace()
    writer = await openCache(redis.url, { namespace })
    reader = await openCache(redis.url, { namespace })
    // Without local copies there is no heartbeat either: every trip belongs to a call.
    distant = await openCache(counter.url, { namespace, l1: false })
    // Every script is known to the server from here on, as it is in a process that runs.
    for (const [i, { cache }] of [writer, reader, distant].entries()) {
      await cache.getOrSet(`warm${i}`, () => 1)
      await until('it is stored', () => cache.has(`warm${i}`))
      await cache.set('warm', 2)
      await cache.delete('warm')
    }
    return () => Promise.all([writer.close(), reader.close(), distant.close()])
  })
  afterAll(async () => {
    await counter.stop()
    await redis.stop()
  })

  async function commandsOf(fn: () => unknown): Promise<string[]> {
    const seen = await countCommands(redis, fn)
    return seen.commands.filter((command) => !isBeat(command)).map(({ name }) => name)
  }

  /** A look at the server's health in between can only add to what a call takes: the least of five counts. */
  async function leastTrips(fn: () => unknown): Promise<number> {
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < 5; i++) least = Math.min(least, await counter.during(fn))
    return least
  }

  const fail = (): never => {
    throw new Error('nobody was to load')
  }

  it('a hit in Redis is one MGET, and a hit in process memory is nothing', async () => {
    await writer.cache.set('k', { a: 1 })
    const read = () => reader.cache.getOrSet('k', fail)
    expect(await commandsOf(read)).toEqual(['MGET'])
    await until('the copy is trusted', () => reader.store.peek('k'))
    expect(await commandsOf(read)).toEqual([])
    expect(await commandsOf(() => reader.cache.get('k'))).toEqual([])
  })

  it('all hits of one tick travel in one MGET', async () => {
    await writer.cache.setMany(hundred.map((key) => [key, key] as const))
    const values: unknown[] = []
    const read = async () => {
      values.push(...(await Promise.all(hundred.map((key) => reader.cache.getOrSet(key, fail)))))
    }
    expect(await commandsOf(read)).toEqual(['MGET'])
    expect(values).toEqual(hundred)
  })

  it('a hit of an entry with tags is one MGET, as soon as its tags are known', async () => {
    await writer.cache.set('named', 1, { tags: ['a', 'b'] })
    expect(await commandsOf(() => reader.cache.getOrSet('named', fail, { tags: ['a', 'b'] }))).toEqual([
      'MGET',
    ])
    await writer.cache.set('unnamed', 1, { tags: ['a', 'b'] })
    const read = () => distant.cache.getOrSet('unnamed', fail)
    expect(await commandsOf(read)).toEqual(['MGET', 'MGET'])
    expect(await commandsOf(read)).toEqual(['MGET'])
  })

  it('a miss is a look, a lease and, behind the back of the caller, a fill', async () => {
    const cold = `hf:{${namespace}:0}:e:cold`
    const stored = () => until('it is stored', () => redis.cli('EXISTS', cold))
    const names = await commandsOf(async () => {
      await distant.cache.getOrSet('cold', () => 1)
      await stored()
    })
    expect(names.filter((name) => name !== 'EXISTS')).toEqual(['MGET', 'EVALSHA', 'EVALSHA'])
    let toLoader = 0
    const all = await leastTrips(async () => {
      await distant.cache.delete('cold')
      const begun = counter.trips
      await distant.cache.getOrSet('cold', () => {
        toLoader = counter.trips - begun
        return 1
      })
      await stored()
    })
    // One more for the delete.
    expect({ toLoader, all }).toEqual({ toLoader: 2, all: 4 })
  })

  it('a miss is answered before the server has the fill', async () => {
    const loaded = await reader.cache.getOrSet('cold', () => {
      // From here on the server answers nothing.
      redis.pause()
      return 'loaded'
    })
    expect(loaded).toBe('loaded')
    redis.resume()
    await until('the fill arrived after all', () => writer.cache.has('cold'))
  })

  it('getMany of a hundred keys is one command and one round trip [S2-27]', async () => {
    await writer.cache.setMany(hundred.map((key) => [key, key] as const))
    expect(await commandsOf(() => reader.cache.getMany(hundred))).toEqual(['MGET'])
    await distant.cache.get('connected')
    let found = 0
    const trips = await leastTrips(async () => {
      found = (await distant.cache.getMany(hundred)).size
    })
    expect({ found, trips }).toEqual({ found: 100, trips: 1 })
  })

  it('setMany of a hundred keys is one command and one round trip [S4-44]', async () => {
    const entries = hundred.map((key) => [key, { key }] as const)
    await distant.cache.set('connected', 1)
    let stored = 0
    const trips = await leastTrips(async () => {
      stored = await distant.cache.setMany(entries, { wait: 'commit' })
    })
    expect({ stored, trips }).toEqual({ stored: 100, trips: 1 })
    expect(await commandsOf(() => distant.cache.setMany(entries, { wait: 'commit' }))).toEqual(['EVALSHA'])
  })

  it.each<[string, (cache: LiveCache['cache']) => unknown]>([
    ['delete', (cache) => cache.delete('k', { wait: 'commit' })],
    ['deleteMany of 100', (cache) => cache.deleteMany(hundred, { wait: 'commit' })],
    ['expire', (cache) => cache.expire('k', { wait: 'commit' })],
    ['invalidateTag', (cache) => cache.invalidateTag('t', { wait: 'commit' })],
    ['expireTag', (cache) => cache.expireTag(['t', 'u'], { wait: 'commit' })],
    ['clear', (cache) => cache.clear({ wait: 'commit' })],
    ['clear of a namespace', (cache) => cache.namespace('part').clear({ wait: 'commit' })],
    ['mark', (cache) => cache.mark()],
  ])('%s is one command', async (_, call) => {
    await call(distant.cache)
    expect(await commandsOf(() => call(distant.cache))).toEqual(['EVALSHA'])
    expect(await leastTrips(() => call(distant.cache))).toBe(1)
  })

  it('getOrSetMany of a hundred cold keys is one look and a few scripts, however many keys', async () => {
    const load = (ids: readonly string[]) => ids.map((id) => id.toUpperCase())
    const run = () => reader.cache.getOrSetMany(hundred, (id) => id, load)
    const last = `hf:{${namespace}:0}:e:k99`
    const names = await commandsOf(async () => {
      await run()
      await until('the last is stored', () => redis.cli('EXISTS', last))
    })
    // A script takes 64 keys at most, so that none holds the server up: two for leases, two for fills.
    const scripts = ['EVALSHA', 'EVALSHA', 'EVALSHA', 'EVALSHA']
    expect(names.filter((name) => name !== 'EXISTS')).toEqual(['MGET', ...scripts])
    expect((await writer.cache.getMany(hundred)).size).toBe(100)
  })
})
