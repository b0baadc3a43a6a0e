import { randomBytes } from 'node:crypto'
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { createAdmin } from '../admin/admin.ts'
import { CliError, type Io } from './io.ts'
import { DEADLINE, scanNames } from './key-scan.ts'
import { type Common, type Session, withSession } from './session.ts'

export interface ApiFlags extends Common {
  readonly admin?: string
  readonly token?: string
}

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** The admin API: of a running application, or of an instance that this command made for itself. */
export interface Api {
  call(method: string, path: string, query?: Readonly<Record<string, string | undefined>>): Promise<Answer>
  /** The namespace that a clear of everything has to name. */
  readonly namespace: string | undefined
  /** Frees the memory of entries that a clear of everything made invalid; undefined far away. */
  readonly free: ((tell: (freed: number) => void) => Promise<number>) | undefined
}

export const withApiOptions = (command: Command): Command =>
  command
    .option('--admin <url>', 'ask the admin API of a running application instead of Redis')
    .option('--token <token>', 'for --admin, instead of HOLDFAST_ADMIN_TOKEN')

/** @throws CliError when it is not there, or lets nobody in */
export async function withApi<T>(io: Io, flags: ApiFlags, run: (api: Api) => Promise<T>): Promise<T> {
  if (flags.admin !== undefined)
    return run(remote(io, flags.admin, flags.token ?? io.env.HOLDFAST_ADMIN_TOKEN))
  return withSession(io, flags, async (session) => {
    const { api, close } = local(session)
    try {
      return await run(api)
    } finally {
      await close()
    }
  })
}

/** The same routes, redaction and audit as over HTTP, without a server. */
function local(session: Session): { api: Api; close(): Promise<void> } {
  const { hf } = session
  const token = randomBytes(32).toString('base64url')
  const admin = createAdmin({
    holdfast: hf,
    dashboard: false,
    tokens: [{ token, edition: 'enterprise', name: `cli:${userInfo().username}` }],
    limits: { reads: '10000/minute', writes: '10000/minute' },
  })
  const call: Api['call'] = async (method, path, query) => {
    const headers = { authorization: `Bearer ${token}` }
    const request = new Request(`http://localhost${withQuery(path, query)}`, { method, headers })
    return answerOf(await admin.fetch(request, { address: '127.0.0.1' }))
  }
  const free: Api['free'] = (tell) => unlinkEntries(session, tell)
  return { api: { namespace: hf.namespace, free, call }, close: () => admin.close() }
}

/** A hundred names a command: the server answers others in between. */
const UNLINK_AT_ONCE = 100

async function unlinkEntries(session: Session, tell: (freed: number) => void): Promise<number> {
  let freed = 0
  for await (const { node, names } of scanNames(session, '*', {})) {
    for (let at = 0; at < names.length; at += UNLINK_AT_ONCE) {
      freed += Number(await node.send(['UNLINK', ...names.slice(at, at + UNLINK_AT_ONCE)], DEADLINE))
      tell(freed)
    }
  }
  return freed
}

function remote(io: Io, base: string, token: string | undefined): Api {
  if (!/^https?:\/\/\S+$/.test(base)) throw new CliError('--admin is no http or https URL')
  const root = base.replace(/\/+$/, '')
  return {
    namespace: undefined,
    free: undefined,
    call: async (method, path, query) => {
      const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
      let response: Response
      try {
        response = await fetch(root + withQuery(path, query), { method, headers, signal: io.signal })
      } catch (cause) {
        throw new CliError(`the admin API at ${root} does not answer`, `start it: ${reasonOf(cause)}`)
      }
      return answerOf(response)
    },
  }
}

const reasonOf = (cause: unknown): string =>
  cause instanceof Error
    ? String(cause.cause instanceof Error ? cause.cause.message : cause.message)
    : 'no answer'

async function answerOf(response: Response): Promise<Answer> {
  const body: unknown = await response.json().catch(() => ({}))
  const { status } = response
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Answer['body']
  if (status === 401 || status === 403) {
    throw new CliError(String(fields.detail ?? 'not allowed'), 'give a token that may: HOLDFAST_ADMIN_TOKEN')
  }
  if (status >= 400 && status !== 404)
    throw new CliError(String(fields.detail ?? `the admin API answered ${status}`))
  return { status, body: fields }
}

function withQuery(path: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`
}
