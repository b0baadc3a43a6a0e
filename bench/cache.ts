/** Holdfast's cache beside the raw client and its peers, in one run. Prints Markdown. */
import { createClient } from 'redis'
import { startRedis } from '../test/support/redis-server.ts'
import { bentoPeer, cacheablePeer, cacheManagerPeer, holdfastPeer, type Peer } from './cache-peers.ts'
import { type Figure, formatDuration, measure, median, table, zipf } from './measure.ts'
import { stampede } from './stampede.ts'

const L1_KEYS = 100_000
const L2_KEYS = 1_000

/** About 1 KB of ordinary API JSON. */
function product(i: number): Record<string, unknown> {
  return {
    id: i,
    name: `Product number ${i}`,
    description: 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. '.repeat(4),
    price: { amount: 1_990 + i, currency: 'EUR' },
    stock: Array.from({ length: 6 }, (_, n) => ({ shop: `shop-${n}`, count: n * i, updated: '2026-01-01' })),
    tags: ['new', 'sale', 'outdoor'],
  }
}

/** A hit must not load. Where one does (a deadline missed on a busy machine), the table says so. */
let unexpectedLoads = 0
const never = async (): Promise<unknown> => {
  unexpectedLoads++
  return undefined
}

/** What a careful hand would write: a Map with a time of expiry, behind an async function. */
function mapWithTtl(): { get(key: string): Promise<unknown>; set(key: string, value: unknown): void } {
  const map = new Map<string, { value: unknown; until: number }>()
  return {
    set: (key, value) => void map.set(key, { value, until: Date.now() + 600_000 }),
    async get(key) {
      const entry = map.get(key)
      if (entry === undefined || entry.until <= Date.now()) return never()
      return entry.value
    },
  }
}

async function l1Hits(redisUrl: string): Promise<string> {
  const keys = Array.from({ length: L1_KEYS }, (_, i) => `product:${i}`)
  const order = zipf(L1_KEYS, 1 << 20)
  const at = (i: number): string => keys[order[i & 0xfffff]!]!
  const map = mapWithTtl()
  const peers = [
    holdfastPeer(redisUrl, true, 'l1'),
    holdfastPeer(undefined, true),
    bentoPeer(undefined),
    cacheablePeer(undefined),
    cacheManagerPeer(undefined),
  ]
  for (const peer of peers) await peer.ready?.()
  for (const [i, key] of keys.entries()) map.set(key, product(i))
  for (const peer of peers) {
    for (let i = 0; i < L1_KEYS; i += 500) {
      await Promise.all(
        keys.slice(i, i + 500).map((key, n) => peer.getOrSet(key, async () => product(i + n))),
      )
    }
  }
  const contestants = [
    { name: 'awaited Map with ttl', run: (i: number) => map.get(at(i)) },
    ...peers.map((peer) => ({ name: peer.name, run: (i: number) => peer.getOrSet(at(i), never) })),
  ]
  const figures = await measure(contestants, { concurrency: 1, operations: 200_000 })
  for (const peer of peers) await peer.close()
  return table(`L1 hit: getOrSet, ${L1_KEYS.toLocaleString('en')} keys, Zipf`, figures)
}

async function l2Hits(url: string): Promise<string[]> {
  const raw = createClient({ url })
  await raw.connect()
  const tuned = raw.withCommandOptions({ timeout: 0 })
  const peers: Peer[] = [
    holdfastPeer(url, false, 'l2'),
    bentoPeer(url),
    cacheablePeer(url),
    cacheManagerPeer(url),
  ]
  for (const peer of peers) await peer.ready?.()
  for (let i = 0; i < L2_KEYS; i++) {
    await raw.set(`raw:${i}`, JSON.stringify(product(i)))
    for (const peer of peers) await peer.getOrSet(`product:${i}`, async () => product(i))
  }
  const parse = (text: string | Buffer | null): unknown => JSON.parse(String(text))
  const contestants = [
    {
      name: 'node-redis, timeout off: GET + JSON.parse',
      run: async (i: number) => parse(await tuned.get(`raw:${i % L2_KEYS}`)),
    },
    {
      name: 'node-redis as created: GET + JSON.parse',
      run: async (i: number) => parse(await raw.get(`raw:${i % L2_KEYS}`)),
    },
    ...peers.map((peer) => ({
      name: peer.name,
      run: (i: number) => peer.getOrSet(`product:${i % L2_KEYS}`, never),
    })),
  ]
  const tables: string[] = []
  for (const concurrency of [1, 16, 128]) {
    const figures = await measure(contestants, {
      concurrency,
      operations: concurrency === 1 ? 5_000 : 25_000,
    })
    tables.push(
      table(`L2 hit: getOrSet, 1 KB JSON, no copies in memory, concurrency ${concurrency}`, figures),
    )
  }
  const hundred = Array.from({ length: 100 }, (_, i) => `product:${i}`)
  const rawHundred = hundred.map((_, i) => `raw:${i}`)
  const batch = await measure(
    [
      {
        name: 'node-redis, timeout off: MGET + JSON.parse',
        run: async () => (await tuned.mGet(rawHundred)).map(parse),
      },
      ...peers.flatMap((peer) => {
        const getMany = peer.getMany?.bind(peer)
        return getMany ? [{ name: peer.name, run: () => getMany(hundred) }] : []
      }),
    ],
    { concurrency: 1, operations: 300 },
  )
  tables.push(table('Batch of 100 keys: getMany', batch))
  for (const peer of peers) await peer.close()
  await raw.close()
  return tables
}

async function tags(url: string): Promise<string> {
  const rows: string[] = []
  for (const entries of [10, 1_000, 10_000, 100_000]) {
    const cells: string[] = []
    for (const peer of [holdfastPeer(url, false, `tags${entries}`), bentoPeer(url)]) {
      await peer.ready?.()
      const times: number[] = []
      for (let i = 0; i < entries; i += 500) {
        const some = Array.from({ length: Math.min(500, entries - i) }, (_, n) => i + n)
        await Promise.all(some.map((n) => peer.tagged!.set(`${entries}:${n}`, n, 'all')))
      }
      for (let round = 0; round < 15; round++) {
        const started = performance.now()
        await peer.tagged!.invalidate('all')
        times.push(performance.now() - started)
      }
      cells.push(formatDuration(median(times)))
      await peer.close()
    }
    rows.push(`| ${entries.toLocaleString('en')} | ${cells.join(' | ')} |`)
  }
  return [
    '### Invalidating one tag',
    '',
    '| entries under it | holdfast | BentoCache |',
    '|--:|--:|--:|',
    ...rows,
    '',
  ].join('\n')
}

export async function benchCache(): Promise<string> {
  const redis = await startRedis()
  try {
    // L2 first: a heap that is full of local copies would slow everybody's parsing down.
    const sections = [...(await l2Hits(redis.url)), await l1Hits(redis.url), await tags(redis.url)]
    sections.push(await stampede(redis))
    if (unexpectedLoads > 0) sections.push(`${unexpectedLoads} of the hits above loaded instead.\n`)
    return sections.join('\n')
  } finally {
    await redis.stop()
  }
}

export type { Figure }
