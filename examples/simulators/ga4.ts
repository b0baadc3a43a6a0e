/**
 * The Google Analytics Data API, as far as runReport goes: rows of strings, and a quota in tokens that
 * each answer tells of. Access tokens are those of the simulated Google.
 *
 *   POST /v1beta/properties/{id}:runReport   { dateRanges, dimensions, metrics, limit, offset, returnPropertyQuota }
 *   POST /__sim/quota    { used }: from now on this share, 0 to 1, of each property's hour is used up
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  advertiserOf,
  campaignsOf,
  daysOf,
  type Figures,
  figuresOf,
  ga4Property,
  sumOf,
} from './ad-figures.ts'
import { GoogleOAuth, UNAUTHENTICATED } from './google-oauth.ts'
import { type Refusal, runAlone, type Simulator, startSimulator } from './simulator.ts'

export interface Ga4Options {
  port?: number | undefined
  /** Of one property. @default 40_000 */
  tokensPerHour?: number | undefined
  /** Life of access tokens, in seconds. @default 3_599 */
  tokenLife?: number | undefined
}

interface Report {
  dateRanges?: { startDate?: string; endDate?: string }[]
  dimensions?: { name: string }[]
  metrics?: { name: string }[]
  limit?: string | number
  offset?: string | number
  returnPropertyQuota?: boolean
}

const HOUR_MS = 3_600_000
const DAILY = 200_000
const DIMENSIONS = ['date', 'sessionCampaignName']
const METRICS: Record<string, { type: string; of(figures: Figures): number }> = {
  sessions: { type: 'TYPE_INTEGER', of: ({ clicks }) => Math.round(clicks * 0.9) },
  totalUsers: { type: 'TYPE_INTEGER', of: ({ clicks }) => Math.round(clicks * 0.7) },
  keyEvents: { type: 'TYPE_FLOAT', of: ({ conversions }) => conversions },
  totalRevenue: { type: 'TYPE_CURRENCY', of: ({ conversions }) => conversions * 24.5 },
}

export function startGa4(options: Ga4Options = {}): Promise<Simulator> {
  const oauth = new GoogleOAuth()
  const tokensPerHour = options.tokensPerHour ?? 40_000
  let usedBefore = 0
  const used = new Map<string, { hour: number; consumed: number }>()

  const run = (
    request: FastifyRequest<{ Params: { property: string }; Body: Report | undefined }>,
    reply: FastifyReply,
  ) => {
    const no = ({ body, headers = {}, status = 400 }: Refusal) =>
      reply.code(status).headers(headers).send(body)
    const { property } = request.params
    if (!oauth.admits(request)) return no({ ...UNAUTHENTICATED, status: 401 })
    if (advertiserOf(property, ga4Property) === undefined) return no(DENIED)
    const {
      dateRanges,
      dimensions = [],
      metrics = [],
      limit = 10_000,
      offset = 0,
      returnPropertyQuota,
    } = request.body ?? {}
    const { startDate, endDate } = dateRanges?.[0] ?? {}
    const days = startDate && endDate ? daysOf(startDate, endDate) : undefined
    const unknown = [
      ...dimensions.filter(({ name }) => !DIMENSIONS.includes(name)),
      ...metrics.filter(({ name }) => !METRICS[name]),
    ][0]
    const [size, from] = [Number(limit), Number(offset)]
    if (!days) return no(error(400, 'INVALID_ARGUMENT', 'A dateRange is required.'))
    if (unknown)
      return no(error(400, 'INVALID_ARGUMENT', `Field ${unknown.name} is not a valid dimension or metric.`))
    if (metrics.length === 0) return no(error(400, 'INVALID_ARGUMENT', 'At least one metric is required.'))
    if (!(size >= 1 && size <= 250_000 && from >= 0))
      return no(error(400, 'INVALID_ARGUMENT', 'The limit is out of range.'))

    const rows = rowsOf(
      property,
      days,
      dimensions.map(({ name }) => name),
      metrics.map(({ name }) => name),
    )
    const hour = Math.floor(Date.now() / HOUR_MS)
    const usage =
      used.get(property)?.hour === hour
        ? used.get(property)!
        : { hour, consumed: Math.floor(usedBefore * tokensPerHour) }
    used.set(property, usage)
    const cost = 3 + Math.ceil(rows.length / 100)
    if (usage.consumed + cost > tokensPerHour) return no(EXHAUSTED)
    usage.consumed += cost
    const left = (all: number) => ({ consumed: cost, remaining: Math.max(0, all - usage.consumed) })
    return reply.send({
      dimensionHeaders: dimensions.map(({ name }) => ({ name })),
      metricHeaders: metrics.map(({ name }) => ({ name, type: METRICS[name]?.type })),
      rows: rows.slice(from, from + size),
      rowCount: rows.length,
      metadata: { currencyCode: 'USD', timeZone: 'Asia/Ho_Chi_Minh' },
      ...(returnPropertyQuota && {
        propertyQuota: {
          tokensPerDay: left(DAILY),
          tokensPerHour: left(tokensPerHour),
          concurrentRequests: { consumed: 0, remaining: 10 },
          serverErrorsPerProjectPerHour: { consumed: 0, remaining: 10 },
          potentiallyThresholdedRequestsPerHour: { consumed: 0, remaining: 120 },
          tokensPerProjectPerHour: left(Math.round(tokensPerHour * 0.35)),
        },
      }),
      kind: 'analyticsData#runReport',
    })
  }

  return startSimulator({
    name: 'GA4',
    port: options.port,
    refusals: {
      401: UNAUTHENTICATED,
      403: DENIED,
      429: EXHAUSTED,
      500: error(500, 'INTERNAL', 'Internal error encountered.'),
    },
    routes(app) {
      oauth.mount(app, options.tokenLife ?? 3_599)
      app.post('/v1beta/properties/:property(^\\d+)::runReport', run)
      app.post<{ Body: { used: number } }>('/__sim/quota', ({ body }, reply) => {
        usedBefore = body.used
        used.clear()
        reply.code(204).send()
      })
    },
  })
}

function rowsOf(
  property: string,
  days: readonly string[],
  dimensions: readonly string[],
  metrics: readonly string[],
): object[] {
  const campaigns = campaignsOf(property)
  const byDay = dimensions.includes('date') ? days.map((day) => [day]) : [days]
  const byCampaign = dimensions.includes('sessionCampaignName') ? campaigns.map((one) => [one]) : [campaigns]
  return byDay.flatMap((span) =>
    byCampaign.map((group) => {
      const sums = group.map(({ id }) => (span.length === 1 ? figuresOf(id, span[0]!) : sumOf(id, span)))
      const value = (name: string) => sums.reduce((sum, figures) => sum + METRICS[name]!.of(figures), 0)
      const label = (name: string) => (name === 'date' ? span[0]!.replaceAll('-', '') : group[0]!.name)
      return {
        dimensionValues: dimensions.map((name) => ({ value: label(name) })),
        metricValues: metrics.map((name) => ({ value: String(value(name)) })),
      }
    }),
  )
}

function error(code: number, status: string, message: string): Refusal {
  return { body: { error: { code, message, status } }, status: code }
}

const DENIED = error(403, 'PERMISSION_DENIED', 'User does not have sufficient permissions for this property.')
const EXHAUSTED = error(
  429,
  'RESOURCE_EXHAUSTED',
  'Exhausted property tokens per hour. These quota tokens will return in under an hour.',
)

await runAlone(import.meta.url, startGa4)
