import { type Admin, type AdminOptions, createAdmin } from '../../src/admin/admin.ts'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import type { HoldfastOptions } from '../../src/options.ts'

export const TOKENS = { C: 'c'.repeat(40), B: 'b'.repeat(40), E: 'e'.repeat(40), T: 't'.repeat(40) }
export type Who = keyof typeof TOKENS
export const GRANTS: NonNullable<AdminOptions['tokens']> = [
  { token: TOKENS.C, edition: 'community', name: 'carla' },
  { token: TOKENS.B, edition: 'business', name: 'bob' },
  { token: TOKENS.E, edition: 'enterprise', name: 'eve' },
  { token: TOKENS.T, edition: 'enterprise', name: 'tenant-a', namespace: 'a' },
]
const HERE = { address: '127.0.0.1' }
/** What is asked here is not how a busy machine degrades. */
export const PATIENT = { connect: '10s', read: '10s', write: '10s', invalidate: '10s' } as const

export interface Answer {
  readonly status: number
  readonly type: string | null
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: bodies are asserted field by field
  readonly body: any
}

export interface Desk {
  readonly hf: Holdfast
  readonly admin: Admin
  ask(method: string, path: string, who?: Who, body?: unknown): Promise<Answer>
}

let names = 0

/** An instance and its administration, closed by `closeDesks`. */
export async function openDesk(
  redis: HoldfastOptions['redis'],
  options: Partial<AdminOptions> = {},
  more: HoldfastOptions = {},
): Promise<Desk> {
  const hf = holdfast({ namespace: `desk${names++}`, redis, deadlines: PATIENT, ...more })
  // Both roles, so that no first call of a test has to wait for a connection.
  hf.redis?.port('data')
  await hf.ready('20s')
  const limits = { reads: '100000/minute', writes: '100000/minute', strangers: '100000/minute' }
  const admin = createAdmin({ holdfast: hf, tokens: GRANTS, limits, dashboard: false, ...options })
  const desk = { hf, admin, ask: (...args: AskArgs) => ask(admin, ...args) }
  desks.push(desk)
  return desk
}

const desks: Desk[] = []

export async function closeDesks(): Promise<void> {
  for (const { admin, hf } of desks.splice(0)) {
    await admin.close()
    await hf.close()
  }
}

type AskArgs = [method: string, path: string, who?: Who, body?: unknown]

export async function ask(admin: Admin, ...[method, path, who, body]: AskArgs): Promise<Answer> {
  const request = requestOf(method, path, who && TOKENS[who], body)
  return answerOf(await admin.fetch(request, HERE))
}

export function requestOf(method: string, path: string, token?: string, body?: unknown): Request {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  if (body === undefined) return new Request(`http://admin.test${path}`, { method, headers })
  headers['content-type'] = 'application/json'
  return new Request(`http://admin.test${path}`, { method, headers, body: JSON.stringify(body) })
}

export async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response
  const type = headers.get('content-type')
  if (type === 'text/event-stream') {
    await response.body?.cancel()
    return { status, type, headers, body: undefined }
  }
  const text = await response.text()
  return { status, type, headers, body: text === '' ? undefined : JSON.parse(text) }
}
