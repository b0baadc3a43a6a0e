import type { Holdfast } from 'holdfast'
import { outbound } from 'holdfast/http'
import type { Tokens } from 'holdfast/token'
import { Problem } from '../tasks/problem.ts'
import type { Quotas } from './quota.ts'
import type { Range } from './range.ts'

export const SOURCES = ['meta', 'google-ads', 'ga4'] as const
export type Source = (typeof SOURCES)[number]

/** One campaign, or for GA4 the whole site. */
export interface Row {
  readonly id: string
  readonly name: string
  readonly figures: Readonly<Record<string, number>>
}

export interface Report {
  readonly rows: readonly Row[]
  /** `stale`: the source could not be asked, or is being asked meanwhile. */
  readonly state: 'fresh' | 'stale'
  /** When the source said it, by its own clock. */
  readonly asOf: string
  /** How much longer it is fresh. */
  readonly leftSeconds: number
}

export interface Access {
  /** Base URLs; the real ones are https://graph.facebook.com, https://googleads.googleapis.com and
   *  https://analyticsdata.googleapis.com. */
  readonly urls: Readonly<Record<Source, string>>
  readonly metaToken: string
  readonly google: Tokens
  readonly developerToken: string
}

/** Pages of one report that are followed; 25 campaigns each. */
const MOST_PAGES = 40
const PAGES_APART_SECONDS = 30
const ADS_FIELDS =
  'campaign.id, campaign.name, metrics.impressions, metrics.clicks, metrics.cost_micros, metrics.conversions'

/** Asks for a report of one source: `(account's id there, range)`. */
export type Ask = (id: string, range: Range) => Promise<Report>

/** The three APIs behind one cache, each with its own life of answers, its own quota and its own words. */
export function connect(
  hf: Holdfast,
  { urls, metaToken, google, developerToken }: Access,
  quotas: Quotas,
): Record<Source, Ask> {
  const turns = {
    meta: hf.outbound('meta', '600/hour', { maxWait: '2s', usagePercent: 80 }),
    'google-ads': hf.outbound(
      'google-ads',
      { limit: 15_000, window: '1d', algorithm: 'fixed', align: 'calendar' },
      { maxWait: '2s' },
    ),
    ga4: hf.outbound('ga4', '1200/hour', { maxWait: '2s' }),
  }
  const send = async (url: string, init: RequestInit): Promise<Response> => {
    if (url.startsWith(urls.meta)) {
      const reply = await fetch(url, init)
      quotas.heedMeta(idIn(url), reply.headers)
      return reply
    }
    const reply = await google.fetch(url, init)
    if (url.startsWith(urls['google-ads'])) await quotas.heedGoogleAds(turns['google-ads'])
    else await quotas.heedGa4(idIn(url), await reply.clone().text(), turns.ga4)
    return reply
  }
  const tags = ({ url, route }: { url: URL; route: string }) => [`${route}:${idIn(url.pathname)}`]
  const limiterId = ({ url }: { url: URL }) => idIn(url.pathname)
  const api = outbound(send, {
    cache: hf.cache.namespace('answers'),
    // Whatever token is valid today: the answers are the agency's.
    identity: { id: 'agency' },
    credentials: { headers: ['developer-token'] },
    // An expired token of ours (Meta says so with 400) is no reason to show nothing.
    defaults: {
      stale: '12h',
      jitter: 0.1,
      expect: 'json',
      timeout: { hard: '10s' },
      failures: [400, 401, 403],
    },
    routes: [
      {
        name: 'meta',
        match: `GET ${urls.meta}/v25.0/act_*/insights`,
        ttl: '30m',
        tags,
        limiter: turns.meta,
        limiterId,
      },
      {
        name: 'google-ads',
        match: `POST ${urls['google-ads']}/v26/customers/*/googleAds:searchStream`,
        ttl: '1h',
        tags,
        limiter: turns['google-ads'],
      },
      {
        name: 'ga4',
        match: `POST ${urls.ga4}/v1beta/properties/*:runReport`,
        ttl: '1h',
        tags,
        limiter: turns.ga4,
        limiterId,
      },
    ],
  })
  const ask = async (source: Source, url: string, init: RequestInit): Promise<Response> => {
    const response = await api(url, init).catch((error: unknown) => Promise.reject(problemOf(source, error)))
    const why = /fwd=miss.*; detail=(content|throttled)/.exec(response.headers.get('cache-status') ?? '')?.[1]
    if (why === 'throttled') {
      throw new Problem(503, `${source} throttles us`, Number(response.headers.get('retry-after') ?? 60))
    }
    if (why === 'content') throw new Problem(502, `${source} answered something that is no report`)
    if (!response.ok) throw new Problem(502, `${source} answered ${response.status}`)
    return response
  }
  const post = (source: Source, url: string, body: object) =>
    ask(source, url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(source === 'google-ads' && { 'developer-token': developerToken }),
      },
      body: JSON.stringify(body),
    })

  return {
    async meta(id, range) {
      const query = new URLSearchParams({
        level: 'campaign',
        fields: 'campaign_id,campaign_name,impressions,clicks,spend,actions',
        time_range: JSON.stringify(range),
      })
      const load = (headers: Record<string, string> = {}) =>
        ask('meta', `${urls.meta}/v25.0/act_${id}/insights?${query}`, {
          headers: { ...headers, authorization: `Bearer ${metaToken}` },
        })
      const first = await load()
      const rows: Row[] = []
      for (let response = first, page = 1; ; page++) {
        const { data, paging } = (await response.json()) as MetaPage
        rows.push(...data.map(fromMeta))
        if (!paging?.next || page === MOST_PAGES) return { rows, ...lifeOf(first) }
        query.set('after', paging.cursors.after)
        response = await load()
        // A report is of one moment: a new first page comes with new ones behind it.
        if (ageOf(response) > ageOf(first) + PAGES_APART_SECONDS) {
          response = await load({ 'cache-control': 'no-cache' })
        }
      }
    },
    async 'google-ads'(id, { since, until }) {
      const query = `SELECT ${ADS_FIELDS} FROM campaign WHERE segments.date BETWEEN '${since}' AND '${until}'`
      const response = await post(
        'google-ads',
        `${urls['google-ads']}/v26/customers/${id}/googleAds:searchStream`,
        { query },
      )
      const batches = (await response.json()) as { results?: AdsResult[] }[]
      return { rows: batches.flatMap(({ results = [] }) => results.map(fromAds)), ...lifeOf(response) }
    },
    async ga4(id, { since, until }) {
      const response = await post('ga4', `${urls.ga4}/v1beta/properties/${id}:runReport`, {
        dateRanges: [{ startDate: since, endDate: until }],
        metrics: [
          { name: 'sessions' },
          { name: 'totalUsers' },
          { name: 'keyEvents' },
          { name: 'totalRevenue' },
        ],
        returnPropertyQuota: true,
      })
      const { metricHeaders, rows = [] } = (await response.json()) as Ga4Report
      const figures = Object.fromEntries(
        metricHeaders.map(({ name }, i) => [name, Number(rows[0]?.metricValues[i]?.value ?? 0)]),
      )
      return { rows: [{ id, name: 'all traffic', figures }], ...lifeOf(response) }
    },
  }
}

