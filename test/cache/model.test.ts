import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cache } from '../../src/cache/cache.ts'
import { createCache } from '../../src/cache/create.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const RUNS = 60 * Number(process.env.HOLDFAST_TEST_SCALE ?? 1)
const STEPS = 30
const PROCESSES = 2

/** One verb with its arguments: the same call goes to both caches, and what they show must be the same. */
type Step = (cache: Cache, source: Source) => Promise<unknown>

/** What loaders answer: a new number each time, so that a second load cannot pass for a hit. */
class Source {
  #n = 0
  readonly next = (): number => ++this.#n
}

const TAGS = ['red', 'blue', 'green']
const SPACES = ['', 'users', 'users/admins']

/**
 * All callers of a key name the same tags for it, as applications do. Where they differ, the later
 * load replaces the entry, which is no invalidation and therefore not announced to other processes.
 */
const GROUPS = [
  { members: ['a', 'b'], tags: ['red'] },
  { members: ['a:1', 'a:2'], tags: ['blue', 'green'] },
  { members: ['with space', 'é*'], tags: [] },
] as const
const tagsOf = (name: string): readonly string[] =>
  GROUPS.find(({ members }) => (members as readonly string[]).includes(name))!.tags
const KEYS = GROUPS.flatMap(({ members }) => members)
const group = fc.constantFrom(...GROUPS)

const key = fc.constantFrom(...KEYS)
const keys = fc.uniqueArray(key, { minLength: 1, maxLength: 4 })
const tags = fc.uniqueArray(fc.constantFrom(...TAGS), { maxLength: 2 })
const tag = fc.constantFrom(...TAGS)
const value = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.constant(null),
  fc.constant(undefined),
  fc.jsonValue({ maxDepth: 1 }),
)
const stale = fc.constantFrom(0, 60_000)
const glob = fc.constantFrom('*', 'a*', 'a:?', 'with *', '[ab]', 'é\\*', 'nothing*')

/** The steps by name; `label` is what a counterexample shows. */
const step: fc.Arbitrary<{ label: string; who: number; space: string; run: Step }> = fc
  .tuple(
    fc.integer({ min: 0, max: PROCESSES - 1 }),
    fc.constantFrom(...SPACES),
    fc.oneof(
      named('set', fc.tuple(key, value, tags, stale), (cache, _, [k, v, t, s]) =>
        cache.set(k, v, { tags: [...tagsOf(k), ...t], stale: s, ttl: '1h' }),
      ),
      named('get', key, (cache, _, k) => cache.get(k)),
      named('has', key, (cache, _, k) => cache.has(k)),
      named('getOrSet', fc.tuple(key, stale), (cache, source, [k, s]) =>
        cache.getOrSet(k, source.next, { tags: tagsOf(k), stale: s, ttl: '1h', timeout: { soft: false } }),
      ),
      named('delete', key, (cache, _, k) => cache.delete(k)),
      named('invalidateTag', tag, (cache, _, t) => cache.invalidateTag(t)),
      named('invalidate', fc.tuple(keys, tags), (cache, _, [k, t]) => cache.invalidate({ keys: k, tags: t })),
      named('expire', key, (cache, _, k) => cache.expire(k)),
      named('expireTag', tag, (cache, _, t) => cache.expireTag(t)),
      named('deletePattern', fc.tuple(glob, fc.boolean()), async (cache, _, [g, dryRun]) => {
        const before = await cache.getMany(KEYS)
        const count = await cache.deletePattern(g, { dryRun })
        const after = await cache.getMany(KEYS)
        // Stale and dead entries count as long as a store still keeps them, which is its own affair.
        if (count < before.size - after.size) throw new Error('it deleted more than it says')
        return { before: [...before], after: [...after] }
      }),
      named('clear', fc.constant(0), (cache) => cache.clear()),
      named('touch', key, (cache, _, k) => cache.touch(k, '2h', '1h')),
      named('getMany', keys, async (cache, _, k) => [...(await cache.getMany(k))]),
      named('getOrSetMany', group, async (cache, source, { members, tags: t }) => {
        const load = (ids: readonly string[]) => ids.map(source.next)
        const options = { tags: t, ttl: '1h', timeout: { soft: false } } as const
        return [...(await cache.getOrSetMany(members, (id) => id, load, options))]
      }),
      named('mutate', fc.tuple(keys, tags), (cache, source, [k, t]) =>
        cache.mutate({ keys: k, tags: t }, async () => [
          source.next(),
          // Inside, nothing under these names is cached.
          await cache.getOrSet(k[0]!, source.next, { ttl: '1h' }),
        ]),
      ),
      named('set with mark', fc.tuple(key, value, fc.boolean()), async (cache, _, [k, v, late]) => {
        const mark = await cache.mark()
        if (late) await cache.delete(k)
        return [await cache.set(k, v, { mark, tags: tagsOf(k), ttl: '1h' }), await cache.get(k)]
      }),
    ),
  )
  .map(([who, space, { label, run }]) => ({ label: `#${who} ${space || '/'} ${label}`, who, space, run }))

function named<Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  run: (cache: Cache, source: Source, args: Args) => Promise<unknown>,
): fc.Arbitrary<{ label: string; run: Step }> {
  return args.map((given) => ({
    label: `${name} ${JSON.stringify(given)}`,
    run: (cache, source) => run(cache, source, given),
  }))
}

const within = (cache: Cache, space: string): Cache =>
  space === '' ? cache : space.split('/').reduce((at, part) => at.namespace(part), cache)

describe('the cache on Redis beside the cache in process memory', () => {
  let redis: RedisServer
  let live: LiveCache[]
  let model: Cache

  beforeAll(async () => {
    redis = await startRedis()
    const namespace = freshNamespace()
    live = await Promise.all(Array.from({ length: PROCESSES }, () => openCache(redis.url, { namespace })))
    model = createCache()
  })
  afterAll(async () => {
    await Promise.all(live.map((process) => process.close()))
    await model.close()
    await redis.stop()
  })

  it(
    'shows the same for every sequence of verbs, whichever of two processes runs each',
    async () => {
      const seed = Number(process.env.HOLDFAST_SEED ?? Math.trunc(Math.random() * 2 ** 31))
      console.info(`model: seed ${seed} (HOLDFAST_SEED replays it)`)
      let steps = 0
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: STEPS }),
        async (sequence) => {
          await Promise.all([live[0]!.cache.clear(), model.clear()])
          const [real, expected] = [new Source(), new Source()]
          for (const { label, who, space, run } of sequence) {
            steps++
            const { cache, port } = live[who]!
            const shown = await run(within(cache, space), real)
            expect(shown, label).toEqual(await run(within(model, space), expected))
            // A fill leaves behind the caller's back; what follows it on its connection has to wait for it.
            await port.nodes()[0]!.send(['PING'], { deadline: 10_000 })
            const visible = [...(await within(model, space).getMany(KEYS))]
            for (const process of live) {
              expect([...(await within(process.cache, space).getMany(KEYS))], `${label}, seen after`).toEqual(
                visible,
              )
            }
          }
        },
      )
      await fc.assert(property, {
        seed,
        numRuns: RUNS,
        reporter(details) {
          if (!details.failed) return
          const sequence = details.counterexample?.[0].map(({ label }) => label).join('\n')
          throw new Error(`seed ${seed}:\n${sequence}`, { cause: details.errorInstance })
        },
      })
      expect(steps).toBeGreaterThan(RUNS * 5)
    },
    120_000 + RUNS * 500,
  )
})
