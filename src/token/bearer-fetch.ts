import { ConfigError } from '../base/errors.ts'
import type { FetchFunction } from './options.ts'

/** What the wrapper needs of a token source. */
export interface BearerSource {
  current(refused?: string): Promise<{ readonly header: string; readonly version: string }>
  /** True when another token may be had now. */
  refuse(version: string): Promise<boolean>
}

/**
 * `fetch` with the token in the Authorization header. After a 401 the token is dropped, if it is
 * still that one, and the request is sent once more, if its body can be sent again.
 * @throws what the token source throws, ConfigError for an address outside `origins`, and what fetch throws
 */
export async function bearerFetch(
  source: BearerSource,
  send: FetchFunction,
  origins: ReadonlySet<string> | undefined,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const target = new URL(input instanceof Request ? input.url : input)
  if (origins && !origins.has(target.origin)) {
    throw new ConfigError(
      `a token was about to be sent to ${target.host}`,
      'add its origin to origins, if it is meant',
    )
  }
  const attempt = (header: string) => {
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined))
    headers.set('authorization', header)
    return send(input, { ...init, headers })
  }
  const first = await source.current()
  const response = await attempt(first.header)
  if (response.status !== 401) return response
  const again = await source.refuse(first.version)
  if (!again || !isReplayable(input, init)) return response
  const second = await source.current(first.version)
  if (second.version === first.version) return response
  await response.body?.cancel()
  return attempt(second.header)
}

function isReplayable(input: string | URL | Request, init: RequestInit): boolean {
  const { body } = init
  if (body === undefined || body === null) return !(input instanceof Request) || input.body === null
  return (
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof FormData ||
    body instanceof Blob ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body)
  )
}
