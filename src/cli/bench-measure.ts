import type { Holdfast } from '../holdfast.ts'
import type { Io } from './io.ts'
import { Progress } from './progress.ts'

export interface Measured {
  readonly name: string
  /** Calls under way at a time. */
  readonly concurrency: number
  readonly calls: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface BenchResult {
  readonly driver: 'embedded' | 'redis'
  readonly operations: readonly Measured[]
  /** The same look-up under rising load. */
  readonly load: readonly Measured[]
  readonly memory: {
    readonly entries: number
    readonly valueBytes: number
    /** Growth of the server, or of the entries in process memory; null where it cannot be told apart. */
    readonly bytesPerEntry: number | null
    readonly processRssBytes: number
  }
  readonly hitRate: { readonly keys: number; readonly lookups: number; readonly percent: number }
}

const ENTRIES = 1_000
const VALUE = { name: 'a product', text: 'x'.repeat(900) }
const LIFE = '1m'
const ZIPF_KEYS = 1_000
const CACHED_SHARE = 0.5

export async function measure(
  hf: Holdfast,
  { seconds, concurrency }: { readonly seconds: number; readonly concurrency: number },
  io: Io,
): Promise<BenchResult> {
  const { cache } = hf
  const progress = new Progress(io.stderr, 'measuring')
  const slice = (seconds * 1_000) / 8
  let done = 0
  const run = async (name: string, at: number, call: (i: number) => Promise<unknown>): Promise<Measured> => {
    const result = await repeat(name, at, slice, call, io.signal)
    progress.at(++done, 8)
    return result
  }
  const key = (i: number): string => `bench:${i % ENTRIES}`
  try {
    const before = await usedBytes(hf)
    await Promise.all(Array.from({ length: ENTRIES }, (_, i) => cache.set(key(i), VALUE, { ttl: LIFE })))
    const grown = (await usedBytes(hf)) - before
    const operations = [
      await run('set', concurrency, (i) => cache.set(key(i), VALUE, { ttl: LIFE })),
      await run('get, hit', concurrency, (i) => cache.get(key(i))),
      await run('getOrSet, miss', concurrency, (i) =>
        cache.getOrSet(`miss:${i}`, () => VALUE, { ttl: '5s' }),
      ),
      await run('getMany of 100', 8, (i) => cache.getMany(Array.from({ length: 100 }, (_, n) => key(i + n)))),
    ]
    const load: Measured[] = []
    for (const at of [...new Set([1, Math.ceil(concurrency / 4), concurrency])]) {
      load.push(await run('get, hit', at, (i) => cache.get(key(i))))
    }
    const hitRate = await zipf(hf, Math.round(Math.min(20_000, seconds * 1_000)))
    return {
      driver: hf.health().driver,
      operations,
      load,
      memory: {
        entries: ENTRIES,
        valueBytes: JSON.stringify(VALUE).length,
        bytesPerEntry: grown > 0 ? Math.round(grown / ENTRIES) : null,
        processRssBytes: process.memoryUsage().rss,
      },
      hitRate,
    }
  } finally {
    progress.end()
    await cache.deletePattern('*')
  }
}

async function usedBytes({ redis, cache }: Holdfast): Promise<number> {
  if (redis === undefined) return cache.stats().store.l1Bytes
  const infos = await redis.info('cache')
  return infos.reduce((sum, info) => sum + Number(info.used_memory), 0)
}

async function repeat(
  name: string,
  concurrency: number,
  forMs: number,
  call: (i: number) => Promise<unknown>,
  signal: AbortSignal,
): Promise<Measured> {
  const times: number[] = []
  const began = performance.now()
  const until = began + forMs
  let next = 0
  const worker = async (): Promise<void> => {
    do {
      const sent = performance.now()
      await call(next++)
      times.push(performance.now() - sent)
      // What answers from memory gives way to nobody otherwise.
      if (next % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
    } while (performance.now() < until && !signal.aborted)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const ms = performance.now() - began
  times.sort((a, b) => a - b)
  const at = (share: number): number =>
    round(times[Math.min(times.length - 1, Math.floor(times.length * share))]!)
  return {
    name,
    concurrency,
    calls: times.length,
    perSecond: Math.round((times.length / ms) * 1_000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  }
}

/** Look-ups as they come in life (Zipf's law, exponent 1): half of the keys fit, the popular ones first. */
async function zipf({ cache }: Holdfast, lookups: number): Promise<BenchResult['hitRate']> {
  const weights = Array.from({ length: ZIPF_KEYS }, (_, i) => 1 / (i + 1))
  const sum = weights.reduce((a, b) => a + b, 0)
  const before = cache.stats()
  for (let i = 0; i < ZIPF_KEYS * CACHED_SHARE; i++) await cache.set(`zipf:${i}`, i, { ttl: LIFE })
  const pick = (): number => {
    let left = Math.random() * sum
    let i = 0
    while (i < ZIPF_KEYS - 1 && left > weights[i]!) left -= weights[i++]!
    return i
  }
  for (let made = 0; made < lookups; made += 100) {
    await Promise.all(
      Array.from({ length: Math.min(100, lookups - made) }, () => cache.get(`zipf:${pick()}`)),
    )
  }
  const after = cache.stats()
  const hits = after.hits.l1 + after.hits.l2 - before.hits.l1 - before.hits.l2
  const misses = after.misses - before.misses
  return {
    keys: ZIPF_KEYS,
    lookups: hits + misses,
    percent: round((hits / Math.max(1, hits + misses)) * 100),
  }
}

const round = (value: number): number => Math.round(value * 100) / 100
