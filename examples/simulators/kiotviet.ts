/**
 * KiotViet's Retail API, as far as a connector that reads goods, invoices and customers needs it: one
 * address for its identity server and its API.
 *
 *   POST   /connect/token               form: client_id, client_secret, grant_type, scopes
 *   GET    /products /invoices /customers     pageSize currentItem orderBy orderDirection lastModifiedFrom …
 *   GET    /products/{id} …             PUT /products/{id} changes one
 *   POST   /webhooks                    { Webhook: { Type, Url, IsActive, Description, Secret } }; GET, DELETE /webhooks/{id}
 *
 *   PATCH  /__sim/{kind}/{id}?retailer=…      changes an item as the shop's own staff would, and tells the webhooks
 *   GET    /__sim/tokens                { issued, refused, good }: how many were issued, how often a bad one came, the good ones
 *   POST   /__sim/tokens                { expiresIn } of the tokens from now on; DELETE revokes all
 *   POST   /__sim/quota                 { limit } of GETs per hour and retailer
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Item, KINDS, type Kind, kinds, SHOPS, shopItems } from './kiotviet-data.ts'
import { type Refusal, runAlone, type Simulator, startSimulator } from './simulator.ts'

export { SHOPS } from './kiotviet-data.ts'

const HOUR_MS = 3_600_000
const GETS_PER_HOUR = 5_000
const PAGE = 20
const MAX_PAGE = 100
const DELIVERIES = 3

interface Webhook {
  id: number
  type: string
  url: string
  isActive: boolean
  description: string
  retailerId: number
  secret: string
}

class Refused extends Error {
  readonly status: number
  readonly errorCode: string

  constructor(status: number, errorCode: string, message: string) {
    super(message)
    this.status = status
    this.errorCode = errorCode
  }
}

const saying = (errorCode: string, message: string) => ({
  responseStatus: { errorCode, message, errors: [] },
})

const REFUSALS: Record<'401' | '403' | '429' | '500', Refusal> = {
  401: { body: saying('UnAuthorizedException', 'Token is invalid or expired') },
  403: { body: saying('KvForbiddenException', 'You do not have permission') },
  429: { body: saying('KvRateLimitException', 'Too many requests, try again later') },
  500: { body: saying('InternalServerError', 'Object reference not set to an instance of an object.') },
}

export function startKiotViet({ port }: { port?: number | undefined } = {}): Promise<Simulator> {
  const shops = new Map(SHOPS.map((shop) => [shop.retailer, { ...shop, items: shopItems(shop) }]))
  type Shop = NonNullable<ReturnType<typeof shops.get>>
  const tokens = new Map<string, { shop: Shop; until: number }>()
  const quota = { limit: GETS_PER_HOUR, used: new Map<string, { gets: number; until: number }>() }
  const seen = { issued: 0, refused: 0 }
  const webhooks: Webhook[] = []
  let expiresIn = 86_400
  let lastId = 1_000

  /** Whose shop it is, as far as token and header agree. */
  const shopOf = (request: FastifyRequest): Shop => {
    const { retailer } = request.headers
    const token = tokens.get(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '')
    if (!token || token.until <= Date.now()) {
      seen.refused++
      throw new Refused(401, 'UnAuthorizedException', 'Token is invalid or expired')
    }
    if (!retailer) throw new Refused(400, 'KvValidateException', 'Retailer is required')
    if (retailer !== token.shop.retailer)
      throw new Refused(403, 'KvForbiddenException', 'Retailer is not yours')
    if (request.method === 'GET') countGet(token.shop.retailer)
    return token.shop
  }
  const countGet = (retailer: string): void => {
    const now = Date.now()
    const known = quota.used.get(retailer)
    const hour = known && known.until > now ? known : { gets: 0, until: now + HOUR_MS }
    quota.used.set(retailer, hour)
    if (++hour.gets > quota.limit)
      throw new Refused(429, 'KvRateLimitException', `API limit ${quota.limit} GET requests per hour`)
  }

  const issueToken = (request: FastifyRequest, reply: FastifyReply) => {
    const form = (request.body ?? {}) as Record<string, string>
    const shop = [...shops.values()].find(({ clientId }) => clientId === form.client_id)
    if (shop?.clientSecret !== form.client_secret || !shop)
      return reply.code(400).send({ error: 'invalid_client' })
    if (form.grant_type !== 'client_credentials')
      return reply.code(400).send({ error: 'unsupported_grant_type' })
    if (form.scopes !== 'PublicApi.Access') return reply.code(400).send({ error: 'invalid_scope' })
    const token = randomBytes(32).toString('base64url')
    seen.issued++
    tokens.set(token, { shop, until: Date.now() + expiresIn * 1_000 })
    return reply.send({ access_token: token, expires_in: expiresIn, token_type: 'Bearer' })
  }

  const list = (kind: Kind) => (request: FastifyRequest) => {
    const { items, retailerId } = shopOf(request)
    const query = request.query as Record<string, string | undefined>
    const pageSize = Math.min(MAX_PAGE, whole(query.pageSize, 'pageSize', 1) ?? PAGE)
    const from = whole(query.currentItem, 'currentItem', 0) ?? 0
    const since = query.lastModifiedFrom === undefined ? 0 : Date.parse(query.lastModifiedFrom)
    if (Number.isNaN(since)) throw new Refused(400, 'KvValidateException', 'lastModifiedFrom is not a date')
    const { orderBy = 'id', orderDirection = 'Asc' } = query
    const found = [...items[kind].values()]
      .filter((item) => since === 0 || Date.parse(String(item.modifiedDate)) >= since)
      .sort((a, b) => compare(a[orderBy], b[orderBy]) * (orderDirection === 'Desc' ? -1 : 1))
    const data = found.slice(from, from + pageSize).map((item) => shown(kind, item, query))
    const removed = query.includeRemoveIds === 'true' && { removedIds: [] }
    return {
      total: found.length,
      pageSize,
      data,
      ...removed,
      timestamp: new Date().toISOString(),
      retailerId,
    }
  }
  const find = (shop: Shop, kind: Kind, id: string): Item => {
    const item = shop.items[kind].get(Number(id))
    if (!item) throw new Refused(404, 'KvNotFoundException', `${KINDS[kind].name} ${id} was not found`)
    return item
  }
  const change = (shop: Shop, kind: Kind, id: string, fields: unknown): Item => {
    const item = find(shop, kind, id)
    return Object.assign(item, fields, { id: item.id, modifiedDate: new Date().toISOString() })
  }

  /** Tells all who registered for it; resolves with what they answered in the end. */
  const notify = (shop: Shop, type: string, items: readonly Item[]): Promise<number[]> => {
    const wanted = webhooks.filter(
      (hook) =>
        hook.isActive && hook.retailerId === shop.retailerId && [type, `${type}d`].includes(hook.type),
    )
    const Notifications = [{ Action: `${type}.${shop.retailerId}`, Data: items.map(pascal) }]
    return Promise.all(
      wanted.map(async (hook) => {
        let status = 0
        for (let Attempt = 1; Attempt <= DELIVERIES && !(status >= 200 && status < 300); Attempt++) {
          status = await deliver(hook, JSON.stringify({ Id: randomUUID(), Attempt, Notifications }))
        }
        return status
      }),
    )
  }

  return startSimulator({
    name: 'KiotViet',
    port,
    refusals: REFUSALS,
    routes(app) {
      speakItsWay(app)
      app.post('/connect/token', issueToken)
      for (const kind of kinds) {
        app.get(`/${kind}`, list(kind))
        app.get<{ Params: { id: string } }>(`/${kind}/:id`, (request) =>
          shown(kind, find(shopOf(request), kind, request.params.id), { includeInventory: 'true' }),
        )
      }
      app.put<{ Params: { id: string } }>('/products/:id', async (request) => {
        const shop = shopOf(request)
        const item = change(shop, 'products', request.params.id, request.body)
        void notify(shop, 'product.update', [item])
        return item
      })

      app.post<{ Body: { Webhook?: Record<string, unknown> } }>('/webhooks', (request) => {
        const { retailerId } = shopOf(request)
        const { Type, Url, IsActive = true, Description = '', Secret = '' } = request.body?.Webhook ?? {}
        if (!Type || !URL.canParse(String(Url)))
          throw new Refused(400, 'KvValidateException', 'Type and Url are required')
        const text = {
          type: String(Type),
          url: String(Url),
          description: String(Description),
          secret: String(Secret),
        }
        const hook: Webhook = { id: ++lastId, ...text, isActive: IsActive === true, retailerId }
        webhooks.push(hook)
        return withoutSecret(hook)
      })
      app.get('/webhooks', (request) => {
        const { retailerId } = shopOf(request)
        const data = webhooks.filter((hook) => hook.retailerId === retailerId).map(withoutSecret)
        return { total: data.length, pageSize: PAGE, data }
      })
      app.delete<{ Params: { id: string } }>('/webhooks/:id', (request) => {
        const { retailerId } = shopOf(request)
        const at = webhooks.findIndex(
          ({ id, retailerId: whose }) => id === Number(request.params.id) && whose === retailerId,
        )
        if (at < 0) throw new Refused(404, 'KvNotFoundException', 'the webhook was not found')
        webhooks.splice(at, 1)
        return { message: 'Deleted' }
      })

      app.patch<{ Params: { kind: Kind; id: string }; Querystring: { retailer?: string } }>(
        '/__sim/:kind/:id',
        async ({ params: { kind, id }, query, body }) => {
          const shop = shops.get(query.retailer ?? SHOPS[0]!.retailer)
          if (!shop || !kinds.includes(kind))
            throw new Refused(404, 'KvNotFoundException', 'no such shop or kind')
          const item = change(shop, kind, id, body)
          return { item, delivered: await notify(shop, `${KINDS[kind].name}.update`, [item]) }
        },
      )
      app.post<{ Body: { expiresIn: number } }>('/__sim/tokens', (request, reply) => {
        expiresIn = request.body.expiresIn
        reply.code(204).send()
      })
      app.get('/__sim/tokens', () => ({ ...seen, good: [...tokens.keys()] }))
      app.delete('/__sim/tokens', (_request, reply) => {
        tokens.clear()
        reply.code(204).send()
      })
      app.post<{ Body: { limit: number } }>('/__sim/quota', (request, reply) => {
        quota.limit = request.body.limit
        quota.used.clear()
        reply.code(204).send()
      })
    },
  })
}

