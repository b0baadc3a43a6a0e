import type { Outbound } from 'holdfast/limit'
import { Gauge, type Registry } from 'prom-client'

export interface Reading {
  readonly source: string
  readonly account: string
  readonly quota: string
  /** Share that is used up, 0 to 1. */
  readonly used: number
}

/** What a property has; an answer says how much is left of it. */
const GA4_TOKENS = { tokensPerHour: 40_000, tokensPerDay: 200_000 }
/** From this share on, a property's calls wait for the next hour. */
const GA4_PAUSE_AT = 0.9
const HOUR_SECONDS = 3_600

/** What the sources said last about our use of them: for the gauges, and to stop in time. */
export class Quotas {
  readonly #readings = new Map<string, Reading>()

  constructor(register: Registry) {
    const quotas = this
    new Gauge({
      name: 'upstream_quota_used_ratio',
      help: 'Share of a quota of a source that is used up, 0 to 1: of its worst account.',
      labelNames: ['source', 'quota'],
      registers: [register],
      collect() {
        const worst = new Map<string, Reading>()
        for (const reading of quotas.all()) {
          const name = `${reading.source} ${reading.quota}`
          if (reading.used >= (worst.get(name)?.used ?? 0)) worst.set(name, reading)
        }
        for (const { source, quota, used } of worst.values()) this.set({ source, quota }, used)
      },
    })
  }

  all(): Reading[] {
    return [...this.#readings.values()]
  }

  /** Meta: percent, in a header. The limiter reads the same header, and pauses the account by itself. */
  heedMeta(account: string, headers: Headers): void {
    const uses = fromJson(headers.get('x-business-use-case-usage'))?.[account] as
      | Record<string, unknown>[]
      | undefined
    for (const name of ['call_count', 'total_cputime', 'total_time']) {
      if (uses?.[0]) this.#note('meta', account, name, Number(uses[0][name]) / 100)
    }
  }

  /** Google Ads counts operations per day and tells nobody: our own limiter knows. */
  async heedGoogleAds(turns: Outbound): Promise<void> {
    const { remaining, limit } = await turns.limiter.peek({ remote: 'all' })
    this.#note('google-ads', 'developer-token', 'operations', 1 - remaining / limit)
  }

  /** GA4: tokens that are left, in the answer. When they run out, the limiter hears it from here. */
  async heedGa4(property: string, body: string, turns: Outbound): Promise<void> {
    const quota = fromJson(body)?.propertyQuota as Record<string, { remaining: number }> | undefined
    for (const [name, all] of Object.entries(GA4_TOKENS)) {
      const remaining = quota?.[name]?.remaining
      if (remaining === undefined) continue
      this.#note('ga4', property, name, 1 - remaining / all)
      if (1 - remaining / all < GA4_PAUSE_AT) continue
      const seconds = HOUR_SECONDS - (Math.floor(Date.now() / 1_000) % HOUR_SECONDS)
      await turns.observe({ 'retry-after': String(seconds) }, { id: property })
    }
  }

  #note(source: string, account: string, quota: string, used: number): void {
    const share = Math.round(Math.min(1, Math.max(0, used)) * 10_000) / 10_000
    this.#readings.set(`${source} ${account} ${quota}`, {
      source,
      account,
      quota,
      used: share,
    })
  }
}

function fromJson(text: string | null): Record<string, unknown> | undefined {
  try {
    return text === null ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
