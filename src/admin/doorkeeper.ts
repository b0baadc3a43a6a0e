import { InvalidOption } from '../base/errors.ts'
import type { Holdfast } from '../holdfast.ts'
import { rateLimitHeaders } from '../limit/headers.ts'
import type { Limiter } from '../limit/limiter.ts'
import type { Limits } from '../limit/policy.ts'
import { BearerTokens, type TokenGrant } from './bearer.ts'
import { type JwtOptions, JwtVerifier } from './jwt.ts'
import type { Principal } from './principal.ts'
import { Refused } from './problem.ts'

export interface DoorOptions {
  /** Who may come in with which bearer token, by its SHA-256. */
  readonly tokens?: readonly TokenGrant[] | undefined
  /** How JWTs are verified, and which claims say edition and tenant. */
  readonly jwt?: JwtOptions | undefined
  /** True: anybody on this machine is Enterprise; only where neither tokens nor jwt are given. */
  readonly open?: boolean | undefined
  /** How many requests of each kind are answered; see the fields. */
  readonly limits?:
    | {
        /** Requests of one principal that change nothing. @default '600/minute' */
        readonly reads?: Limits | undefined
        /** Requests of one principal that change something. @default '60/minute' */
        readonly writes?: Limits | undefined
        /** Requests without a valid token, by address. @default '30/minute' */
        readonly strangers?: Limits | undefined
      }
    | undefined
}

const SOMEBODY_HERE: Principal = { name: 'loopback', edition: 'enterprise', namespace: undefined }
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
const SAFE = new Set(['GET', 'HEAD'])

export const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && LOOPBACK.test(address)

/** Decides who a request is from, and whether it may ask again so soon. */
export class Doorkeeper {
  readonly #tokens: BearerTokens | undefined
  readonly #jwt: JwtVerifier | undefined
  readonly #reads: Limiter
  readonly #writes: Limiter
  readonly #strangers: Limiter

  /** @throws InvalidOption when nothing says who may enter */
  constructor(hf: Holdfast, options: DoorOptions) {
    const { tokens, jwt, open = false, limits = {} } = options
    if (open && (tokens !== undefined || jwt !== undefined)) {
      throw new InvalidOption('open contradicts tokens and jwt', 'leave open out')
    }
    if (!open && jwt === undefined && (tokens === undefined || tokens.length === 0)) {
      throw new InvalidOption(
        'nothing says who may administer',
        'give tokens or jwt; or open: true, and only this machine gets in',
      )
    }
    this.#tokens = tokens && new BearerTokens(tokens)
    this.#jwt = jwt && new JwtVerifier(jwt)
    const { reads = '600/minute', writes = '60/minute', strangers = '30/minute' } = limits
    this.#reads = hf.limiter('admin-reads', reads)
    this.#writes = hf.limiter('admin-writes', writes)
    this.#strangers = hf.limiter('admin-strangers', strangers)
  }

  /** @throws Refused: 401, 403 or 429 */
  async admit(request: Request, url: URL, address: string | undefined): Promise<Principal> {
    const principal = await this.#whoIs(request, url, address)
    if (principal === undefined) {
      await this.#count(this.#strangers, address ?? 'unknown')
      throw new Refused(401, 'This needs a valid bearer token.', {
        'WWW-Authenticate': 'Bearer realm="holdfast"',
      })
    }
    await this.#count(SAFE.has(request.method) ? this.#reads : this.#writes, principal.name)
    return principal
  }

  async #whoIs(request: Request, url: URL, address: string | undefined): Promise<Principal | undefined> {
    if (this.#tokens === undefined && this.#jwt === undefined) {
      refuseStrangers(request, url, address)
      return SOMEBODY_HERE
    }
    // No cookie is ever read, so a page elsewhere cannot act with somebody's rights.
    const [, token] = /^Bearer +([\w.~+/=-]{1,8192})$/i.exec(request.headers.get('authorization') ?? '') ?? []
    if (token === undefined) return undefined
    return this.#tokens?.find(token) ?? this.#signed(await this.#jwt?.find(token))
  }

  /** A subject of the provider's making is nobody whom a token of ours names. */
  #signed(principal: Principal | undefined): Principal | undefined {
    if (!principal || !this.#tokens?.has(principal.name)) return principal
    return { ...principal, name: `jwt:${principal.name}` }
  }

  async #count(limiter: Limiter, who: string): Promise<void> {
    const decision = await limiter.consume({ who })
    if (decision.allowed) return
    throw new Refused(429, 'Too many requests to the administration.', rateLimitHeaders(decision))
  }
}

/**
 * Without tokens, the machine is the credential. A page in its user's browser is not: the name in
 * `Host` keeps out names that were re-bound to this address, `Origin` and `Sec-Fetch-Site` other pages.
 */
function refuseStrangers(request: Request, url: URL, address: string | undefined): void {
  if (!isLoopback(address)) {
    throw new Refused(403, 'Without authentication this answers its own machine only.')
  }
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  const isForeign =
    !LOOPBACK_HOST.test(url.hostname) ||
    (site !== null && site !== 'same-origin' && site !== 'none') ||
    (origin !== null && origin !== url.origin)
  if (isForeign) throw new Refused(403, 'This request comes from another site.')
}
