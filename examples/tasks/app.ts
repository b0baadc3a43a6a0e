import { type CacheOptions, type Holdfast, type Loader, NotAcknowledged } from 'holdfast'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { STATUSES, type TaskStore } from './db.ts'
import { Problem } from './problem.ts'

const Tenant = z.string().regex(/^[\w-]{1,40}$/)
const Id = z.uuid()
const Status = z.enum(STATUSES)
const Name = z.string().trim().min(1).max(200)
const NewTask = z.strictObject({ name: Name, status: Status.optional() })
const TaskChange = z.strictObject({ name: Name.optional(), status: Status.optional() })
const Currency = z.string().regex(/^[A-Z]{3}$/)

interface Parts {
  hf: Holdfast
  tasks: TaskStore
  upstream: string
}

export function createApp({ hf, tasks, upstream }: Parts): Hono {
  const app = new Hono()
  app.use(
    bodyLimit({ maxSize: 64 * 1024, onError: () => new Problem(413, 'the body is over 64 KiB').response() }),
  )
  app.notFound((c) => new Problem(404, `there is no ${c.req.method} ${c.req.path}`).response())
  app.onError((error) => {
    if (error instanceof Problem) return error.response()
    console.error(error)
    return new Problem(500, 'something broke on our side').response()
  })

  // A task is cached for its tenant: a key without the tenant would answer whoever guesses an id.
  const keyOf = (tenant: string, id: string) => `task:${tenant}:${id}`
  const tagsOf = (tenant: string, id: string) => [`task:${id}`, `tasks:${tenant}`]

  app.get('/api/v1/tasks', async (c) => {
    const tenant = tenantOf(c)
    const status = c.req.query('status') ? parse(Status, c.req.query('status'), 400) : undefined
    const list = await cached(c, `tasks:${tenant}:${status ?? 'all'}`, () => tasks.list(tenant, status), {
      tags: [`tasks:${tenant}`],
    })
    return c.json({ tasks: list })
  })

  app.get('/api/v1/tasks/:id', async (c) => {
    const tenant = tenantOf(c)
    const id = parse(Id, c.req.param('id'), 400)
    const task = await cached(
      c,
      keyOf(tenant, id),
      async (ctx) => (await tasks.find(tenant, id)) ?? ctx.skip(undefined),
      { tags: [`task:${id}`] },
    )
    if (!task) throw new Problem(404, 'there is no such task')
    return c.json(task)
  })

  app.post('/api/v1/tasks', async (c) => {
    const tenant = tenantOf(c)
    const body = parse(NewTask, await json(c), 422)
    const task = await change([`tasks:${tenant}`], () => tasks.add(tenant, body))
    return c.json(task, 201, { Location: `/api/v1/tasks/${task.id}` })
  })

  app.patch('/api/v1/tasks/:id', async (c) => {
    const tenant = tenantOf(c)
    const id = parse(Id, c.req.param('id'), 400)
    const edit = parse(TaskChange, await json(c), 422)
    const task = await change(tagsOf(tenant, id), () => tasks.update(tenant, id, edit))
    if (!task) throw new Problem(404, 'there is no such task')
    return c.json(task)
  })

  app.delete('/api/v1/tasks/:id', async (c) => {
    const tenant = tenantOf(c)
    const id = parse(Id, c.req.param('id'), 400)
    const task = await change(tagsOf(tenant, id), () => tasks.remove(tenant, id))
    if (!task) throw new Problem(404, 'there is no such task')
    return c.body(null, 204)
  })

  app.get('/api/v1/rates/:currency', async (c) => {
    const currency = parse(Currency, c.req.param('currency'), 400)
    const rate = await cached(c, `rate:${currency}`, async ({ signal }) => {
      const answer = await fetch(`${upstream}/rates/${currency}`, { signal })
      if (answer.status === 404) throw new Problem(404, 'there is no such currency')
      if (!answer.ok) throw new Problem(502, 'the exchange-rate service failed')
      return (await answer.json()) as unknown
    })
    return c.json(rate)
  })

  app.get('/healthz', (c) => {
    const { status, driver, since } = hf.health()
    return c.json({ status, driver, degraded: status !== 'ok', since })
  })
  app.get('/stats', (c) => c.json(hf.health().cache))

  /** `getOrSet`, and what it did in the words of RFC 9211. */
  async function cached<T>(c: Context, key: string, load: Loader<T>, options?: CacheOptions): Promise<T> {
    let loaded = false
    const value = await hf.cache.getOrSet<T>(
      key,
      (ctx) => {
        loaded = true
        return load(ctx)
      },
      options,
    )
    const { status, cache } = hf.health()
    const miss = status === 'ok' && cache.enabled ? 'fwd=uri-miss; stored' : 'fwd=bypass'
    c.header('Cache-Status', `holdfast; ${loaded ? miss : 'hit'}`)
    return value
  }

  /**
   * Runs a transaction in a fence: while it runs nobody caches what it changes, and once it is
   * committed, the task and every list that could show it are gone, in every process. Without Redis
   * we choose to go on: the invalidation is kept, and sent as soon as Redis is back.
   */
  async function change<T>(tags: string[], transaction: () => Promise<T>): Promise<T> {
    let done: { result: T } | undefined
    const once = async () => {
      done = { result: await transaction() }
      return done.result
    }
    try {
      return await hf.cache.mutate({ tags }, once)
    } catch (error) {
      if (!(error instanceof NotAcknowledged)) throw error
      if (done) return done.result
      const result = await transaction()
      await hf.cache.invalidateTag(tags).catch(() => {}) // not acknowledged: kept and sent later
      return result
    }
  }

  return app
}

/** Stands in for the claim of a verified token. */
const tenantOf = (c: Context): string => parse(Tenant, c.req.header('x-tenant') ?? 'public', 400)

async function json(c: Context): Promise<unknown> {
  if (!c.req.header('content-type')?.startsWith('application/json')) {
    throw new Problem(415, 'send application/json')
  }
  try {
    return await c.req.json()
  } catch {
    throw new Problem(400, 'the body is not JSON')
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, status: 400 | 422): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new Problem(status, z.prettifyError(result.error).replaceAll('\n', ' '))
}
