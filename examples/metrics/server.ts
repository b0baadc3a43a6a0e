/**
 * The metrics backend, alone: `npx tsx examples/metrics/server.ts`. Without META_URL, GOOGLE_ADS_URL and
 * GA4_URL it brings simulated ones, without REDIS_URL it caches in process memory.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
import { configFromEnv, type HoldfastOptions, holdfast } from 'holdfast'
import { createMetrics } from 'holdfast/observe'
import { createTokens } from 'holdfast/token'
import { pino } from 'pino'
import { startGa4 } from '../simulators/ga4.ts'
import { DEVELOPER_TOKEN, startGoogleAds } from '../simulators/google-ads.ts'
import { GOOGLE_CLIENT } from '../simulators/google-oauth.ts'
import { listen } from '../simulators/listen.ts'
import { META_TOKEN, startMeta } from '../simulators/meta.ts'
import { openedParts } from '../simulators/opened.ts'
import type { Simulator } from '../simulators/simulator.ts'
import { createApp } from './app.ts'
import { Dashboard, type Manifest } from './dashboard.ts'
import { Quotas } from './quota.ts'
import { connect, type Source } from './sources.ts'

export interface MetricsServer {
  url: string
  /** Base URLs of the three APIs. */
  upstreams: Record<Source, string>
  /** Where the cache lives, password masked. */
  target: string
  /** Resolves when what the manifest names is loaded, or cannot be: with how many were. */
  warmed: Promise<number>
  close(): Promise<void>
}

/** @param more for a replay: another clock */
export async function startMetrics(
  env: NodeJS.ProcessEnv = process.env,
  more: HoldfastOptions = {},
): Promise<MetricsServer> {
  const config = configFromEnv(env)
  for (const warning of config.warnings) console.warn(`warning: ${warning}`)
  const logger = pino({ level: env.LOG_LEVEL || 'warn' })
  const hf = holdfast({ namespace: 'metrics', logger, ...config.options, ...more })

  const { opened, close } = openedParts(hf)
  const simulated = async (nth: number, start: (at: { port: number }) => Promise<Simulator>) => {
    const port = Number(env.SIMULATOR_PORT || 0)
    const { url } = opened(await start({ port: port && port + nth }))
    const body = JSON.stringify({ ms: Number(env.SIMULATOR_LATENCY_MS || 250) })
    await fetch(`${url}/__sim/latency`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    return url
  }
  try {
    const urls = {
      meta: env.META_URL || (await simulated(0, startMeta)),
      'google-ads': env.GOOGLE_ADS_URL || (await simulated(1, startGoogleAds)),
      ga4: env.GA4_URL || (await simulated(2, startGa4)),
    }
    const manifest = JSON.parse(
      readFileSync(env.MANIFEST || new URL('manifest.json', import.meta.url), 'utf8'),
    ) as Manifest
    // In memory: Google's refresh tokens stay what they are, so that each process may have its own access.
    const google = opened(
      createTokens({
        tokenUrl: env.GOOGLE_TOKEN_URL || `${urls['google-ads']}/token`,
        clientId: env.GOOGLE_CLIENT_ID || GOOGLE_CLIENT.clientId,
        clientSecret: env.GOOGLE_CLIENT_SECRET || GOOGLE_CLIENT.clientSecret,
        grant: 'refresh_token',
        origins: [urls['google-ads'], urls.ga4],
        clock: more.clock,
      }),
    )
    await google.adopt(env.GOOGLE_REFRESH_TOKEN || GOOGLE_CLIENT.refreshToken)
    const metrics = opened(createMetrics({ holdfast: hf }))
    const quotas = new Quotas(metrics.register)
    const access = {
      urls,
      google,
      metaToken: env.META_TOKEN || META_TOKEN,
      developerToken: env.GOOGLE_DEVELOPER_TOKEN || DEVELOPER_TOKEN,
    }
    const now = more.clock ? () => more.clock!.wall() : Date.now
    const dashboard = new Dashboard(manifest, hf.cache, connect(hf, access, quotas), now)
    const { port } = opened(
      await listen(createServer(createApp({ hf, dashboard, quotas, metrics })), Number(env.PORT || 3102)),
    )
    const warmed =
      env.WARM === 'false'
        ? Promise.resolve(0)
        : dashboard.warm(manifest).then(
            ({ loaded }) => loaded,
            () => 0,
          )
    return {
      url: `http://127.0.0.1:${port}`,
      upstreams: urls,
      target: config.target,
      warmed,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close, warmed, ...server } = await startMetrics()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked by the demo, it reports there and ends with it; alone, it says where it is.
  if (process.connected) process.send?.({ ...server, ready: true })
  else if (process.send) await close()
  else {
    console.log(`dashboards on ${server.url}/api/v1/accounts, cache in ${server.target}`)
    console.log(`the three APIs: ${Object.values(server.upstreams).join(' ')}`)
    console.log(`${await warmed} reports were loaded ahead`)
  }
}
