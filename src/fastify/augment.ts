import type { FastifyRequest } from 'fastify'
import type { Holdfast } from '../holdfast.ts'
import type { IdempotencyOptions } from '../http/idempotency.ts'
import type { RouteOptions } from '../http/options.ts'
import type { RateLimitOptions } from '../http/rate-limit.ts'
import type { HttpSession } from '../http/session.ts'
import type { Limiter } from '../limit/limiter.ts'
import type { Limits } from '../limit/policy.ts'

/** `config: { holdfast: { … } }` of a route. */
export interface HoldfastRouteConfig {
  /** Cache what the handler answers; `true`: as its Cache-Control says. */
  readonly cache?: RouteOptions | boolean | undefined
  /** Limits such as '20/minute', a limiter, or either with options. */
  readonly rateLimit?: Limits | Limiter | RouteRateLimit | undefined
  /** Requests with an Idempotency-Key run once. */
  readonly idempotent?: IdempotencyOptions<FastifyRequest> | boolean | undefined
}

/** The limits of one route, in its configuration. */
export interface RouteRateLimit extends RateLimitOptions<FastifyRequest> {
  /** A limiter of the instance, or limits for one of this route's own. */
  readonly limiter: Limiter | Limits
  /** When it counts. @default 'preHandler' with `by`, else 'onRequest': before the body is read */
  readonly hook?: 'onRequest' | 'preHandler' | undefined
}

/** What the plugin knows of a request: `request.holdfast`. */
export interface RequestHoldfast {
  /** The session of the request. @throws InvalidOption when the plugin was registered without `session` */
  session<T extends object = Record<string, unknown>>(): HttpSession<T>
}

declare module 'fastify' {
  interface FastifyInstance {
    holdfast: Holdfast
  }
  interface FastifyRequest {
    readonly holdfast: RequestHoldfast
  }
  interface FastifyContextConfig {
    holdfast?: HoldfastRouteConfig | undefined
  }
}
