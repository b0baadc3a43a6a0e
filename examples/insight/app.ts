import { createHash } from 'node:crypto'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { type Cache, type Holdfast, HoldfastError, type Loader, MutationNotAcknowledged } from 'holdfast'
import type { Admin } from 'holdfast/admin'
import { adminRoutes, holdfastPlugin } from 'holdfast/fastify'
import { z } from 'zod'
import { Problem } from '../tasks/problem.ts'
import { type Accounts, teamOf } from './accounts.ts'
import type { Analyst, Answer } from './analyst.ts'
import type { Connections } from './connection.ts'
import type { Database, Dataset, NewContent } from './database.ts'
import type { LIMITS, TTLS } from './settings.ts'
import { readTable } from './table.ts'

const Id = z.object({ id: z.uuid() })
const Name = z.object({ name: z.string().trim().min(1).max(100) })
const SignIn = z.strictObject({ user: z.string().max(200), password: z.string().max(200) })
const Question = z.strictObject({
  question: z.string().trim().min(1).max(2_000),
  model: z.string().min(1).max(100).default('sim-small'),
})
const Sql = z.strictObject({ sql: z.string().min(1).max(10_000) })
const Url = z.strictObject({ url: z.string().max(2_000) })

/** What a session remembers of the conversation: the last questions. */
interface Talk {
  history: { dataset: string; question: string; answer: string }[]
}
const REMEMBERED = 10

interface Parts {
  hf: Holdfast
  database: Database
  analyst: Analyst
  accounts: Accounts
  connections: Connections
  /** How long a session lives after its last use, in ms. */
  sessionLife: number
  secureCookie: boolean
  /** Mounted at `/admin`, with the dashboard. */
  admin?: Admin | undefined
}

