/** Calls to another service: kept by Holdfast, by undici's own memory store, by undici-cache-redis, or not at all. */
import { Worker } from 'node:worker_threads'
import { Agent, cacheStores, type Dispatcher, interceptors, request, fetch as undiciFetch } from 'undici'
import { RedisCacheStore } from 'undici-cache-redis'
import { type Holdfast, holdfast } from '../src/holdfast.ts'
import { outbound } from '../src/http/outbound.ts'
import { undiciStore } from '../src/undici/store.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { type Contestant, measure, table } from './measure.ts'

const FOREIGN = 100_000
const PATHS = 200
const PEER = 'undici-cache-redis, tracking: false'

type Store = NonNullable<NonNullable<Parameters<typeof interceptors.cache>[0]>['store']>

/** About 1 KB of JSON from a thread of its own, as a remote API would be. */
async function startOrigin(): Promise<{ url: string; stop(): Promise<unknown> }> {
  const worker = new Worker(
    `const { createServer } = require('node:http')
     const { parentPort } = require('node:worker_threads')
     const body = JSON.stringify({ data: Array.from({ length: 12 }, (_, id) => ({ id, name: 'Product ' + id, price: 1990, stock: [1, 2, 3] })) })
     const server = createServer((_, response) => {
       response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' })
       response.end(body)
     })
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`,
    { eval: true },
  )
  const port = await new Promise((resolve) => worker.once('message', resolve))
  return { url: `http://127.0.0.1:${port}`, stop: () => worker.terminate() }
}

interface Stores {
  readonly all: readonly { readonly name: string; readonly store: Store }[]
  close(): Promise<void>
}

async function stores(redis: RedisServer, withTracking: boolean): Promise<Stores> {
  const clientOpts = { host: '127.0.0.1', port: redis.port, keyPrefix: 'peer:' }
  const hfs: Holdfast[] = [
    holdfast({ redis: redis.url, namespace: 'l1' }),
    holdfast({ redis: redis.url, namespace: 'l2', cache: { l1: false } }),
  ]
  for (const hf of hfs) await hf.ready()
  const untracked = new RedisCacheStore({ clientOpts, tracking: false, errorCallback: () => undefined })
  const tracked = withTracking
    ? new RedisCacheStore({
        clientOpts: { ...clientOpts, keyPrefix: 'tracked:' },
        errorCallback: () => undefined,
      })
    : undefined
  return {
    all: [
      { name: 'undici’s memory store (this process only)', store: new cacheStores.MemoryCacheStore() },
      { name: 'holdfast/undici', store: undiciStore({ cache: hfs[0]!.cache }) },
      { name: 'holdfast/undici, no copies in memory', store: undiciStore({ cache: hfs[1]!.cache }) },
      ...(tracked ? [{ name: 'undici-cache-redis, copies in memory', store: tracked as Store }] : []),
      { name: PEER, store: untracked as Store },
    ],
    async close() {
      for (const hf of hfs) await hf.close()
      await untracked.close().catch(() => undefined)
      await tracked?.close().catch(() => undefined)
    },
  }
}

/** Fills a path through each agent, then measures that it comes back. */
async function throughAgents(origin: string, redis: RedisServer): Promise<string> {
  const { all, close } = await stores(redis, true)
  const plain = new Agent()
  const agents = all.map(({ name, store }) => ({
    name,
    agent: new Agent().compose(interceptors.cache({ store })) as Dispatcher,
  }))
  const get = async (dispatcher: Dispatcher, i: number): Promise<number> =>
    (await (await request(`${origin}/products/${i % PATHS}`, { dispatcher })).body.arrayBuffer()).byteLength
  for (const { agent } of agents) {
    for (let i = 0; i < PATHS; i++) await get(agent, i)
  }
  await settle()
  const contestants: Contestant[] = [
    { name: 'uncached, upstream on loopback', run: (i) => get(plain, i) },
    ...agents.map(({ name, agent }) => ({ name, run: (i: number) => get(agent, i) })),
  ]
  const figures = await measure(contestants, { concurrency: 8, operations: 400, rounds: 3 })
  await Promise.all([plain.close(), ...agents.map(({ agent }) => agent.close())])
  await close()
  return table('undici.request, a hit of 1 KB, concurrency 8, no other keys on the server', figures)
}

