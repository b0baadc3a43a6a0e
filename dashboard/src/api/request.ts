import { dropToken, token } from './credentials.ts'

export type Query = Readonly<Record<string, string | number | boolean | undefined>>
export type Method = 'GET' | 'POST' | 'DELETE'

/** What the administration answered instead of what was asked; status 0: it did not answer at all. */
export class Refusal extends Error {
  readonly status: number
  /** Seconds after which asking again makes sense, where the answer says so. */
  readonly retryAfter: number | undefined

  constructor(status: number, detail: string, retryAfter?: number) {
    super(detail)
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** The page stands at the administration's base path: its API is beside it, whatever the mount is called. */
export function apiUrl(path: string, query: Query = {}): string {
  const url = new URL(`api/v1/${path}`, document.baseURI)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, String(value))
  }
  return url.href
}

/** Parts of a path, each encoded for itself: a key may hold any character. */
export const pathOf = (...parts: readonly string[]): string => parts.map(encodeURIComponent).join('/')

export function authorization(): Record<string, string> {
  return token.value === undefined ? {} : { Authorization: `Bearer ${token.value}` }
}

interface Ask {
  readonly method?: Method
  readonly query?: Query
  readonly body?: object
  readonly signal?: AbortSignal
}

/** @throws Refusal; an AbortError when `signal` says so */
export async function ask<T>(path: string, { method = 'GET', query, body, signal }: Ask = {}): Promise<T> {
  const headers: Record<string, string> = { ...authorization(), Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const response = await fetch(apiUrl(path, query), {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
    cache: 'no-store',
    credentials: 'omit',
  }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refusal(0, 'The server does not answer. It may be restarting.')
  })
  if (response.ok) return (await response.json()) as T
  throw await refusalOf(response)
}

export async function refusalOf(response: Response): Promise<Refusal> {
  const { status } = response
  // A token that is no longer good is of no use to anybody: ask for another.
  if (status === 401) dropToken(true)
  const problem: unknown = await response.json().catch(() => undefined)
  const detail = hasDetail(problem) ? problem.detail : `The server answered ${status}.`
  const after = Number(response.headers.get('retry-after') ?? Number.NaN)
  return new Refusal(status, detail, Number.isFinite(after) ? after : undefined)
}

function hasDetail(problem: unknown): problem is { detail: string } {
  return (
    typeof problem === 'object' &&
    problem !== null &&
    'detail' in problem &&
    typeof problem.detail === 'string' &&
    problem.detail !== ''
  )
}
