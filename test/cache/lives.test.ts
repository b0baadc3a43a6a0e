import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { configFromEnv } from '../../src/config.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import type { HoldfastOptions } from '../../src/options.ts'
import { freshNamespace } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

describe('how long entries live', () => {
  let redis: RedisServer
  const made: Holdfast[] = []
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(async () => {
    for (const hf of made.splice(0)) await hf.close()
  })
  afterAll(() => redis.stop())

  async function make(options: HoldfastOptions): Promise<{ hf: Holdfast; namespace: string }> {
    const namespace = freshNamespace()
    const patience = { connect: '10s', read: '5s', write: '5s' } as const
    const hf = holdfast({ redis: redis.url, deadlines: patience, ...options, namespace })
    made.push(hf)
    await hf.ready('10s')
    return { hf, namespace }
  }

  /** Whole seconds that an entry has left in Redis, rounded up: its ttl, if it was just stored. */
  async function secondsLeft(namespace: string, key: string): Promise<number> {
    const name = `hf:{${namespace}:0}:e:${key}`
    const ms = await until('it is stored', async () => {
      const left = Number(await redis.cli('PTTL', name))
      return left > 0 ? left : undefined
    })
    return ms / 1_000
  }
  function expectAbout(left: number, seconds: number): void {
    expect(left).toBeGreaterThan(seconds - 5)
    expect(left).toBeLessThanOrEqual(seconds)
  }

  it('half a minute for what changes all the time, minutes for what does not [S0-17]', async () => {
    const { hf, namespace } = await make({
      cache: { namespaces: { invoices: { ttl: '30s' }, products: { ttl: '5m', jitter: 0.1 } } },
    })
    await hf.cache.namespace('invoices').getOrSet('shop:7', () => [])
    await hf.cache.namespace('products').getOrSet('shop:7', () => [])
    expectAbout(await secondsLeft(namespace, 'invoices|shop:7'), 30)
    const products = await secondsLeft(namespace, 'products|shop:7')
    expect(products).toBeGreaterThan(300 * 0.9 - 5)
    expect(products).toBeLessThanOrEqual(300)
  })

  it.each<[string, string, number]>([
    ['short', '1m', 60],
    ['medium', '5m', 300],
    ['long', '1h', 3_600],
  ])('of the class %s: %s [S3-26]', async (name, ttl, seconds) => {
    const classes = { short: { ttl: '1m' }, medium: { ttl: '5m' }, long: { ttl: '1h' } } as const
    expect(classes[name as keyof typeof classes].ttl).toBe(ttl)
    const { hf, namespace } = await make({ cache: { namespaces: classes } })
    await hf.cache.namespace(name).getOrSet('k', () => 1)
    expectAbout(await secondsLeft(namespace, `${name}|k`), seconds)
  })

  it.each<[string, string, number]>([
    ['hot', '5m', 300],
    ['warm', '30m', 1_800],
    ['cold', '24h', 86_400],
  ])('of the tier %s, in memory no longer than in Redis: %s [S4-43]', async (name, ttl, seconds) => {
    const tiers = { hot: { ttl: '5m' }, warm: { ttl: '30m' }, cold: { ttl: '24h' } } as const
    expect(tiers[name as keyof typeof tiers].ttl).toBe(ttl)
    const { hf, namespace } = await make({ cache: { namespaces: tiers } })
    const cache = hf.cache.namespace(name)
    await cache.getOrSet('k', () => 1)
    expectAbout(await secondsLeft(namespace, `${name}|k`), seconds)
    // By this process's idea of the server's clock, which is some ms off.
    expectAbout((await cache.inspect('k')).ttlMs / 1_000 - 0.5, seconds)
  })

  describe('in the six namespaces of a chat over datasets', () => {
    const TTLS = {
      dataset_list: 60,
      dataset_content: 300,
      query_result: 300,
      session_state: 1_800,
      pg_connection: 600,
      llm_models: 3_600,
    }

    async function fromEnvironment() {
      const { options } = configFromEnv({ REDIS_URL: redis.url }, { ttls: TTLS })
      return make(options)
    }

    it('a dataset content, a query result, a session state, a connection and the models live as configured [S4-16][S4-17][S4-18][S4-19][S4-20]', async () => {
      const { hf, namespace } = await fromEnvironment()
      for (const [name, seconds] of Object.entries(TTLS)) {
        await hf.cache.namespace(name).getOrSet('all', () => 1)
        expectAbout(await secondsLeft(namespace, `${name}|all`), seconds)
      }
    })

    it('the second reader of a list, a result or a state causes no query [S4-1]', async () => {
      const { hf } = await fromEnvironment()
      let queries = 0
      for (const name of ['dataset_list', 'query_result', 'session_state']) {
        const cache = hf.cache.namespace(name)
        const read = () => cache.getOrSet('user:7', () => ({ query: ++queries }))
        const first = await read()
        expect(await read()).toEqual(first)
        expect(cache.stats()).toMatchObject({ misses: 1, loads: 1, hitRate: 50 })
      }
      expect(queries).toBe(3)
    })

    it('data of a connection never lies in Redis in clear [S4-19]', async () => {
      const { options } = configFromEnv({ REDIS_URL: redis.url }, { ttls: TTLS })
      const secret = 'postgres://app:a-password-nobody-may-see@db/app'
      const { hf, namespace } = await make({
        ...options,
        encryption: { keys: { k1: randomBytes(32) } },
        cache: {
          namespaces: { ...options.cache?.namespaces, pg_connection: { ttl: '600s', sensitive: true } },
        },
      })
      const cache = hf.cache.namespace('pg_connection')
      await cache.getOrSet('main', () => ({ secret }))
      expectAbout(await secondsLeft(namespace, 'pg_connection|main'), 600)
      const raw = String(await redis.cli('GET', `hf:{${namespace}:0}:e:pg_connection|main`))
      expect(raw).not.toContain('nobody-may-see')
      expect(await cache.get('main')).toEqual({ secret })
    })
  })

  it('under names that people can read: entity:id and entities:filter [S3-25]', async () => {
    const { hf, namespace } = await make({})
    await hf.cache.set('task:7', { id: 7 }, { tags: ['tasks'] })
    await hf.cache.set('tasks:status=open', [7], { tags: ['tasks'] })
    await hf.cache.set('tasks:status=done', [], { tags: ['tasks'] })
    const keys = (await redis.cli('KEYS', `hf:{${namespace}:0}:e:*`)) as string[]
    expect(keys.map((key) => key.split(':e:')[1]).sort()).toEqual([
      'task:7',
      'tasks:status=done',
      'tasks:status=open',
    ])
    expect(await hf.cache.deletePattern('tasks:*')).toBe(2)
    expect(await hf.cache.get('task:7')).toEqual({ id: 7 })
  })
})
