import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Holdfast } from 'holdfast'
import type { Admin } from 'holdfast/admin'
import { adminHandler } from 'holdfast/hono'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import { Problem } from '../tasks/problem.ts'
import type { Background } from './background.ts'
import { CHAT_ID, type ChatService, UnknownChat } from './chat-service.ts'
import type { Database } from './database.ts'

const Flag = z.strictObject({ check_reply: z.boolean() })

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2d5fc0"
  d="M2 2h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H7l-4 3v-3H2a1 1 0 0 1-1-1V3a1 1 0 0 1 1-1z"/></svg>`
const PAGE: Record<string, { type: string; body: string }> = {
  '/': { type: 'text/html; charset=utf-8', body: file('page.html') },
  '/page.js': { type: 'text/javascript; charset=utf-8', body: file('page.js') },
  '/page.css': { type: 'text/css; charset=utf-8', body: file('page.css') },
  '/icon.svg': { type: 'image/svg+xml', body: ICON },
}
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

interface Parts {
  hf: Holdfast
  service: ChatService
  background: Background
  database: Database
  /** What an operator's requests carry as `Authorization: Bearer …`. */
  operatorToken: string
  /** Mounted at `/admin`, with the dashboard. */
  admin?: Admin | undefined
}

/** The page, new chats, and what an operator may do. The chats themselves go over sockets. */
export function createApp({ hf, service, background, database, operatorToken, admin }: Parts): Hono {
  const app = new Hono()
  app.use(bodyLimit({ maxSize: 1024, onError: () => new Problem(413, 'the body is over 1 KiB').response() }))
  app.notFound((c) => new Problem(404, `there is no ${c.req.method} ${c.req.path}`).response())
  app.onError((error) => {
    if (error instanceof Problem) return error.response()
    if (error instanceof UnknownChat) return new Problem(404, error.message).response()
    console.error(error)
    return new Problem(500, 'something broke on our side').response()
  })

  for (const [path, { type, body }] of Object.entries(PAGE)) {
    app.get(path, (c) =>
      c.body(body, 200, {
        'content-type': type,
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-cache',
      }),
    )
  }

  app.post('/api/v1/chats', async (c) => {
    const id = await service.open().catch((error: unknown) => {
      console.error(error)
      throw new Problem(503, 'no new chats at the moment: the database does not answer')
    })
    return c.json({ id }, 201)
  })

  const operator = new Hono()
  operator.use(async (c, next) => {
    const given = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    if (isSame(given, operatorToken)) return next()
    const refusal = new Problem(401, 'an operator sends his token as Bearer').response()
    refusal.headers.set('www-authenticate', 'Bearer')
    return refusal
  })
  operator.put('/check_reply', async (c) => {
    const { check_reply } = parse(Flag, await json(c))
    return c.json(await service.setCheckReply(idOf(c), check_reply))
  })
  operator.get('/', async (c) => {
    const id = idOf(c)
    const chat = await database.findChat(id)
    if (!chat) throw new UnknownChat()
    return c.json({ ...chat, customer: (await database.customer(id)) ?? null })
  })
  operator.get('/messages', async (c) => c.json({ messages: await database.messages(idOf(c)) }))
  app.route('/api/v1/chats/:id', operator)

  if (admin) for (const path of ['/admin', '/admin/*']) app.all(path, adminHandler(admin))
  app.get('/healthz', (c) => {
    const { status, driver, since } = hf.health()
    return c.json({ status, driver, degraded: status !== 'ok', since })
  })
  app.get('/stats', async (c) => c.json({ cache: hf.health().cache, queues: await background.stats() }))

  return app
}

function file(name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8')
}

function idOf(c: Context): string {
  const id = c.req.param('id') ?? ''
  if (!CHAT_ID.test(id)) throw new Problem(400, 'that is no id of a chat')
  return id
}

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

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new Problem(422, z.prettifyError(result.error).replaceAll('\n', ' '))
}

/** Takes the same time whatever is given. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(wanted))
}