/** `act_100200…`, `customers/4831…`, `properties/3120…` */
const idIn = (path: string): string => /(?:act_|customers\/|properties\/)(\d+)/.exec(path)?.[1] ?? ''

const ageOf = ({ headers }: Response): number => Number(headers.get('age') ?? 0)

/** What the cache says of an answer (RFC 9211). */
function lifeOf(response: Response): Omit<Report, 'rows'> {
  const left = Number(/ttl=(-?\d+)/.exec(response.headers.get('cache-status') ?? '')?.[1] ?? 60)
  return {
    state: left <= 0 ? 'stale' : 'fresh',
    asOf: new Date(response.headers.get('date') ?? Date.now()).toISOString(),
    leftSeconds: Math.max(0, left),
  }
}

function problemOf(source: Source, error: unknown): Problem {
  const { code, retryAfter } = error as { code?: unknown; retryAfter?: unknown }
  if (code === 'LIMIT_EXCEEDED')
    return new Problem(
      503,
      `our quota at ${source} is used up`,
      Math.ceil(Number(retryAfter ?? 60_000) / 1_000),
    )
  if (code === 'LOAD_TIMEOUT') return new Problem(504, `${source} did not answer in time`)
  return new Problem(502, `${source} could not be asked`)
}

interface MetaPage {
  data: Record<'campaign_id' | 'campaign_name' | 'impressions' | 'clicks' | 'spend', string>[] &
    { actions?: { action_type: string; value: string }[] }[]
  paging?: { cursors: { after: string }; next?: string }
}

function fromMeta(row: MetaPage['data'][number]): Row {
  const conversions = Number(row.actions?.find(({ action_type }) => action_type === 'purchase')?.value ?? 0)
  const figures = {
    impressions: Number(row.impressions),
    clicks: Number(row.clicks),
    spend: Number(row.spend),
    conversions,
  }
  return { id: row.campaign_id, name: row.campaign_name, figures }
}

interface AdsResult {
  campaign: { id: string; name: string }
  metrics: { impressions: string; clicks: string; costMicros: string; conversions: number }
}

function fromAds({ campaign, metrics }: AdsResult): Row {
  const { impressions, clicks, costMicros, conversions } = metrics
  const figures = {
    impressions: Number(impressions),
    clicks: Number(clicks),
    spend: Number(costMicros) / 1e6,
    conversions,
  }
  return { id: campaign.id, name: campaign.name, figures }
}

interface Ga4Report {
  metricHeaders: { name: string }[]
  rows?: { metricValues: { value: string }[] }[]
}