function speakItsWay(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  )
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof Refused) return reply.code(error.status).send(saying(error.errorCode, error.message))
    return reply.code(400).send(saying('KvValidateException', error instanceof Error ? error.message : ''))
  })
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send(saying('KvNotFoundException', `no ${request.method} ${request.url.split('?')[0]}`)),
  )
}

async function deliver(hook: Webhook, body: string): Promise<number> {
  const signature = createHmac('sha256', hook.secret).update(body).digest('hex')
  const headers = { 'content-type': 'application/json', 'x-hub-signature': `sha256=${signature}` }
  try {
    const answer = await fetch(hook.url, {
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(5_000),
    })
    return answer.status
  } catch {
    return 0 // nobody there
  }
}

const withoutSecret = ({ secret: _, ...hook }: Webhook) => hook

/** Only what was asked for. */
function shown(kind: Kind, item: Item, query: Record<string, string | undefined>): Item {
  if (kind !== 'products' || query.includeInventory === 'true') return item
  const { inventories: _, ...rest } = item
  return rest as Item
}

function whole(text: string | undefined, name: string, least: number): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Refused(400, 'KvValidateException', `${name} is not valid`)
  return Number(text)
}

const compare = (a: unknown, b: unknown): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))

/** Webhooks spell the same fields otherwise. */
function pascal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pascal)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name[0]!.toUpperCase() + name.slice(1), pascal(inner)]),
  )
}

await runAlone(import.meta.url, startKiotViet)
