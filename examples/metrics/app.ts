import express, { type ErrorRequestHandler, type Express, type Request } from 'express'
import type { Holdfast } from 'holdfast'
import { health, rateLimit } from 'holdfast/express'
import { problemReply, sendReply } from 'holdfast/http'
import type { Metrics } from 'holdfast/observe'
import { Problem } from '../tasks/problem.ts'
import type { Dashboard } from './dashboard.ts'
import type { Quotas } from './quota.ts'
import { SOURCES, type Source } from './sources.ts'

interface Parts {
  hf: Holdfast
  dashboard: Dashboard
  quotas: Quotas
  metrics: Metrics
}

/** The JSON that dashboards are drawn from, and what tells how the cache does. */
export function createApp({ hf, dashboard, quotas, metrics }: Parts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('query parser', 'simple')

  app.get('/api/v1/accounts', (req, res) => {
    only(req, 'page', 'limit')
    const accounts = dashboard.accounts.map(({ id, name }) => ({ id, name }))
    res.json(paged(req, accounts))
  })

  app.param('account', (_req, _res, next, id: string) => {
    if (!/^[a-z0-9-]{1,40}$/.test(id)) throw new Problem(400, 'that is no id of an account')
    dashboard.account(id)
    next()
  })
  app.get('/api/v1/accounts/:account/overview', async (req, res) => {
    only(req, 'range')
    res.json(await dashboard.overview(req.params.account, req.query.range ?? 'last_7d'))
  })
  app.get('/api/v1/accounts/:account/campaigns', async (req, res) => {
    only(req, 'source', 'range', 'page', 'limit')
    const { source = 'meta', range = 'last_7d' } = req.query
    if (!SOURCES.includes(source as Source)) throw new Problem(400, `source is one of ${SOURCES.join(', ')}`)
    paged(req, [])
    const { rows, ...about } = await dashboard.report(req.params.account, source as Source, range)
    res.json({ ...about, ...paged(req, rows) })
  })
  app.post(
    '/api/v1/accounts/:account/refresh',
    rateLimit(hf.limiter('refresh', '6/minute'), { by: (req) => ({ account: String(req.params.account) }) }),
    async (req, res) => {
      await dashboard.refresh(String(req.params.account))
      res.status(202).json({ refreshing: req.params.account })
    },
  )

  app.get('/api/v1/quota', (_req, res) => void res.json({ quotas: quotas.all() }))
  app.get('/metrics', async (_req, res) => void res.type(metrics.contentType).send(await metrics.text()))
  app.get('/stats', (_req, res) => void res.json(hf.health().cache))
  app.get('/healthz', health(hf))

  app.use((req) => {
    throw new Problem(404, `there is no ${req.method} ${req.path}`)
  })
  const answerError: ErrorRequestHandler = (error, _req, res, next) => {
    if (res.headersSent) return next(error)
    // Express's own refusals, such as of a path that cannot be decoded, carry a status too.
    const status = Number((error as { status?: unknown }).status) || 500
    if (status === 500) console.error(error)
    const { message, retryAfter } = error as Problem
    const detail =
      error instanceof Problem
        ? message
        : status === 500
          ? 'something broke on our side'
          : 'the request cannot be read'
    void sendReply(res, problemReply({ status, detail, retryAfter }))
  }
  app.use(answerError)
  return app
}

/** A word that is misspelt is told of, not passed over. */
function only({ query }: Request, ...known: string[]): void {
  const unknown = Object.keys(query).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new Problem(400, `there is no parameter of that name; there is: ${known.join(', ')}`)
}

function paged<T>(
  { query }: Request,
  all: readonly T[],
): { data: T[]; page: number; limit: number; total: number } {
  const page = whole(query.page ?? '1', 'page', 10_000)
  const limit = whole(query.limit ?? '25', 'limit', 100)
  return { data: all.slice((page - 1) * limit, page * limit), page, limit, total: all.length }
}

function whole(text: unknown, name: string, most: number): number {
  const value = typeof text === 'string' && /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) throw new Problem(400, `${name} is a whole number from 1 to ${most}`)
  return value
}
