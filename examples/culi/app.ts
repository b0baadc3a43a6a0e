import { createHash } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type Duration, type Holdfast, HoldfastError } from 'holdfast'
import { holdfastPlugin } from 'holdfast/fastify'
import { rateLimitHeaders, refusal } from 'holdfast/limit'
import { createMetrics } from 'holdfast/observe'
import { z } from 'zod'
import { Problem } from '../tasks/problem.ts'
import { Conversations } from './conversations.ts'
import { KINDS, type KiotViet, Unavailable } from './kiotviet.ts'
import { Plans } from './plans.ts'

export interface Principal {
  user: string
  workspace: string
}

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal
  }
}

interface Parts {
  hf: Holdfast
  /** By workspace. */
  shops: ReadonlyMap<string, KiotViet>
  /** By token. */
  users: Readonly<Record<string, Principal>>
  planLease?: Duration | undefined
}

const Listing = z.strictObject({
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  page_size: z.coerce.number().int().min(1).max(100).default(20),
})
const Id = z
  .string()
  .regex(/^[1-9]\d{0,8}$/)
  .transform(Number)
const Message = z.strictObject({ text: z.string().trim().min(1).max(2_000) })
const NewPlan = z.strictObject({
  title: z.string().trim().min(1).max(200),
  prices: z.record(z.string().regex(/^[1-9]\d{0,8}$/), z.number().int().min(0).max(1e9)),
})
const Call = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.number()]),
  method: z.literal('tools/call'),
  params: z.object({ name: z.enum(KINDS), arguments: Listing.prefault({}) }),
})

export async function createApp({ hf, shops, users, planLease = '10s' }: Parts): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: 64 * 1024,
    frameworkErrors: (error, _request, reply) => void sayWhy(error, reply), // of addresses that are none
  })
  const metrics = createMetrics({ holdfast: hf })
  const plans = new Plans(hf, planLease)
  const conversations = new Conversations(hf)
  const byDigest = new Map(Object.entries(users).map(([token, principal]) => [digest(token), principal]))
  const shopOf = ({ principal }: FastifyRequest) => shops.get(principal.workspace)!
  const subject = ({ principal: { user, workspace } }: FastifyRequest) => ({
    user: `${workspace}/${user}`,
    workspace,
  })

  app.setNotFoundHandler(({ method, url }) => {
    throw new Problem(404, `there is no ${method} ${url.split('?')[0]}`)
  })
  app.setErrorHandler((error: Error, _request, reply) => sayWhy(error, reply))
  await app.register(holdfastPlugin, { holdfast: hf })

  app.get('/healthz', () => {
    const { status, driver, since } = hf.health()
    return { status, driver, degraded: status !== 'ok', since }
  })
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()))

  app.register(async (hooks) => {
    hooks.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body),
    )
    hooks.post<{ Params: { workspace: string }; Body: Buffer }>(
      '/webhooks/kiotviet/:workspace',
      { bodyLimit: 1024 * 1024 },
      async (request, reply) => {
        const shop = shops.get(request.params.workspace)
        if (!shop) throw new Problem(404, 'there is no such workspace')
        await shop.changed(request.body ?? Buffer.alloc(0), request.headers['x-hub-signature'])
        return reply.code(204).send()
      },
    )
  })

  app.register(async (api) => {
    const patient = { deadline: '1s' } as const // rather late than counted alone
    const requests = hf.limiter('requests', { user: '1200/minute', workspace: '6000/minute' }, patient)
    const chat = hf.limiter('chat', { user: '20/minute', workspace: '200/minute' }, patient)
    const mcp = hf.limiter('mcp', { connection: '60/minute' }, patient)

    api.decorateRequest('principal')
    api.addHook('onRequest', async (request, reply) => {
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
      const principal = byDigest.get(digest(token))
      if (!principal) throw new Problem(401, 'send your token as Bearer')
      request.principal = principal
      const decision = await requests.consume(subject(request))
      reply.headers(rateLimitHeaders(decision))
      if (decision.allowed) return undefined
      const { status, headers, body } = refusal(decision)
      return reply.code(status).headers(headers).send(body)
    })

    for (const kind of KINDS) {
      api.get(`/${kind}`, async (request, reply) => {
        const { page, page_size } = parse(Listing, request.query, 400)
        const { body, headers } = await shopOf(request).list(kind, page, page_size)
        return reply.headers(headers).send({ total: body.total, page, page_size, data: body.data })
      })
      api.get<{ Params: { id: string } }>(`/${kind}/:id`, async (request, reply) => {
        const { body, headers } = await shopOf(request).one(kind, parse(Id, request.params.id, 400))
        return reply.headers(headers).send(body)
      })
    }

    api.post('/conversations', async ({ principal: { user, workspace } }, reply) =>
      reply.code(201).send({ id: await conversations.open(`${workspace}/${user}`) }),
    )
    api.post<{ Params: { id: string } }>(
      '/conversations/:id/messages',
      { config: { holdfast: { rateLimit: { limiter: chat, by: subject } } } },
      (request) => {
        const { text } = parse(Message, request.body)
        return conversations.say(request.params.id, subject(request).user, text, shopOf(request))
      },
    )

    const connectionOf = (request: FastifyRequest) => {
      const { connection } = request.params as { connection: string }
      if (connection !== request.principal.workspace) throw new Problem(404, 'there is no such connection')
      return { connection }
    }
    api.post(
      '/mcp/:connection',
      { config: { holdfast: { rateLimit: { limiter: mcp, by: connectionOf } } } },
      async (request) => {
        const { id, params } = parse(Call, request.body)
        const { page, page_size } = params.arguments
        const { body } = await shopOf(request).list(params.name, page, page_size)
        return {
          jsonrpc: '2.0',
          id,
          result: { content: [{ type: 'text', text: JSON.stringify(body.data) }] },
        }
      },
    )

    api.post('/plans', async (request, reply) => {
      const plan = parse(NewPlan, request.body)
      return reply.code(201).send({ id: await plans.add(request.principal.workspace, plan) })
    })
    api.get<{ Params: { id: string } }>('/plans/:id', ({ principal, params }) =>
      plans.state(principal.workspace, params.id),
    )
    api.post<{ Params: { id: string } }>('/plans/:id/execute', (request) =>
      plans.execute(request.principal.workspace, request.params.id, shopOf(request)),
    )
  })
  return app
}

function parse<T>(schema: z.ZodType<T>, value: unknown, status = 422): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new Problem(status, z.prettifyError(result.error).replaceAll('\n', ' '))
}

function sayWhy(error: Error, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error)
  const { status, details } = problem
  if (status === 500) console.error(error)
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  if (problem instanceof Unavailable) reply.header('retry-after', problem.retryAfter)
  return reply.code(status).type('application/problem+json').send(details)
}

function problemOf(error: Error & { statusCode?: number }): Problem {
  if (error instanceof Problem) return error
  // Redis is away, and what is kept nowhere else cannot be had.
  if (error instanceof HoldfastError && /UNAVAILABLE|TIMEOUT|NOT_ACKNOWLEDGED/.test(error.code))
    return new Unavailable(503, 'this cannot be had at the moment: try again soon')
  const status = error.statusCode ?? 500
  return status < 500 ? new Problem(status, error.message) : new Problem(500, 'something broke on our side')
}

/** Looking up a digest takes the same time however much of the token was guessed. */
const digest = (token: string): string => createHash('sha256').update(token).digest('base64')
