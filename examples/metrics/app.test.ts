import type { HoldfastOptions } from 'holdfast'
import { FakeClock } from 'holdfast/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../test/support/until.ts'
import { startGa4 } from '../simulators/ga4.ts'
import { startGoogleAds } from '../simulators/google-ads.ts'
import { META_TOKEN, startMeta } from '../simulators/meta.ts'
import { FAULTS, type Simulator } from '../simulators/simulator.ts'
import { replay } from './replay.ts'
import { type MetricsServer, startMetrics } from './server.ts'
import { SOURCES, type Source } from './sources.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

let sims: Record<Source, Simulator>
const open: MetricsServer[] = []

beforeAll(async () => {
  const [meta, ads, ga4] = await Promise.all([startMeta(), startGoogleAds(), startGa4()])
  sims = { meta, 'google-ads': ads, ga4 }
})
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
  for (const sim of Object.values(sims)) {
    sim.reset()
    await control(sim, 'quota', { used: 0 })
  }
  await control(sims.meta, 'token', { token: META_TOKEN })
})
afterAll(() => Promise.all(Object.values(sims).map((sim) => sim.close())))

const control = (sim: Simulator, what: string, body: object = {}) =>
  fetch(`${sim.url}/__sim/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
/** Questions asked of the three, tokens apart. */
const asked = () =>
  Object.values(sims).reduce((sum, sim) => {
    const { total, byRoute } = sim.calls()
    return sum + total - (byRoute['POST /token'] ?? 0)
  }, 0)

interface Answer {
  status: number
  type: string | null
  retryAfter: string | null
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API says, held against what it should
  body: any
}

async function start(more: HoldfastOptions = {}, env: NodeJS.ProcessEnv = {}) {
  const server = await startMetrics(
    {
      PORT: '0',
      WARM: 'false',
      META_URL: sims.meta.url,
      GOOGLE_ADS_URL: sims['google-ads'].url,
      GA4_URL: sims.ga4.url,
      ...env,
    },
    more,
  )
  open.push(server)
  const get = async (path: string, init?: RequestInit): Promise<Answer> => {
    const answer = await fetch(server.url + path, init)
    const text = await answer.text()
    const type = answer.headers.get('content-type')
    return {
      status: answer.status,
      type,
      retryAfter: answer.headers.get('retry-after'),
      body: type?.includes('json') ? JSON.parse(text) : text,
    }
  }
  const overview = (account = 'lotus-tea', range = 'last_7d') =>
    get(`/api/v1/accounts/${account}/overview?range=${range}`)
  const campaigns = (source: Source, account = 'lotus-tea', words = '') =>
    get(`/api/v1/accounts/${account}/campaigns?source=${source}${words}`)
  return { server, get, overview, campaigns }
}

describe('dashboards', () => {
  it('ask each source once, and then the cache alone, also without Redis [S2-1][S2-2][S2-3][S2-48]', async () => {
    const { overview, campaigns } = await start()
    const first = await overview()
    expect(first).toMatchObject({ status: 200, body: { account: 'lotus-tea' } })
    for (const source of SOURCES) expect(first.body.sources[source].state).toBe('fresh')
    expect(Object.keys(first.body.totals).sort()).toEqual([
      'clicks',
      'conversions',
      'impressions',
      'keyEvents',
      'sessions',
      'spend',
      'totalRevenue',
      'totalUsers',
    ])
    const once = asked()
    for (let i = 0; i < 10; i++) expect(await overview()).toEqual(first)
    for (const source of SOURCES) expect((await campaigns(source)).status).toBe(200)
    expect(asked()).toBe(once)
    await overview('lotus-tea', 'yesterday')
    await overview('pho-house')
    expect(asked()).toBeGreaterThan(once)
  })

  it('add up what the sources say, all pages of it', async () => {
    const { overview, campaigns } = await start()
    const { body } = await overview('blue-dragon-books')
    const spend = { meta: 0, 'google-ads': 0, ga4: 0 }
    for (const source of ['meta', 'google-ads'] as const) {
      const seen = new Set<string>()
      for (let page = 1; ; page++) {
        const { data, total } = (await campaigns(source, 'blue-dragon-books', `&limit=7&page=${page}`)).body
        for (const { id, figures } of data) {
          seen.add(id)
          spend[source] += figures.spend
        }
        if (data.length === 0) {
          expect(seen.size).toBe(total)
          break
        }
      }
    }
    expect(body.totals.spend).toBeCloseTo(spend.meta + spend['google-ads'], 1)
    // Meta's default page has 25 campaigns.
    expect(sims.meta.calls().total).toBe(2)
  })

  it('of five hundred people at once cost one call of each source [S2-46][S2-10]', async () => {
    for (const sim of Object.values(sims)) await control(sim, 'latency', { ms: 100 })
    const { overview } = await start()
    const answers = await Promise.all(Array.from({ length: 500 }, () => overview('hue-silk')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(sims['google-ads'].calls().byRoute).toMatchObject({
      'POST /:version/customers/:customer/googleAds::searchStream': 1,
    })
    expect(asked()).toBe(sims.meta.calls().total + 2)
    expect(sims.meta.calls().total).toBeLessThanOrEqual(2)
  })

  it('are there before anybody asks, for what the manifest names [S2-45][S3-42]', async () => {
    const { server, overview } = await start({}, { WARM: 'true' })
    expect(await server.warmed).toBe(12 * 3 * 3)
    const before = asked()
    for (const range of ['yesterday', 'last_7d', 'last_30d']) {
      expect((await overview('red-river-ceramics', range)).status).toBe(200)
    }
    expect(asked()).toBe(before)
  })

  it('that are cached answer in under 10 ms [S2-7]', async () => {
    const { overview, get } = await start()
    await overview()
    const times: number[] = []
    for (let i = 0; i < 200; i++) {
      const from = performance.now()
      await overview()
      times.push(performance.now() - from)
    }
    expect(times.sort((a, b) => a - b)[100]).toBeLessThan(10)
    const { body } = await get('/metrics')
    const count = (le: string) =>
      Number(
        new RegExp(`cache_response_seconds_bucket{le="${le}",namespace="reports",op="get"} (\\d+)`).exec(
          body,
        )?.[1],
      )
    // Three look-ups each, but for the first that had to load.
    expect(count('0.01')).toBeGreaterThanOrEqual(0.95 * 600)
  })

  it('are refreshed on demand, old figures standing in meanwhile, six times a minute [S2-4][S2-25]', async () => {
    const { overview, get } = await start()
    const first = await overview()
    const before = asked()
    const refresh = () => get('/api/v1/accounts/lotus-tea/refresh', { method: 'POST' })
    expect(await refresh()).toMatchObject({ status: 202 })
    const meanwhile = await overview()
    expect(meanwhile.status).toBe(200)
    expect(meanwhile.body.totals).toEqual(first.body.totals)
    for (const source of SOURCES) expect(meanwhile.body.sources[source].state).toBe('stale')
    await until('all are new', async () => {
      const { sources } = (await overview()).body
      return SOURCES.every((source) => sources[source].state === 'fresh')
    })
    expect(asked()).toBeGreaterThanOrEqual(before + 3)
    for (let i = 1; i < 6; i++) expect((await refresh()).status).toBe(202)
    const refused = await refresh()
    expect(refused).toMatchObject({ status: 429, type: 'application/problem+json' })
    expect(Number(refused.retryAfter)).toBeGreaterThan(0)
    expect((await get('/api/v1/accounts/pho-house/refresh', { method: 'POST' })).status).toBe(202)
  })
})

describe('bad input', () => {
  it('is answered with problem details and the status that fits [S2-24]', async () => {
    const { get } = await start()
    const a = '/api/v1/accounts'
    const cases: [path: string, status: number, init?: RequestInit][] = [
      [`${a}/nobody/overview`, 404],
      [`${a}/Lotus%20Tea/overview`, 400],
      [`${a}/lotus-tea%00/overview`, 400],
      [`${a}/%/overview`, 400],
      [`${a}/${'a'.repeat(60)}/overview`, 400],
      [`${a}/lotus-tea/overview?range=someday`, 400],
      [`${a}/lotus-tea/overview?range=2026-02-30..2026-03-01`, 400],
      [`${a}/lotus-tea/overview?range=2026-03-02..2026-03-01`, 400],
      [`${a}/lotus-tea/overview?range=2025-01-01..2025-12-31`, 400],
      [`${a}/lotus-tea/overview?range=2099-01-01..2099-01-02`, 400],
      [`${a}/lotus-tea/overview?range=today&range=yesterday`, 400],
      [`${a}/lotus-tea/overview?rnage=today`, 400],
      [`${a}/lotus-tea/campaigns?source=tiktok`, 400],
      [`${a}/lotus-tea/campaigns?source=constructor`, 400],
      [`${a}/lotus-tea/campaigns?range=constructor`, 400],
      [`${a}/lotus-tea/campaigns?page=0`, 400],
      [`${a}/lotus-tea/campaigns?page=-1`, 400],
      [`${a}/lotus-tea/campaigns?page=1.5`, 400],
      [`${a}/lotus-tea/campaigns?page=1e3`, 400],
      [`${a}/lotus-tea/campaigns?limit=101`, 400],
      [`${a}/lotus-tea/campaigns?limit=all`, 400],
      [`${a}?limit=0`, 400],
      [`${a}/lotus-tea`, 404],
      ['/api/v1/nothing', 404],
      [`${a}/lotus-tea/overview`, 404, { method: 'DELETE' }],
    ]
    for (const [path, status, init] of cases) {
      const answer = await get(path, init)
      expect([path, answer.status, answer.type]).toEqual([path, status, 'application/problem+json'])
      expect(answer.body).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) })
    }
    expect(asked()).toBe(0)
    expect((await get(`${a}/lotus-tea/campaigns?page=99`)).body).toMatchObject({ data: [], page: 99 })
  })
})

describe('a source that fails', () => {
  it.each(FAULTS)('by %s is no error of ours while a stale answer is allowed [S2-6][S2-19]', async (kind) => {
    const clock = new FakeClock()
    const { overview, campaigns } = await start({ clock })
    const good = await overview()
    await clock.advance(2 * HOUR)
    const before = asked()
    for (const sim of Object.values(sims)) sim.fault({ kind, ms: 60_000, path: '/v' })
    for (let i = 0; i < 5; i++) {
      const { status, body } = await overview()
      expect([status, body.totals]).toEqual([200, good.body.totals])
      for (const source of SOURCES) {
        expect(body.sources[source]).toEqual({ state: 'stale', asOf: good.body.sources[source].asOf })
        expect((await campaigns(source)).status).toBe(200)
      }
    }
    await until('each was asked', () => asked() >= before + 3)
    for (const sim of Object.values(sims)) sim.reset()
    // Past what a throttle asks us to wait, and what a call may take.
    await until('all are new', async () => {
      await clock.advance(MINUTE)
      const { sources } = (await overview()).body
      return SOURCES.every((source) => sources[source].state === 'fresh')
    })
  })

  const COLD: Record<(typeof FAULTS)[number], number> = {
    '401': 502,
    '403': 502,
    '429': 503,
    '500': 502,
    html: 502,
    reset: 502,
    slow: 504,
    truncated: 502,
  }
  it.each(FAULTS)('by %s with nothing to stand in is told as what it is', async (kind) => {
    const clock = new FakeClock()
    const { campaigns } = await start({ clock })
    for (const source of SOURCES) {
      sims[source].fault({ kind, ms: 60_000, path: '/v' })
      const before = sims[source].calls().total
      const pending = campaigns(source)
      if (kind === 'slow') {
        await until('it was asked', () => sims[source].calls().total > before)
        await clock.advance(11_000)
      }
      const { status, type, retryAfter, body } = await pending
      // Meta says with 403 that the application calls too often.
      const wanted = kind === '403' && source === 'meta' ? 503 : COLD[kind]
      expect([source, status, type]).toEqual([source, wanted, 'application/problem+json'])
      if (status === 503) expect(Number(retryAfter)).toBeGreaterThan(0)
      expect(JSON.stringify(body)).not.toMatch(/127\.0\.0\.1|token|EAAB|ya29/)
    }
  })

  it('for want of a token is shown as it was, too', async () => {
    const clock = new FakeClock()
    const { overview, campaigns } = await start({ clock })
    const good = await overview()
    await clock.advance(2 * HOUR)
    sims['google-ads'].fault({ kind: '500', path: '/token' })
    expect((await overview()).body.totals).toEqual(good.body.totals)
    await until('a token was asked for', () => sims['google-ads'].calls().byRoute['POST /token']! > 1)
    expect((await overview()).body.totals).toEqual(good.body.totals)
    expect((await campaigns('ga4', 'pho-house')).status).toBe(502)
    sims['google-ads'].reset()
    await until('all are new', async () => {
      await clock.advance(MINUTE)
      return (await overview()).body.sources.ga4.state === 'fresh'
    })
  })

  it('does not take the others with it', async () => {
    const { overview } = await start()
    sims.ga4.fault({ kind: '500' })
    const { status, body } = await overview()
    expect(status).toBe(200)
    expect(body.sources).toMatchObject({
      meta: { state: 'fresh' },
      ga4: { state: 'failed', detail: 'ga4 answered 500' },
    })
    expect(body.totals.spend).toBeGreaterThan(0)
    for (const sim of Object.values(sims)) sim.fault({ kind: '500' })
    expect((await overview('pho-house')).status).toBe(502)
  })

  it('by a token of ours that has expired shows what it showed, and Google’s is renewed without a word', async () => {
    const clock = new FakeClock()
    const { overview, campaigns } = await start({ clock })
    await overview()
    await control(sims.meta, 'token', { token: 'another one' })
    for (const source of ['google-ads', 'ga4'] as const) await control(sims[source], 'expire-tokens')
    await clock.advance(2 * HOUR)
    await until('Google is new, Meta stays', async () => {
      const { status, body } = await overview()
      expect(status).toBe(200)
      const states = SOURCES.map((source) => body.sources[source].state)
      return states.join() === 'stale,fresh,fresh'
    })
    expect((await campaigns('meta', 'pho-house')).status).toBe(502)
    expect((await campaigns('ga4', 'pho-house')).status).toBe(200)
  })
})

describe('quotas', () => {
  const gauge = (text: string, source: string, quota: string) =>
    Number(
      new RegExp(`upstream_quota_used_ratio{source="${source}",quota="${quota}"} (\\S+)`).exec(text)?.[1],
    )

  it('show in gauges what the sources say of them [S2-5]', async () => {
    await control(sims.meta, 'quota', { used: 0.5 })
    await control(sims.ga4, 'quota', { used: 0.25 })
    const { overview, get } = await start()
    await overview()
    const text = (await get('/metrics')).body
    expect(gauge(text, 'meta', 'call_count')).toBeCloseTo(0.5, 1)
    expect(gauge(text, 'ga4', 'tokensPerHour')).toBeCloseTo(0.25, 1)
    expect(gauge(text, 'google-ads', 'operations')).toBeCloseTo(1 / 15_000, 4)
    const { quotas } = (await get('/api/v1/quota')).body
    expect(quotas).toContainEqual(expect.objectContaining({ source: 'meta', account: '100200300400501' }))
    expect(text).not.toContain('100200300400501')
  })

  it('that are nearly used up are left alone, before the source refuses', async () => {
    const clock = new FakeClock()
    const { overview, campaigns } = await start({ clock })
    const good = await overview()
    await control(sims.meta, 'quota', { used: 0.85 })
    await control(sims.ga4, 'quota', { used: 0.95 })
    await clock.advance(61 * MINUTE)
    await until('the sources have said it', async () => {
      await overview()
      return SOURCES.every((source) => sims[source].calls().total > 1)
    })
    // The accounts' next questions are not asked, while what is there is shown.
    await clock.advance(20_000)
    const before = { meta: sims.meta.calls().total, ga4: sims.ga4.calls().total }
    for (const source of ['meta', 'ga4'] as const) {
      const refused = await campaigns(source, 'lotus-tea', '&range=yesterday')
      expect([source, refused.status]).toEqual([source, 503])
      expect(Number(refused.retryAfter)).toBeGreaterThan(10)
    }
    expect((await overview()).body.totals).toEqual(good.body.totals)
    expect({ meta: sims.meta.calls().total, ga4: sims.ga4.calls().total }).toEqual(before)
    // Another account has a quota of its own; and after the pause this one is asked again.
    await control(sims.ga4, 'quota', { used: 0 })
    expect((await campaigns('ga4', 'pho-house')).status).toBe(200)
    await control(sims.meta, 'quota', { used: 0 })
    await clock.advance(HOUR)
    expect((await campaigns('meta', 'lotus-tea', '&range=yesterday')).status).toBe(200)
  })

  it('a throttled source is asked no more until its time has passed', async () => {
    const clock = new FakeClock()
    const { campaigns } = await start({ clock })
    sims['google-ads'].fault({ kind: '429', times: 1, path: '/v' })
    expect(await campaigns('google-ads')).toMatchObject({
      status: 503,
      retryAfter: expect.stringMatching(/^\d+$/),
    })
    const before = sims['google-ads'].calls().total
    for (const account of ['pho-house', 'hue-silk']) {
      expect(await campaigns('google-ads', account)).toMatchObject({ status: 503, retryAfter: '30' })
    }
    expect(sims['google-ads'].calls().total).toBe(before)
    await clock.advance(31_000)
    expect((await campaigns('google-ads', 'hue-silk')).status).toBe(200)
  })
})

describe('what is told of it', () => {
  it('hits, misses, errors and times, by the names of the trade [S2-5][S2-18][S2-34][S2-35][S2-36][S2-37][B6]', async () => {
    const { overview, get } = await start()
    await overview()
    for (let i = 0; i < 4; i++) await overview()
    const { type, body } = await get('/metrics')
    expect(type).toMatch(/^text\/plain/)
    expect(body).toContain('cache_hits_total{namespace="reports",tier="l1"} 12')
    expect(body).toContain('cache_misses_total{namespace="reports"} 3')
    expect(body).toContain('cache_errors_total{namespace="reports"} 0')
    expect(body).toContain('cache_response_seconds_count{namespace="reports",op="get"} 15')
    expect((await get('/stats')).body.namespaces.reports).toMatchObject({ misses: 3, hitRate: 80 })
    expect((await get('/healthz')).body).toMatchObject({ status: 'ok', driver: 'embedded' })
  })

  it('logs operations with their duration, and no key, account or token in full [S2-38][B8]', async () => {
    const lines: string[] = []
    const debug = (message: string, fields?: object) =>
      void lines.push(`${message} ${JSON.stringify(fields)}`)
    const quiet = () => undefined
    const { overview } = await start({ logger: { debug, info: quiet, warn: quiet, error: quiet } })
    await overview()
    await overview()
    const told = lines.filter((line) => /^Cache getOrSet - Key: \S+, Duration: \d+\.\d{3}s /.test(line))
    expect(told.length).toBeGreaterThanOrEqual(6)
    expect(lines.join('\n')).not.toMatch(/100200300400501|4831000001|312000001|EAAB|ya29/)
  })
})

describe('a day of dashboards', () => {
  it('is answered from the cache in over 80 %, with over 80 % fewer calls, and the replay says how fast [S2-2][S2-9][S2-33]', async () => {
    const figures = await replay(5_500, 3)
    expect(figures).toMatchObject({ requests: 5_500, answered: 5_500 })
    expect(figures.hitRate).toBeGreaterThanOrEqual(80)
    expect(figures.callsCut).toBeGreaterThanOrEqual(80)
    // Operations, response times, load, memory, hit rate.
    expect(figures.requestsPerSecond).toBeGreaterThan(10)
    expect(figures.responseMs.p50).toBeGreaterThan(0)
    expect(figures.heapMb).toBeGreaterThan(0)
  }, 120_000)
})
