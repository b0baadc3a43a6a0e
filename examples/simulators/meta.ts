/**
 * Meta's Marketing API, as far as insights of campaigns go: paging by cursors, numbers as strings, usage
 * headers in percent, errors told apart by their code and not by their HTTP status.
 *
 *   GET  /v25.0/act_{id}/insights?level=campaign&fields=…&time_range={"since","until"}&limit=25&after=…
 *   POST /__sim/quota    { used }: from now on this share, 0 to 1, of each account's hour is used up
 *   POST /__sim/token    { token }: from now on only this access token is good
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  advertiserOf,
  type Campaign,
  campaignsOf,
  daysOf,
  type Figures,
  figuresOf,
  metaAccount,
  sumOf,
} from './ad-figures.ts'
import { type Refusal, runAlone, type Simulator, startSimulator } from './simulator.ts'

export const META_TOKEN = 'EAAB-simulated-system-user-token'

export interface MetaOptions {
  port?: number | undefined
  /** Calls of one account in an hour. @default 10_000 */
  callsPerHour?: number | undefined
}

interface Query {
  fields?: string
  level?: string
  time_range?: string
  time_increment?: string
  limit?: string
  after?: string
  access_token?: string
}

const HOUR_MS = 3_600_000
const TYPE = { 1: 'OAuthException', 613: 'FacebookApiException' } as Record<number, string>

export function startMeta(options: MetaOptions = {}): Promise<Simulator> {
  let token = META_TOKEN
  const callsPerHour = options.callsPerHour ?? 10_000
  let usedBefore = 0
  const used = new Map<string, { calls: number; until: number }>()

  const usageOf = (account: string) => {
    const now = Date.now()
    const known = used.get(account)
    if (known && known.until > now) return known
    const usage = { calls: Math.floor(usedBefore * callsPerHour), until: now + HOUR_MS }
    used.set(account, usage)
    return usage
  }
  const usageHeaders = (account: string): Record<string, string> => {
    const { calls, until } = usageOf(account)
    const percent = Math.min(100, Math.floor((calls / callsPerHour) * 100))
    const minutes = calls > callsPerHour ? Math.ceil((until - Date.now()) / 60_000) : 0
    const use = {
      type: 'ads_insights',
      call_count: percent,
      total_cputime: Math.ceil(percent / 4),
      total_time: Math.ceil(percent / 4),
      estimated_time_to_regain_access: minutes,
      ads_api_access_tier: 'standard_access',
    }
    return {
      'x-business-use-case-usage': JSON.stringify({ [account]: [use] }),
      'x-app-usage': JSON.stringify({ call_count: 1, total_time: 1, total_cputime: 1 }),
      'x-fb-ads-insights-throttle': JSON.stringify({ app_id_util_pct: 1.5, acc_id_util_pct: percent }),
      'facebook-api-version': 'v25.0',
    }
  }

  const insights = (
    request: FastifyRequest<{ Params: { node: string }; Querystring: Query }>,
    reply: FastifyReply,
  ) => {
    const {
      fields = 'impressions,spend',
      level = 'account',
      time_range,
      time_increment,
      after,
    } = request.query
    const account = request.params.node.replace(/^act_/, '')
    const given = request.query.access_token ?? /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    const no = (refusal: Refusal) =>
      reply
        .code(refusal.status ?? 400)
        .headers(refusal.headers ?? {})
        .send(refusal.body)
    if (given !== token) return no(EXPIRED)
    if (advertiserOf(account, metaAccount) === undefined || !request.params.node.startsWith('act_')) {
      return no(
        error(100, `Unsupported get request. Object with ID '${request.params.node}' does not exist`, 33),
      )
    }
    usageOf(account).calls++
    reply.headers(usageHeaders(account))
    if (usageOf(account).calls > callsPerHour) {
      return no(
        error(
          80000,
          'There have been too many calls from this ad-account. Wait a bit and try again.',
          2446079,
        ),
      )
    }
    const days = rangeOf(time_range)
    if (!days) return no(error(100, '(#100) param time_range must be a valid range', 1487534))
    const limit = Number(request.query.limit ?? 25)
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= 5_000)) {
      return no(error(100, '(#100) param limit must be between 1 and 5000'))
    }
    if (level !== 'campaign') return no(error(100, '(#100) the simulator knows level=campaign only'))
    const from = after === undefined ? 0 : positionIn(after)
    if (from === undefined) return no(error(100, '(#100) param after is not a valid cursor'))
    const rows = rowsOf(account, days, time_increment === '1')
    const page = rows.slice(from, from + limit)
    const last = from + page.length
    const wanted = ['date_start', 'date_stop', ...fields.split(',')]
    const url = new URL(request.url, `http://${request.host}`)
    url.searchParams.set('after', cursor(last))
    return reply.send({
      data: page.map((row) =>
        Object.fromEntries(Object.entries(row).filter(([name]) => wanted.includes(name))),
      ),
      paging: {
        cursors: { before: cursor(from), after: cursor(last) },
        ...(last < rows.length && { next: url.href }),
      },
    })
  }

  return startSimulator({
    name: 'Meta',
    port: options.port,
    refusals: {
      401: { ...EXPIRED, status: 401 },
      403: error(4, '(#4) Application request limit reached', 1504022),
      429: { ...error(613, '(#613) Calls to this api have exceeded the rate limit.', 1487742), status: 400 },
      500: { ...error(1, 'An unknown error occurred'), status: 500 },
    },
    routes(app) {
      app.get('/:version/:node/insights', insights)
      app.post<{ Body: { used: number } }>('/__sim/quota', ({ body }, reply) => {
        usedBefore = body.used
        used.clear()
        reply.code(204).send()
      })
      app.post<{ Body: { token: string } }>('/__sim/token', ({ body }, reply) => {
        token = body.token
        reply.code(204).send()
      })
    },
  })
}

