import { randomBytes } from 'node:crypto'
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { createAdmin } from '../admin/admin.ts'
import type { Holdfast } from '../holdfast.ts'
import { CliError, type Io } from './io.ts'
import { type Common, withSession } from './session.ts'

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
}

export const withApiOptions = (command: Command): Command =>
  command
    .option('--admin <url>', 'ask the admin API of a running application instead of Redis')
    .option('--token <token>', 'for --admin, instead of HOLDFAST_ADMIN_TOKEN')

/** @throws CliError when it is not there, or lets nobody in */
export async function withApi<T>(io: Io, flags: ApiFlags, run: (api: Api) => Promise<T>): Promise<T> {
  if (flags.admin !== undefined)
    return run(remote(io, flags.admin, flags.token ?? io.env.HOLDFAST_ADMIN_TOKEN))
  return withSession(io, flags, async ({ hf }) => {
    const { api, close } = local(hf)
    try {
      return await run(api)
    } finally {
      await close()
    }
  })
}

/** The same routes, redaction and audit as over HTTP, without a server. */
function local(hf: Holdfast): { api: Api; close(): Promise<void> } {
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
  return { api: { namespace: hf.namespace, call }, close: () => admin.close() }
}

function remote(io: Io, base: string, token: string | undefined): Api {
  if (!/^https?:\/\/\S+$/.test(base)) throw new CliError('--admin is no http or https URL')
  const root = base.replace(/\/+$/, '')
  return {
    namespace: undefined,
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
