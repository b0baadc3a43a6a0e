import { HoldfastError } from '../base/errors.ts'

/**
 * Why there is no token.
 * `refused`: the endpoint said no (4xx, or an OAuth error). `busy`: 429 or 503. `server`: 5xx.
 * `timeout`, `network`: no answer. `redirect`: it points elsewhere, and credentials are not sent
 * there. `not-json`, `no-token`, `too-large`: an answer that is none. `paused`: it failed a moment
 * ago, in this process or another, and is not asked again yet.
 */
export type TokenFailure =
  | 'refused'
  | 'busy'
  | 'server'
  | 'timeout'
  | 'network'
  | 'redirect'
  | 'not-json'
  | 'no-token'
  | 'too-large'
  | 'paused'

const WHAT: Record<TokenFailure, [what: string, mend: string]> = {
  refused: ['refused', 'check client id, client secret and parameters'],
  busy: ['asks to come back later', 'wait; calls go on by themselves after retryAfter'],
  server: ['failed', 'wait; calls go on by themselves'],
  timeout: ['did not answer in time', 'check the network, or raise deadline'],
  network: ['could not be reached', 'check the address and the network'],
  redirect: ['answered with a redirect', 'set tokenUrl to where it points, if you trust that'],
  'not-json': ['answered with something that is not JSON', 'check tokenUrl: a web page often answers there'],
  'no-token': ['answered without a usable token', 'check tokenUrl, grant and parameters'],
  'too-large': ['answered with more than 64 KiB', 'check tokenUrl: a web page often answers there'],
  paused: [
    'failed a moment ago and is not asked again yet',
    'wait; calls go on by themselves after retryAfter',
  ],
}

/** The codes of RFC 6749, 7009 and 8628 that may be shown: an endpoint can answer with anything. */
const OAUTH_ERRORS = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  'access_denied',
  'server_error',
  'temporarily_unavailable',
  'slow_down',
])

export const knownOAuthError = (error: unknown): string | undefined =>
  typeof error === 'string' && OAUTH_ERRORS.has(error) ? error : undefined

/** No token could be had. Holds nothing of what was sent or answered but the status and a known OAuth code. */
export class TokenEndpointError extends HoldfastError {
  readonly reason: TokenFailure
  readonly status: number | undefined
  /** The OAuth error code, where it is a known one. */
  readonly error: string | undefined
  /** ms until asking again may help; undefined where nobody said. */
  readonly retryAfter: number | undefined

  constructor(
    reason: TokenFailure,
    host: string,
    details: {
      status?: number | undefined
      error?: string | undefined
      retryAfter?: number | undefined
    } = {},
  ) {
    const [what, mend] = WHAT[reason]
    const { status, error, retryAfter } = details
    const shown = [status && `status ${status}`, error].filter(Boolean).join(', ')
    super('TOKEN_ENDPOINT', `the token endpoint at ${host} ${what}${shown ? ` (${shown})` : ''}`, mend)
    this.reason = reason
    this.status = status
    this.error = error
    this.retryAfter = retryAfter
  }
}

/** The grant is dead or was never given: only its owner can give a new one. Not tried again until then. */
export class TokenReauthNeeded extends HoldfastError {
  /** `invalid_grant`, or undefined where no grant was ever stored. */
  readonly error: string | undefined

  constructor(error: string | undefined) {
    super(
      'TOKEN_REAUTH',
      error ? 'the token endpoint calls the grant invalid' : 'there is no grant for this subject',
      'send its owner through the authorisation again and hand the code to exchange()',
    )
    this.error = error
  }
}
