/**
 * One day of dashboards in some seconds: `npm run replay:metrics -- --requests 20000 --json`. The day
 * passes on a clock that is set forward; all else is as ever: the server over HTTP, and the three
 * simulated APIs behind it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as nextRound } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { FakeClock } from 'holdfast/testing'
import { Pool } from 'undici'
import { startGa4 } from '../simulators/ga4.ts'
import { startGoogleAds } from '../simulators/google-ads.ts'
import { startMeta } from '../simulators/meta.ts'
import { seeded, zipf } from '../simulators/traffic.ts'
import { startMetrics } from './server.ts'

export interface Replay {
  requests: number
  answered: number
  /** Percent of the cache's look-ups that found something. */
  hitRate: number
  /** Of the three APIs: with the cache, and what the same requests cost without. */
  upstreamCalls: number
  upstreamCallsUncached: number
  /** Percent. */
  callsCut: number
  requestsPerSecond: number
  responseMs: { p50: number; p95: number; p99: number }
  heapMb: number
}

const HOUR_MS = 3_600_000
/** How much of a day's work is done in each hour. */
const HOURS = [1, 1, 1, 1, 1, 2, 5, 12, 30, 40, 40, 35, 20, 35, 40, 40, 35, 25, 12, 8, 6, 4, 2, 1]
const RANGES = ['last_7d', 'last_30d', 'yesterday', 'today']
const VIEWS = ['overview?', 'campaigns?source=meta&', 'campaigns?source=google-ads&']
const AT_ONCE = 16

/** @param most of the manifest's accounts that people look at, the first ones most */
export async function replay(requests: number, most = 100): Promise<Replay> {
  const sims = await Promise.all([startMeta(), startGoogleAds(), startGa4()])
  const [meta, ads, ga4] = sims
  const upstream = watch(sims.map(({ url }) => url))
  const env = { PORT: '0', META_URL: meta.url, GOOGLE_ADS_URL: ads.url, GA4_URL: ga4.url }
  const clock = new FakeClock()
  const cached = await startMetrics({ ...env, WARM: 'true' }, { clock })
  const bare = await startMetrics({ ...env, WARM: 'false', CACHE_ENABLED: 'false' })
  const pool = new Pool(cached.url, { connections: AT_ONCE })
  const barePool = new Pool(bare.url)
  try {
    await cached.warmed
    const warming = upstream.calls
    const random = seeded(2_026)
    const { data } = (await ask(pool, `/api/v1/accounts?limit=${most}`)).body as { data: { id: string }[] }
    const [account, range, view] = [zipf(data.length, 0.8, random), zipf(4, 1, random), zipf(3, 1, random)]
    const paths = Array.from(
      { length: requests },
      () => `/api/v1/accounts/${data[account()]!.id}/${VIEWS[view()]}range=${RANGES[range()]}`,
    )

    // What each request costs without a cache is measured, not assumed.
    const costs = new Map<string, number>()
    for (const path of new Set(paths)) {
      const before = upstream.calls
      await ask(barePool, path)
      costs.set(path, upstream.calls - before)
    }

    const before = upstream.calls
    const times: number[] = []
    let answered = 0
    let busyMs = 0
    const perShare = requests / HOURS.reduce((sum, share) => sum + share)
    for (const hour of HOURS.keys()) {
      const wanted = Math.round(perShare * sumTo(hour)) - times.length
      if (wanted === 0) await clock.advance(HOUR_MS)
      for (let left = wanted; left > 0; left -= AT_ONCE) {
        const from = performance.now()
        const some = paths.slice(times.length, times.length + Math.min(AT_ONCE, left))
        const answers = await Promise.all(some.map((path) => ask(pool, path)))
        busyMs += performance.now() - from
        for (const { status, ms } of answers) {
          if (status === 200) answered++
          times.push(ms)
        }
        // Reloads go on behind the answers; they take no hours.
        await upstream.idle()
        await clock.advance((HOUR_MS * Math.min(AT_ONCE, left)) / wanted)
      }
    }
    const upstreamCalls = warming + upstream.calls - before
    const upstreamCallsUncached = paths.reduce((sum, path) => sum + costs.get(path)!, 0)
    const { hitRate } = (await ask(pool, '/stats')).body as { hitRate: number }
    times.sort((a, b) => a - b)
    const at = (share: number) => Number(times[Math.floor(times.length * share)]!.toFixed(2))
    return {
      requests: times.length,
      answered,
      hitRate,
      upstreamCalls,
      upstreamCallsUncached,
      callsCut: Math.round((1 - upstreamCalls / upstreamCallsUncached) * 1_000) / 10,
      requestsPerSecond: Math.round((times.length / busyMs) * 1_000),
      responseMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99) },
      heapMb: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
    }
  } finally {
    upstream.end()
    for (const part of [pool, barePool, cached, bare, ...sims]) await part.close()
  }
}

const sumTo = (hour: number): number => HOURS.slice(0, hour + 1).reduce((sum, share) => sum + share)

async function ask(pool: Pool, path: string): Promise<{ status: number; ms: number; body: unknown }> {
  const from = performance.now()
  const { statusCode, body } = await pool.request({ path, method: 'GET' })
  const parsed = await body.json()
  return { status: statusCode, ms: performance.now() - from, body: parsed }
}

/** Hears every request of this process to one of `origins`: tokens apart, which no cache of answers saves. */
function watch(origins: readonly string[]) {
  const open = new Set<object>()
  let calls = 0
  const hear = (name: string, listener: (request: { origin?: unknown; path?: string }) => void) => {
    const heard = (message: unknown) => listener((message as { request: object }).request)
    subscribe(name, heard)
    return () => unsubscribe(name, heard)
  }
  const ends = [
    hear('undici:request:create', (request) => {
      if (!origins.includes(String(request.origin))) return
      open.add(request)
      if (request.path !== '/token') calls++
    }),
    hear('undici:request:trailers', (request) => void open.delete(request)),
    hear('undici:request:error', (request) => void open.delete(request)),
  ]
  return {
    get calls() {
      return calls
    },
    /** Nothing is under way, nor about to be. */
    async idle() {
      for (let quiet = 0; quiet < 3; ) {
        quiet = open.size === 0 ? quiet + 1 : 0
        await nextRound()
      }
    },
    end() {
      for (const end of ends) end()
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '20000' },
      accounts: { type: 'string', default: '100' },
      json: { type: 'boolean' },
    },
  })
  const figures = await replay(Number(values.requests), Number(values.accounts))
  if (values.json) console.log(JSON.stringify(figures))
  else console.table(figures)
}
