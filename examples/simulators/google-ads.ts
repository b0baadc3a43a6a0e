/**
 * Google Ads, as far as reports of campaigns go, with Google's token endpoint beside it: searchStream
 * answers an array of batches, int64 as strings, and every refusal is a GoogleAdsFailure.
 *
 *   POST /v26/customers/{id}/googleAds:searchStream   { query }
 *   POST /token
 *   POST /__sim/quota    { used }: from now on this share, 0 to 1, of the developer token's day is used up
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { advertiserOf, campaignsOf, daysOf, figuresOf, googleCustomer, sumOf } from './ad-figures.ts'
import { GoogleOAuth, UNAUTHENTICATED } from './google-oauth.ts'
import { type Refusal, runAlone, type Simulator, startSimulator } from './simulator.ts'

export const DEVELOPER_TOKEN = 'simulated-developer-token'

export interface GoogleAdsOptions {
  port?: number | undefined
  /** Of the developer token. @default 15_000, as of basic access */
  operationsPerDay?: number | undefined
  /** Life of access tokens, in seconds. @default 3_599 */
  tokenLife?: number | undefined
}

const DAY_MS = 86_400_000
/** The real ones hold 10,000 rows. */
const BATCH = 100
const FIELDS = {
  'campaign.id': 'id',
  'campaign.name': 'name',
  'metrics.impressions': 'impressions',
  'metrics.clicks': 'clicks',
  'metrics.costMicros': 'costMicros',
  'metrics.conversions': 'conversions',
  'segments.date': 'date',
} as const
const QUERY =
  /^\s*SELECT\s+([\w.,\s]+?)\s+FROM\s+campaign\s+WHERE\s+segments\.date\s+BETWEEN\s+'([\d-]+)'\s+AND\s+'([\d-]+)'\s*$/i

export function startGoogleAds(options: GoogleAdsOptions = {}): Promise<Simulator> {
  const oauth = new GoogleOAuth()
  const operationsPerDay = options.operationsPerDay ?? 15_000
  let operations = 0
  let day = today()
  let requests = 0

  const search = (
    request: FastifyRequest<{ Params: { customer: string }; Body: { query?: unknown } | undefined }>,
    reply: FastifyReply,
  ) => {
    const no = ({ body, headers = {}, status = 400 }: Refusal) =>
      reply.code(status).headers(headers).send(body)
    if (!oauth.admits(request)) return no({ ...UNAUTHENTICATED, body: [UNAUTHENTICATED.body], status: 401 })
    if (request.headers['developer-token'] !== DEVELOPER_TOKEN) {
      return no(
        failure(
          401,
          'UNAUTHENTICATED',
          { authenticationError: 'DEVELOPER_TOKEN_INVALID' },
          'The developer token is not valid.',
        ),
      )
    }
    if (day !== today()) {
      day = today()
      operations = 0
    }
    if (++operations > operationsPerDay)
      return no(exhausted('RESOURCE_EXHAUSTED', 'DEVELOPER', secondsLeft()))
    const { customer } = request.params
    if (advertiserOf(customer, googleCustomer) === undefined) {
      return no(
        failure(
          403,
          'PERMISSION_DENIED',
          { authorizationError: 'USER_PERMISSION_DENIED' },
          "User doesn't have permission to access customer.",
        ),
      )
    }
    const [, selected, since, until] = QUERY.exec(String(request.body?.query)) ?? []
    const paths = selected?.split(',').map((name) => camel(name.trim())) ?? []
    const days = since && until ? daysOf(since, until) : undefined
    const unknown = paths.find((path) => !(path in FIELDS))
    if (!days || unknown || paths.length === 0) {
      const message = unknown
        ? `Unrecognized field in the query: '${unknown}'.`
        : 'Error in query: unexpected input.'
      return no(
        failure(
          400,
          'INVALID_ARGUMENT',
          { queryError: unknown ? 'UNRECOGNIZED_FIELD' : 'UNEXPECTED_INPUT' },
          message,
        ),
      )
    }
    const rows = resultsOf(customer, days, paths as (keyof typeof FIELDS)[])
    const requestId = `sim-${++requests}`
    const batches = []
    for (let from = 0; from === 0 || from < rows.length; from += BATCH) {
      batches.push({ results: rows.slice(from, from + BATCH), fieldMask: paths.join(','), requestId })
    }
    const consumed = { queryResourceConsumption: String(10 * rows.length) }
    return reply.send(
      batches.map((batch, i) => (i === batches.length - 1 ? { ...batch, ...consumed } : batch)),
    )
  }

  return startSimulator({
    name: 'Google Ads',
    port: options.port,
    refusals: {
      401: { ...UNAUTHENTICATED, body: [UNAUTHENTICATED.body] },
      403: failure(
        403,
        'PERMISSION_DENIED',
        { authorizationError: 'DEVELOPER_TOKEN_NOT_APPROVED' },
        'The developer token is only approved for use with test accounts.',
      ),
      429: exhausted('RESOURCE_TEMPORARILY_EXHAUSTED', 'ACCOUNT', 30),
      500: failure(500, 'INTERNAL', { internalError: 'INTERNAL_ERROR' }, 'An internal error has occurred.'),
    },
    routes(app) {
      oauth.mount(app, options.tokenLife ?? 3_599)
      app.post('/:version/customers/:customer/googleAds::searchStream', search)
      app.post<{ Body: { used: number } }>('/__sim/quota', ({ body }, reply) => {
        operations = Math.floor(body.used * operationsPerDay)
        reply.code(204).send()
      })
    },
  })
}

function resultsOf(
  customer: string,
  days: readonly string[],
  paths: readonly (keyof typeof FIELDS)[],
): object[] {
  const byDay = paths.includes('segments.date')
  return campaignsOf(customer).flatMap(({ id, name }) =>
    (byDay ? days : [undefined]).map((date) => {
      const { impressions, clicks, costMicros, conversions } = date ? figuresOf(id, date) : sumOf(id, days)
      const int64 = {
        impressions: String(impressions),
        clicks: String(clicks),
        costMicros: String(costMicros),
      }
      const known = { id, name, date, conversions, ...int64 }
      const resourceName = `customers/${customer}/campaigns/${id}`
      const row: Record<string, Record<string, unknown>> = { campaign: { resourceName } }
      for (const path of paths) {
        const [group, field] = path.split('.') as [string, string]
        row[group] = { ...row[group], [field]: known[FIELDS[path]] }
      }
      return row
    }),
  )
}

/** GAQL has snake_case, JSON has camelCase. */
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

function failure(
  code: number,
  status: string,
  errorCode: object,
  message: string,
  details?: object,
): Refusal {
  const failed = {
    '@type': 'type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure',
    errors: [{ errorCode, message, ...(details && { details }) }],
    requestId: 'sim-refused',
  }
  return {
    body: [{ error: { code, message: 'The request was refused.', status, details: [failed] } }],
    status: code,
  }
}

function exhausted(quotaError: string, rateScope: 'ACCOUNT' | 'DEVELOPER', seconds: number): Refusal {
  const quotaErrorDetails = { rateScope, rateName: 'Number of operations', retryDelay: `${seconds}s` }
  const message = 'Too many requests. Retry later.'
  return failure(429, 'RESOURCE_EXHAUSTED', { quotaError }, message, { quotaErrorDetails })
}

const today = (): string => new Date().toISOString().slice(0, 10)
const secondsLeft = (): number => Math.ceil((DAY_MS - (Date.now() % DAY_MS)) / 1_000)

await runAlone(import.meta.url, startGoogleAds)