export async function createApp(parts: Parts): Promise<FastifyInstance> {
  const { hf, database, analyst, accounts, connections } = parts
  const cacheOf = (name: keyof typeof TTLS) => hf.cache.namespace(name)
  const [lists, contents, results] = [
    cacheOf('dataset_list'),
    cacheOf('dataset_content'),
    cacheOf('query_result'),
  ]
  const sessions = hf.sessions<Talk>('insight', {
    idle: parts.sessionLife,
    onUnavailable: 'readonly',
    copies: { life: '30m' },
  })

  const app = fastify({ bodyLimit: 2 * 1024 * 1024, forceCloseConnections: true })
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser('text/csv', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.setNotFoundHandler(({ method }, reply) => problem(reply, 404, `there is nothing to ${method} here`))
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    if (error instanceof Problem) return problem(reply, error.status, error.message)
    if (error.statusCode && error.statusCode < 500) return problem(reply, error.statusCode, error.message)
    if (error instanceof HoldfastError) return problem(reply, 503, 'this cannot be done at the moment')
    console.error(error)
    return problem(reply, 500, 'something broke on our side')
  })
  await app.register(holdfastPlugin, {
    holdfast: hf,
    health: '/healthz',
    session: { sessions, initial: () => ({ history: [] }), cookie: { secure: parts.secureCookie } },
  })

  if (parts.admin) await app.register(adminRoutes, { prefix: '/admin', admin: parts.admin })

  /** The limit of a category, for the user and for the address, whichever is used up first. */
  const limited = (category: keyof typeof LIMITS) => ({
    config: {
      holdfast: {
        rateLimit: {
          limiter: hf.limiter(category),
          hook: 'onRequest' as const,
          by: (request: FastifyRequest, ip: string) => ({ user: request.holdfast.session().user, ip }),
        },
      },
    },
  })

  app.get('/stats', () => hf.health().cache)
  app.get('/api/v1/models', limited('default'), async (_request, reply) => ({
    models: await cached(reply, cacheOf('llm_models'), 'all', ({ signal }) => analyst.models(signal)),
  }))
  const signIn = {
    limiter: hf.limiter('auth'),
    by: ({ body }: FastifyRequest, ip: string) => ({ user: nameIn(body), ip }),
  }
  app.post('/api/v1/auth/sign-in', { config: { holdfast: { rateLimit: signIn } } }, async (request) => {
    const { user, password } = parse(SignIn, request.body)
    const mark = await sessions.mark(user)
    if (!accounts.knows(user, password)) throw new Problem(401, 'no account has this name and password')
    await request.holdfast.session<Talk>().login(user, { mark })
    return { user, team: teamOf(user) }
  })

  await app.register(
    async (api) => {
      api.addHook('onRequest', async (request) => {
        if (request.holdfast.session().user === undefined) throw new Problem(401, 'sign in first')
      })
      api.get('/session', limited('default'), async (request) => {
        const { user, data } = request.holdfast.session<Talk>()
        return { user, history: data.history }
      })
      api.post('/auth/sign-out', limited('default'), async (request, reply) => {
        await request.holdfast.session().destroy()
        return reply.code(204).send()
      })

      api.get('/datasets', limited('dataset_ops'), async (request, reply) => {
        const team = teamIn(request)
        return { datasets: await cached(reply, lists, team, () => database.list(team)) }
      })
      api.get('/datasets/:id', limited('dataset_ops'), (request, reply) => datasetOf(request, reply))
      api.delete('/datasets/:id', limited('dataset_ops'), async (request, reply) => {
        const [team, { id }] = [teamIn(request), parse(Id, request.params, 400)]
        if (!(await change(team, id, () => database.remove(team, id))))
          throw new Problem(404, 'there is no such dataset')
        return reply.code(204).send()
      })
      const add = async (team: string, query: unknown, content: NewContent) => {
        const { name } = parse(Name, query, 400)
        return lists.mutate({ keys: [team] }, () => database.add(team, name, content)).catch(done)
      }
      api.post('/datasets', limited('upload'), async (request, reply) => {
        reply.code(201)
        return add(teamIn(request), request.query, readTable(csvIn(request)))
      })
      api.put('/datasets/:id/content', limited('upload'), async (request) => {
        const [team, { id }, content] = [
          teamIn(request),
          parse(Id, request.params, 400),
          readTable(csvIn(request)),
        ]
        const found = await change(team, id, () => database.replace(team, id, content))
        if (!found) throw new Problem(404, 'there is no such dataset')
        return found
      })
      api.post('/datasets/import', limited('upload'), async (request, reply) => {
        const [team, { sql }] = [teamIn(request), parse(Sql, request.body)]
        const url = await connectionOf(team, reply)
        reply.code(201)
        return add(team, request.query, readTable(await connections.read(url, sql)))
      })

      api.post('/datasets/:id/query', limited('query'), async (request, reply) => {
        const { question, model } = parse(Question, request.body)
        const { id, version, csv } = await datasetOf(request, reply)
        // The version in the key: an answer is about a content, and another content asks anew.
        const key = `${id}:${version}:${model}:${digest(question)}`
        const result = await cached<Answer>(reply, results, key, ({ signal }) =>
          analyst.answer(csv, question, model, signal),
        )
        await remember(request, { dataset: id, question, answer: result.answer })
        return result
      })

      api.put('/connection', limited('default'), async (request, reply) => {
        const [team, sealed] = [teamIn(request), connections.seal(parse(Url, request.body).url)]
        await cacheOf('pg_connection')
          .mutate({ keys: [team] }, () => database.setConnection(team, sealed))
          .catch(done)
        return reply.code(204).send()
      })
      api.get('/connection', limited('default'), async (request, reply) => {
        const { hostname, port, pathname, username } = new URL(await connectionOf(teamIn(request), reply))
        return { host: hostname, port: Number(port || 5432), database: pathname.slice(1), user: username }
      })
    },
    { prefix: '/api/v1' },
  )
  return app

  /** `getOrSet`, and what it did in the words of RFC 9211. */
  async function cached<T>(reply: FastifyReply, cache: Cache, key: string, load: Loader<T>): Promise<T> {
    let loaded = false
    const value = await cache.getOrSet<T>(key, async (context) => {
      const result = await load(context)
      loaded = true
      return result
    })
    const {
      status,
      cache: { enabled },
    } = hf.health()
    const miss = status === 'ok' && enabled ? 'fwd=uri-miss; stored' : 'fwd=bypass'
    reply.header('Cache-Status', `holdfast; ${loaded ? miss : 'hit'}`)
    return value
  }

  async function datasetOf(request: FastifyRequest, reply: FastifyReply) {
    const [team, { id }] = [teamIn(request), parse(Id, request.params, 400)]
    const found = await cached<Dataset | undefined>(
      reply,
      contents,
      `${team}:${id}`,
      async (ctx) => (await database.find(team, id)) ?? ctx.skip(undefined),
    )
    if (!found) throw new Problem(404, 'there is no such dataset')
    return found
  }

  async function connectionOf(team: string, reply: FastifyReply): Promise<string> {
    const url = await cached<string | undefined>(reply, cacheOf('pg_connection'), team, async (ctx) => {
      const sealed = await database.connection(team)
      return sealed === undefined ? ctx.skip(undefined) : connections.open(sealed)
    })
    if (url === undefined) throw new Problem(404, 'this team has no connection')
    return url
  }

  /** While it runs nobody caches the dataset or the list; afterwards both are gone, in every process. */
  function change<T>(team: string, id: string, transaction: () => Promise<T>): Promise<T> {
    return contents
      .mutate({ keys: [`${team}:${id}`] }, () => lists.mutate({ keys: [team] }, transaction))
      .catch(done<T>)
  }

  /** A question is answered also where it cannot be remembered. */
  async function remember(request: FastifyRequest, line: Talk['history'][number]): Promise<void> {
    const { stored, data } = request.holdfast.session<Talk>()
    const history = [...data.history, line].slice(-REMEMBERED)
    await sessions.update(stored!.id, { history }).catch((error: unknown) => {
      if (!(error instanceof HoldfastError)) throw error
    })
  }
}

/** Without Redis we choose to go on: the invalidation is kept, and sent as soon as Redis is back. */
function done<T>(error: unknown): T {
  if (error instanceof MutationNotAcknowledged) return error.result as T
  throw error
}

const teamIn = (request: FastifyRequest): string => teamOf(request.holdfast.session().user ?? '')
const nameIn = (body: unknown): string | undefined => SignIn.safeParse(body).data?.user || undefined

function csvIn({ body }: FastifyRequest): string {
  if (typeof body === 'string' && body.trim() !== '') return body
  throw new Problem(415, 'send text/csv')
}

/** Questions that differ in case, blanks or the mark at their end are one. */
function digest(question: string): string {
  const text = question
    .replace(/\s+/g, ' ')
    .replace(/[\s?.!]+$/, '')
    .toLowerCase()
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

function parse<T>(schema: z.ZodType<T>, value: unknown, status = 422): T {
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  throw new Problem(status, z.prettifyError(error).replaceAll('\n', ' '))
}

function problem(reply: FastifyReply, status: number, detail: string): FastifyReply {
  const body = JSON.stringify(new Problem(status, detail).details)
  if (status === 503) reply.header('retry-after', '1')
  return reply.code(status).type('application/problem+json').send(body)
}