const EXPIRED = {
  ...error(190, 'Error validating access token: Session has expired.', 463),
  headers: { 'www-authenticate': 'OAuth "Facebook Platform" "invalid_token" "Session has expired."' },
}

function error(code: number, message: string, subcode?: number): Refusal {
  const about = { message, type: TYPE[code] ?? 'OAuthException', code, fbtrace_id: 'AsimSimSimSimSimSimSim' }
  return {
    body: { error: { ...about, ...(subcode && { error_subcode: subcode }) } },
    ...(code !== 4 && { status: 400 }),
  }
}

function rowsOf(account: string, days: readonly string[], byDay: boolean): Record<string, unknown>[] {
  return campaignsOf(account).flatMap((campaign) =>
    byDay
      ? days.map((day) => rowOf(campaign, figuresOf(campaign.id, day), day, day))
      : [rowOf(campaign, sumOf(campaign.id, days), days[0]!, days.at(-1)!)],
  )
}

function rowOf(
  { id, name }: Campaign,
  figures: Figures,
  start: string,
  stop: string,
): Record<string, unknown> {
  const { impressions, clicks, reach, costMicros, conversions } = figures
  const spend = costMicros / 1e6
  return {
    campaign_id: id,
    campaign_name: name,
    impressions: String(impressions),
    clicks: String(clicks),
    spend: spend.toFixed(2),
    reach: String(reach),
    ctr: ((clicks / impressions) * 100).toFixed(6),
    cpc: (spend / Math.max(1, clicks)).toFixed(6),
    cpm: ((spend / impressions) * 1_000).toFixed(6),
    actions: [
      { action_type: 'link_click', value: String(clicks) },
      { action_type: 'purchase', value: String(conversions) },
    ],
    date_start: start,
    date_stop: stop,
  }
}

function rangeOf(text: string | undefined): string[] | undefined {
  try {
    const { since, until } = JSON.parse(text ?? '') as Record<string, unknown>
    return daysOf(String(since), String(until))
  } catch {
    return undefined
  }
}

/** Opaque to clients, as the real ones are. */
const cursor = (position: number): string => Buffer.from(`c:${position}`).toString('base64url')

function positionIn(text: string): number | undefined {
  const position = /^c:(\d{1,9})$/.exec(Buffer.from(text, 'base64url').toString())?.[1]
  return position === undefined ? undefined : Number(position)
}

await runAlone(import.meta.url, startMeta)
