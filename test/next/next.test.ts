import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { incrementalCacheHandler, type UseCacheEntry, useCacheHandler } from '../../src/next/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const deadlines = { connect: '5s', read: '5s', write: '5s', invalidate: '10s' } as const
let areas = 0

describe.each(['memory', 'Redis'])('Next.js on %s', (where) => {
  let redis: RedisServer | undefined
  let one: Holdfast
  let two: Holdfast
  beforeAll(async () => {
    redis = where === 'Redis' ? await startRedis() : undefined
    one = holdfast({ redis: redis?.url, deadlines })
    two = redis ? holdfast({ redis: redis.url, deadlines }) : one
    await Promise.all([one.ready('10s'), two.ready('10s')])
  })
  afterAll(async () => {
    await Promise.all([one.close(), two.close()])
    await redis?.stop()
  })

  /** As two processes have it; Next.js makes a handler for each request. */
  const incremental = () => {
    const area = `next${++areas}`
    const classes = [one, two].map((hf) => incrementalCacheHandler(() => hf, { area }))
    return classes.map((Handler) => () => new Handler({})) as [() => Inc, () => Inc]
  }
  type Inc = InstanceType<ReturnType<typeof incrementalCacheHandler>>
  const page = (html: string, tags = '') => ({
    kind: 'APP_PAGE',
    html,
    rscData: Buffer.from([0, 255, 1]),
    headers: { 'x-next-cache-tags': tags },
    status: 200,
    postponed: undefined,
    segmentData: new Map([['/_tree', Buffer.from('tree')]]),
  })

  describe('cacheHandler', () => {
    it('gives a page back as it was, bytes and maps included, to every process', async () => {
      const [first, second] = incremental()
      expect(await first().get('/p')).toBeNull()
      await first().set('/p', page('<p>'))
      for (const handler of [first(), second()]) {
        const entry = await handler.get('/p')
        const { postponed: _, ...rest } = page('<p>')
        expect(entry?.value).toEqual(rest)
        expect(Math.abs((entry?.lastModified ?? 0) - Date.now())).toBeLessThan(60_000)
      }
    })

    it('gives each reader a value of its own', async () => {
      const [first] = incremental()
      await first().set('/own', page('<p>', 'a'))
      const entry = await first().get('/own')
      const headers = entry?.value?.headers as Record<string, unknown>
      delete headers['x-next-cache-tags']
      expect((await first().get('/own'))?.value?.headers).toEqual({ 'x-next-cache-tags': 'a' })
    })

    it('drops pages by a tag of their header, fetches by their own tags and by those of the page that asks', async () => {
      const [first, second] = incremental()
      const fetched = { kind: 'FETCH', data: { body: 'x', tags: ['prices'] }, revalidate: 60 }
      await first().set('/p', page('<p>', 'shop,_N_T_/p'))
      await first().set('fetch', fetched, { tags: ['prices'] })
      const ask = { softTags: ['_N_T_/p'], tags: ['prices'] }
      expect((await second().get('fetch', ask))?.value).toEqual(fetched)
      await second().revalidateTag('shop')
      expect(await first().get('/p')).toBeNull()
      expect(await first().get('fetch', ask)).not.toBeNull()
      await first().revalidateTag(['_N_T_/p'])
      expect(await second().get('fetch', ask)).toBeNull()
      expect(await second().get('fetch', { ...ask, softTags: ['_N_T_/other'] })).not.toBeNull()
      await second().revalidateTag('prices')
      expect(await first().get('fetch', { softTags: [] })).toBeNull()
    })

    it('hands a page out as stale after a revalidation with an end, and drops it at the end', async () => {
      const [first, second] = incremental()
      await first().set('/soft', page('<p>', 'soft'))
      await second().revalidateTag('soft', { expire: 1 })
      const stale = await first().get('/soft')
      expect(stale?.lastModified).toBe(-1)
      await until('it is gone', async () => (await first().get('/soft')) === null)
      await first().set('/soft', page('<new>', 'soft'))
      expect((await second().get('/soft'))?.lastModified).toBeGreaterThan(0)
    })

    it('does not take what was begun before a revalidation for newer than it', async () => {
      const [first, second] = incremental()
      expect(await first().get('/slow')).toBeNull()
      await second().revalidateTag('t')
      await first().set('/slow', page('<old>', 't'))
      expect(await second().get('/slow')).toBeNull()
    })

    it('keeps null for nothing, and nothing beyond its expiry', async () => {
      const [first] = incremental()
      await first().set('/n', page('<p>'))
      await first().set('/n', null)
      expect(await first().get('/n')).toBeNull()
      await first().set('/e', page('<p>'), { cacheControl: { expire: 1 } })
      expect(await first().get('/e')).not.toBeNull()
      await until('it expired', async () => (await first().get('/e')) === null)
      first().resetRequestCache()
    })

    it('drops what was stored before the record of tags was lost', async () => {
      const [first, second] = incremental()
      await first().set('/lost', page('<p>', 'a'))
      expect(await second().get('/lost')).not.toBeNull()
      await one.cache.namespace(`next${areas}`).delete('tags')
      expect(await second().get('/lost')).toBeNull()
    })
  })

  const uses = () => {
    const area = `use${++areas}`
    return [one, two].map((hf) => useCacheHandler(() => hf, { area })) as [Use, Use]
  }
  type Use = ReturnType<typeof useCacheHandler>
  /** As Next.js does it: asks, and makes what is not there. */
  const begin = async (handler: Use, key: string) => {
    expect(await handler.get(key, [])).toBeUndefined()
    // The clock of the process may be a little behind that of the store: such an entry would be made once more.
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  const streamOf = (...parts: (string | Error)[]): ReadableStream<Uint8Array> => {
    const chunks = [...parts]
    return new ReadableStream({
      pull(controller) {
        const next = chunks.shift()
        if (next === undefined) controller.close()
        else if (next instanceof Error) controller.error(next)
        else controller.enqueue(Buffer.from(next))
      },
    })
  }
  const entryOf = (value: ReadableStream<Uint8Array>, more: Partial<UseCacheEntry> = {}): UseCacheEntry => ({
    value,
    tags: ['t'],
    stale: 30,
    timestamp: Date.now(),
    expire: 600,
    revalidate: 60,
    ...more,
  })
  const textOf = async (entry: UseCacheEntry | undefined) => entry && new Response(entry.value).text()

  describe('cacheHandlers', () => {
    it('gives an entry back with its stream and its times, to every process, as often as asked', async () => {
      const [first, second] = uses()
      await begin(first, 'k')
      const timestamp = Date.now()
      await first.set('k', Promise.resolve(entryOf(streamOf('one ', 'two'), { timestamp })))
      for (const handler of [first, second, first]) {
        const entry = await handler.get('k', [])
        expect(entry).toMatchObject({ tags: ['t'], stale: 30, timestamp, expire: 600, revalidate: 60 })
        expect(await textOf(entry)).toBe('one two')
      }
    })

    it('lets a reader wait for an entry that is still being made', async () => {
      const [first] = uses()
      await begin(first, 'pending')
      let finish = (_: UseCacheEntry) => {}
      const pending = new Promise<UseCacheEntry>((resolve) => {
        finish = resolve
      })
      const stored = first.set('pending', pending)
      const reading = first.get('pending', [])
      finish(entryOf(streamOf('made')))
      expect(await textOf(await reading)).toBe('made')
      await stored
    })

    it('stores nothing of a stream that fails or an entry that never comes, and does not reject', async () => {
      const [first] = uses()
      await first.set('bad', Promise.resolve(entryOf(streamOf('half', new Error('broke off')))))
      expect(await first.get('bad', [])).toBeUndefined()
      await first.set('none', Promise.reject(new Error('no entry')))
      expect(await first.get('none', [])).toBeUndefined()
    })

    it('drops by the tags of the entry and by soft tags, in every process, and leaves the rest', async () => {
      const [first, second] = uses()
      expect(await first.getExpiration(['_N_T_/p'])).toBe(Number.POSITIVE_INFINITY)
      await begin(first, 'a')
      await first.set('a', Promise.resolve(entryOf(streamOf('a'), { tags: ['x'] })))
      await first.set('b', Promise.resolve(entryOf(streamOf('b'), { tags: ['y'] })))
      await second.updateTags(['x'])
      await first.refreshTags()
      expect(await first.get('a', [])).toBeUndefined()
      expect(await textOf(await first.get('b', ['_N_T_/p']))).toBe('b')
      await first.updateTags(['_N_T_/p'])
      expect(await second.get('b', ['_N_T_/p'])).toBeUndefined()
      expect(await textOf(await second.get('b', []))).toBe('b')
    })

    it('asks for a refresh after a soft update, and drops at its end', async () => {
      const [first, second] = uses()
      await begin(first, 's')
      await first.set('s', Promise.resolve(entryOf(streamOf('s'))))
      await second.updateTags(['t'], { expire: 1 })
      expect((await first.get('s', []))?.revalidate).toBe(-1)
      await until('it is gone', async () => (await first.get('s', [])) === undefined)
    })

    it('does not take an entry begun before an update for newer than it', async () => {
      const [first, second] = uses()
      await begin(first, 'race')
      let finish = (_: UseCacheEntry) => {}
      const stored = first.set(
        'race',
        new Promise<UseCacheEntry>((resolve) => {
          finish = resolve
        }),
      )
      await second.updateTags(['t'])
      finish(entryOf(streamOf('old'), { timestamp: Date.now() + 60_000 }))
      await stored
      expect(await second.get('race', [])).toBeUndefined()
    })

    it('keeps bytes that are no text', async () => {
      const [first] = uses()
      await begin(first, 'bytes')
      const bytes = Buffer.from([0, 255, 254, 10])
      const value = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes)
          controller.close()
        },
      })
      await first.set('bytes', Promise.resolve(entryOf(value, { expire: Number.POSITIVE_INFINITY })))
      const entry = await first.get('bytes', [])
      expect(Buffer.from(await new Response(entry?.value).arrayBuffer())).toEqual(bytes)
    })
  })
})

it('makes everything anew while Redis is away, and says that a revalidation did not happen', async () => {
  const redis = await startRedis()
  const hf = holdfast({ redis: redis.url })
  await hf.ready('10s')
  const Handler = incrementalCacheHandler(() => hf)
  await new Handler().set('/p', { kind: 'PAGES' })
  await redis.kill()
  await until('it misses', async () => (await new Handler().get('/other')) === null)
  await new Handler().set('/q', { kind: 'PAGES' })
  await expect(new Handler().revalidateTag('t')).rejects.toThrow()
  await hf.close()
  await redis.stop()
})