/** The look-up alone, beside keys of others. */
async function lookUps(redis: RedisServer, foreign: number): Promise<string> {
  const { all, close } = await stores(redis, false)
  const now = Date.now()
  const key = (i: number) => ({
    origin: 'https://api.example',
    method: 'GET',
    path: `/p/${i % 20}`,
    headers: {},
  })
  const value = {
    statusCode: 200,
    statusMessage: 'OK',
    headers: { 'content-type': 'application/json' },
    cacheControlDirectives: { 'max-age': 3_600 },
    cachedAt: now,
    staleAt: now + 3_600_000,
    deleteAt: now + 3_600_000,
  }
  for (const { store } of all) {
    for (let i = 0; i < 20; i++) store.createWriteStream(key(i), value)?.end(Buffer.alloc(1_000, 'x'))
  }
  await settle()
  const contestants = all.map(({ name, store }) => ({ name, run: async (i: number) => store.get(key(i)) }))
  const isSlow = foreign > 0
  const figures = await measure(contestants, {
    concurrency: 1,
    operations: isSlow ? 2 : 100,
    rounds: 3,
  })
  // Few operations measure the slow one; the quick ones deserve more.
  const rest = isSlow
    ? await measure(contestants.slice(0, -1), { concurrency: 1, operations: 2_000, rounds: 3 })
    : []
  await close()
  const merged = figures.map((figure) => rest.find(({ name }) => name === figure.name) ?? figure)
  const among = foreign === 0 ? 'no other keys' : `${foreign.toLocaleString('en')} keys of others`
  return table(`Store look-up alone, concurrency 1, ${among} on the server`, merged, PEER)
}

async function policy(origin: string, redis: RedisServer): Promise<string> {
  const hfs = [
    holdfast({}),
    holdfast({ redis: redis.url, namespace: 'p1' }),
    holdfast({ redis: redis.url, namespace: 'p2', cache: { l1: false } }),
  ] as const
  for (const hf of hfs) await hf.ready()
  const calls = hfs.map((hf) =>
    outbound(fetch, {
      cache: hf.cache,
      identity: 'credential',
      secret: 'a secret for benches',
      routes: [{ name: 'bench', match: `GET|POST ${origin}/*`, ttl: '10m' }],
    }),
  )
  const init = {
    method: 'POST',
    headers: { authorization: 'Bearer token', 'content-type': 'application/json' },
    body: JSON.stringify({ metrics: ['clicks', 'spend'], dateRanges: [{ startDate: '2026-11-01' }] }),
  }
  const read = async (call: (url: string, init: RequestInit) => Promise<Response>, i: number) =>
    (await (await call(`${origin}/report?b=2&a=${i % PATHS}`, init)).arrayBuffer()).byteLength
  for (const call of calls) for (let i = 0; i < PATHS; i++) await read(call, i)
  await settle()
  const names = ['outbound(), embedded', 'outbound(), Redis', 'outbound(), Redis, no copies in memory']
  const figures = await measure(
    [
      { name: 'fetch, uncached, upstream on loopback', run: (i) => read(fetch, i) },
      {
        name: 'undici.fetch, uncached',
        run: async (i) => (await undiciFetch(`${origin}/report?a=${i % PATHS}`, init)).arrayBuffer(),
      },
      ...calls.map((call, n) => ({ name: names[n]!, run: (i: number) => read(call, i) })),
    ],
    { concurrency: 8, operations: 1_000, rounds: 3 },
  )
  for (const hf of hfs) await hf.close()
  return table('Policy caching: POST with a credential, a hit of 1 KB, concurrency 8', figures)
}

/** Writes to Redis are behind the callers' backs. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 500))

export async function benchOutbound(): Promise<string> {
  const redis = await startRedis()
  const origin = await startOrigin()
  const sections = [
    await throughAgents(origin.url, redis),
    await policy(origin.url, redis),
    await lookUps(redis, 0),
  ]
  await redis.cli(
    'EVAL',
    `for i = 1, ${FOREIGN} do redis.call('SET', 'otherapp:' .. i, 'x') end return 1`,
    '0',
  )
  sections.push(await lookUps(redis, FOREIGN))
  await origin.stop()
  await redis.stop()
  return sections.join('\n')
}
