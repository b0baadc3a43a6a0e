import { type Holdfast, MutationNotAcknowledged } from 'holdfast'
import type { Admin } from 'holdfast/admin'
import { adminHandler } from 'holdfast/hono'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { type CachedTasks, cachedTasks, type Trace } from './cached-tasks.ts'
import { STATUSES, type Task, type TaskStore } from './db.ts'
import { Problem } from './problem.ts'
import type { Rates } from './rates.ts'

const Tenant = z.string().regex(/^[\w-]{1,40}$/)
const Id = z.uuid()
const Status = z.enum(STATUSES)
const Name = z.string().trim().min(1).max(200)
const NewTask = z.strictObject({ name: Name, status: Status.optional() })
const TaskChange = z.strictObject({ name: Name.optional(), status: Status.optional() })
const Currency = z.string().regex(/^[A-Z]{3}$/)

const NO_TENANT = 'public'

interface Parts {
  hf: Holdfast
  tasks: TaskStore
  rates: Rates
  /** Mounted at `/admin`, and its cache routes where they stood of old. */
  admin: Admin
}

export function createApp({ hf, tasks, rates, admin }: Parts): Hono {
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

  const tenants = new Map<string, CachedTasks>()
  const tasksOf = (c: Context): CachedTasks => {
    const tenant = tenantOf(c)
    // Where nobody names a tenant, keys are as of old: task:{id}.
    const cache = tenant === NO_TENANT ? hf.cache : hf.cache.namespace(tenant)
    const known = tenants.get(tenant) ?? cachedTasks(cache, tasks, tenant)
    tenants.set(tenant, known)
    return known
  }

  app.get('/api/v1/tasks', async (c) => {
    const status = c.req.query('status') ? parse(Status, c.req.query('status'), 400) : undefined
    return c.json({ tasks: await traced(c, (trace) => tasksOf(c).list(status, trace)) })
  })

  app.get('/api/v1/tasks/:id', async (c) => {
    const id = parse(Id, c.req.param('id'), 400)
    return c.json(await traced(c, async (trace) => found(await tasksOf(c).find(id, trace))))
  })

  app.post('/api/v1/tasks', async (c) => {
    const task = await tasksOf(c)
      .add(parse(NewTask, await json(c), 422))
      .catch(committed<Task>)
    return c.json(task, 201, { Location: `/api/v1/tasks/${task.id}` })
  })

  app.patch('/api/v1/tasks/:id', async (c) => {
    const id = parse(Id, c.req.param('id'), 400)
    const change = parse(TaskChange, await json(c), 422)
    return c.json(found(await tasksOf(c).update(id, change).catch(committed)))
  })

  app.delete('/api/v1/tasks/:id', async (c) => {
    found(
      await tasksOf(c)
        .remove(parse(Id, c.req.param('id'), 400))
        .catch(committed),
    )
    return c.body(null, 204)
  })

  app.get('/api/v1/rates/:currency', async (c) => {
    const currency = parse(Currency, c.req.param('currency'), 400)
    return c.json(await traced(c, (trace) => rates(currency, trace)))
  })

  app.get('/healthz', (c) => {
    const { status, driver, since } = hf.health()
    return c.json({ status, driver, degraded: status !== 'ok', since })
  })
  app.get('/stats', (c) => c.json(hf.health().cache))

  app.all('/admin', adminHandler(admin))
  app.all('/admin/*', adminHandler(admin))
  const atPathsOfOld = new Hono()
  atPathsOfOld.all('/admin/*', adminHandler(admin))
  app.all('/api/v1/cache/*', (c) => {
    const { pathname, search, origin } = new URL(c.req.url)
    const { method, headers } = c.req.raw
    const request = new Request(`${origin}/admin${pathname}${search}`, { method, headers })
    return atPathsOfOld.fetch(request, c.env)
  })
  return app

  /** What the cache did, in the words of RFC 9211. */
  async function traced<T>(c: Context, read: (trace: Trace) => Promise<T>): Promise<T> {
    const trace = { loaded: false }
    const value = await read(trace)
    const { status, cache } = hf.health()
    const miss = status === 'ok' && cache.enabled ? 'fwd=uri-miss; stored' : 'fwd=bypass'
    c.header('Cache-Status', `holdfast; ${trace.loaded ? miss : 'hit'}`)
    return value
  }
}

/**
 * Without Redis we choose to go on: the change is committed, its invalidation is kept, and sent as soon
 * as Redis is back.
 */
function committed<T>(error: unknown): T {
  if (error instanceof MutationNotAcknowledged) return error.result as T
  throw error
}

function found<T>(task: T | undefined): T {
  if (task === undefined) throw new Problem(404, 'there is no such task')
  return task
}

/** Stands in for the claim of a verified token. */
const tenantOf = (c: Context): string => parse(Tenant, c.req.header('x-tenant') ?? NO_TENANT, 400)

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
