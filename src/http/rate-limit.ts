import { InvalidKey, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { type HeaderOptions, rateLimitHeaders } from '../limit/headers.ts'
import type { Limiter } from '../limit/limiter.ts'
import type { LimitList, Limits } from '../limit/policy.ts'
import { clientAddress, type TrustProxy } from '../limit/proxy.ts'
import { refusal } from '../limit/refusal.ts'
import type { Subject } from '../limit/subject.ts'
import { jsonReply, problemReply, type WholeReply } from './reply.ts'
import type { RequestView } from './request-view.ts'

type Maybe<T> = T | undefined | Promise<T | undefined>

/** Whom a request counts for, and what its answer says of it. */
export interface RateLimitOptions<Request> extends HeaderOptions {
  /**
   * Whom the request counts for, e.g. `(req, ip) => ({ user: req.user.id, ip })`; undefined: it is
   * not limited. `ip` is the client's address as far as `trustProxy` allows to say it.
   * @default the client's address, IPv6 by its /64
   */
  readonly by?: ((request: Request, ip: string) => Maybe<Subject>) | undefined
  /** Units that a request takes. @default 1 */
  readonly cost?: number | ((request: Request) => number | Promise<number>) | undefined
  /** Limits of this request's plan instead of the limiter's own. */
  readonly limits?: ((request: Request) => Maybe<Limits | LimitList>) | undefined
  /** Whose X-Forwarded-For is believed: see `clientAddress`. @default false: nobody's */
  readonly trustProxy?: TrustProxy | undefined
}

/** What a limiter says to a request: fields for whatever answer follows, or the refusal itself. */
export interface RateLimitVerdict {
  readonly headers: Readonly<Record<string, string>>
  readonly refusal: WholeReply | undefined
}

const KNOWN = ['by', 'cost', 'limits', 'trustProxy', 'legacy']
const NOT_LIMITED: RateLimitVerdict = { headers: {}, refusal: undefined }
/** Peers without an address (a Unix socket) are one client, unless a trusted proxy names it. */
const NO_ADDRESS = '::'

/** A limiter in front of routes. */
export class RateLimit<Request> {
  readonly #limiter: Limiter
  readonly #options: RateLimitOptions<Request>
  readonly #addressOf: ReturnType<typeof clientAddress>

  /** @throws InvalidOption */
  constructor(limiter: Limiter, options: RateLimitOptions<Request> = {}) {
    refuseUnknown(options, KNOWN, 'rateLimit')
    if (typeof limiter?.consume !== 'function') {
      throw new InvalidOption('rateLimit was given no limiter', "give hf.limiter('name', '100/minute')")
    }
    this.#limiter = limiter
    this.#options = options
    this.#addressOf = clientAddress(options.trustProxy ?? false)
  }

  /** Counts a request. Never rejects because of Redis: the limiter's `onUnavailable` answers then. */
  async check(request: Request, view: RequestView): Promise<RateLimitVerdict> {
    const { by, cost, limits, legacy } = this.#options
    const ip = this.#addressOf(view.peer ?? NO_ADDRESS, view.header('x-forwarded-for'))
    const subject = by ? await by(request, ip) : { ip }
    if (subject === undefined) return NOT_LIMITED
    const units = typeof cost === 'function' ? await cost(request) : cost
    const plan = limits ? await limits(request) : undefined
    try {
      const decision = await this.#limiter.consume(subject, { cost: units, limits: plan })
      if (decision.allowed) return { headers: rateLimitHeaders(decision, { legacy }), refusal: undefined }
      const { status, headers, body } = refusal(decision, { legacy })
      return { headers: {}, refusal: jsonReply(status, body, headers) }
    } catch (error) {
      // What the client sent as its identity is no name: its fault, not the application's.
      if (!(error instanceof InvalidKey)) throw error
      const detail = 'The request names a client in a form that cannot be counted.'
      return { headers: {}, refusal: problemReply({ status: 400, detail }) }
    }
  }
}
