import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { holdfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { startWorker, type Worker } from '../../test/support/processes.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { until } from '../../test/support/until.ts'
import { startGa4 } from '../simulators/ga4.ts'
import { startGoogleAds } from '../simulators/google-ads.ts'
import { startMeta } from '../simulators/meta.ts'
import type { Simulator } from '../simulators/simulator.ts'
import { startMetrics } from './server.ts'

/** Two processes at once, each of which compiles its files. */
const START_MS = 90_000
const PASSWORD = 'p@ss/word'

let redis: RedisServer
let sims: Simulator[]
let directory: string
const servers: { url: string; process: Worker }[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-metrics-test-'))
  redis = await startRedis({
    tls: true,
    password: PASSWORD,
    config: { maxmemory: '12mb', 'maxmemory-policy': 'allkeys-lru' },
  })
  await writeFile(join(directory, 'ca.pem'), redis.tls?.ca ?? '')
  sims = await Promise.all([startMeta(), startGoogleAds(), startGa4()])
  servers.push(...(await Promise.all([startServer(), startServer()])))
}, START_MS)
afterAll(async () => {
  await Promise.all(servers.map(({ process }) => process.kill()))
  await Promise.all(sims.map((sim) => sim.close()))
  await stopAllRedis()
  await rm(directory, { recursive: true, force: true })
})

/** As S2 names them: parts, not a URL. */
function environment(): Record<string, string> {
  const [meta, ads, ga4] = sims.map(({ url }) => url) as [string, string, string]
  return {
    META_URL: meta,
    GOOGLE_ADS_URL: ads,
    GA4_URL: ga4,
    WARM: 'false',
    REDIS_HOST: '127.0.0.1',
    REDIS_PORT: String(redis.port),
    REDIS_PASSWORD: PASSWORD,
    REDIS_SSL: 'true',
    REDIS_MAX_CONNECTIONS: '100',
    NODE_EXTRA_CA_CERTS: join(directory, 'ca.pem'),
  }
}

async function startServer(): Promise<{ url: string; process: Worker }> {
  const port = await freePort()
  const env = { ...environment(), PORT: String(port) }
  const process = await startWorker(new URL('./server.ts', import.meta.url), { env, readyMs: START_MS })
  return { url: `http://127.0.0.1:${port}`, process }
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the API says, held against what it should
async function get(i: number, path: string, init?: RequestInit): Promise<{ status: number; body: any }> {
  const answer = await fetch(servers[i]!.url + path, init)
  return { status: answer.status, body: await answer.json() }
}

const overview = (i: number, account: string, range = 'last_7d') =>
  get(i, `/api/v1/accounts/${account}/overview?range=${range}`)
const connected = () =>
  until(
    'both are connected',
    async () => {
      const states = await Promise.all([0, 1].map((i) => get(i, '/healthz')))
      return states.every(({ body }) => body.status === 'ok' && body.driver === 'redis')
    },
    30_000,
  )
const asked = () =>
  sims.reduce((sum, sim) => sum + sim.calls().total - (sim.calls().byRoute['POST /token'] ?? 0), 0)

describe('two processes over a Redis with TLS and a password', { timeout: 60_000 }, () => {
  it('ask each source once for five hundred people, over a handful of connections [S2-43][S2-21][S2-22][S2-26][S2-46][S2-11]', async () => {
    await connected()
    for (const sim of sims) {
      const body = JSON.stringify({ ms: 200 })
      await fetch(`${sim.url}/__sim/latency`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
    }
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => overview(i % 2, 'lotus-tea')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ body }) => JSON.stringify(body.totals))).size).toBe(1)
    // Meta's report has two pages.
    expect(asked()).toBe(4)
    const clients = String(await redis.cli('CLIENT', 'LIST')).split('\n')
    const ours = clients.filter((line) => !line.includes('cmd=client'))
    expect(ours.length).toBeGreaterThanOrEqual(2)
    expect(ours.length).toBeLessThanOrEqual(8)
    for (const sim of sims) sim.reset()
  })

  it('find what the other one has asked, and drop it together [S2-12][S2-4]', async () => {
    const first = await overview(0, 'pho-house')
    const before = asked()
    expect((await overview(1, 'pho-house')).body).toEqual(first.body)
    expect(asked()).toBe(before)
    const each = sims.map((sim) => sim.calls().total)
    const refreshed = await get(0, '/api/v1/accounts/pho-house/refresh', { method: 'POST' })
    expect(refreshed.status).toBe(202)
    const { sources } = (await overview(1, 'pho-house')).body
    for (const [i, source] of ['meta', 'google-ads', 'ga4'].entries()) {
      // Either already new, or told as old: never the old one as if nothing had happened.
      expect(sources[source].state === 'stale' || sims[i]!.calls().total > each[i]!).toBe(true)
    }
    await until('it is new', async () => (await overview(1, 'pho-house')).body.sources.meta.state === 'fresh')
  })

  it('see no errors when the server evicts, and it keeps to its memory [S2-8][S2-30]', async () => {
    const filler = holdfast({
      redis: { url: redis.url, tls: { ca: redis.tls!.ca } },
      namespace: 'filler',
      cache: { l1: false },
      deadlines: { write: '10s' },
    })
    await filler.ready('20s')
    const noise = randomBytes(60_000).toString('base64')
    for (let i = 0; i < 300; i++) await filler.cache.set(`k${i}`, noise + i, { ttl: '1h' })
    await filler.close()
    const info = String(await redis.cli('INFO'))
    const figure = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1])
    expect(figure('evicted_keys')).toBeGreaterThan(0)
    expect(figure('used_memory')).toBeLessThanOrEqual(figure('maxmemory') * 1.1)
    for (const account of ['lotus-tea', 'hue-silk', 'delta-rice']) {
      for (let i = 0; i < 4; i++) {
        const { status, body } = await overview(i % 2, account)
        expect([status, body.sources.meta.state]).toEqual([200, 'fresh'])
      }
    }
  })

  it('go on without Redis, say so, and share again when it is back [S2-6][S2-32]', async () => {
    await overview(0, 'lotus-tea')
    await redis.kill()
    for (let round = 0; round < 5; round++) {
      for (const i of [0, 1]) expect((await overview(i, 'lotus-tea')).status).toBe(200)
    }
    await until('both say so', async () => {
      const states = await Promise.all([0, 1].map((i) => get(i, '/healthz')))
      return states.every(({ status, body }) => status === 200 && body.status === 'degraded')
    })
    for (const i of [0, 1]) expect((await overview(i, 'bamboo-kids')).status).toBe(200)
    await redis.restart()
    await connected()
    await overview(0, 'bamboo-kids', 'today')
    const before = asked()
    expect((await overview(1, 'bamboo-kids', 'today')).status).toBe(200)
    expect(asked()).toBe(before)
  })
})

describe('TLS asked of a port that speaks plain text', () => {
  it('leaves the app running without Redis, and says so [B10]', async () => {
    const plain = await startRedis()
    const server = await startMetrics({
      ...environment(),
      PORT: '0',
      REDIS_PORT: String(plain.port),
      REDIS_PASSWORD: '',
    })
    const answer = await fetch(`${server.url}/api/v1/accounts/hue-silk/overview`)
    expect(answer.status).toBe(200)
    const health = await fetch(`${server.url}/healthz`)
    expect([health.status, await health.json()]).toMatchObject([200, { status: 'degraded', driver: 'redis' }])
    expect(server.target).toBe(`rediss://127.0.0.1:${plain.port}/0`)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^holdfast_redis_up\{role="cache",.*\} 0$/m)
    await server.close()
  })
})
