import type { FastifyInstance, FastifyRequest, preHandlerHookHandler, RouteOptions as Route } from 'fastify'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { HttpCache } from '../http/engine.ts'
import { Idempotency } from '../http/idempotency.ts'
import { interpose } from '../http/interpose.ts'
import { CachePassage, idempotentOnNode, limitOnNode } from '../http/node-parts.ts'
import { RateLimit } from '../http/rate-limit.ts'
import type { Limiter } from '../limit/limiter.ts'
import type { Limits } from '../limit/policy.ts'
import { passageOf, replyWith } from './answer.ts'
import type { HoldfastRouteConfig, RouteRateLimit } from './augment.ts'

const KNOWN = ['cache', 'rateLimit', 'idempotent']

/** Adds the hooks that a route's `config.holdfast` asks for, behind the route's own. */
export function addRouteHooks(app: FastifyInstance, route: Route, cache: () => HttpCache): void {
  const config = route.config?.holdfast
  if (!config) return
  refuseUnknown(config, KNOWN, 'config.holdfast')
  if (config.rateLimit !== undefined) addLimit(app, route, config.rateLimit)
  if (config.idempotent) addIdempotency(app, route, config.idempotent === true ? {} : config.idempotent)
  if (config.cache) addCache(route, config.cache === true ? {} : config.cache, cache())
}

function addLimit(
  app: FastifyInstance,
  route: Route,
  given: NonNullable<HoldfastRouteConfig['rateLimit']>,
): void {
  const { limiter, hook, ...options } = isRouteLimit(given) ? given : { limiter: given }
  const at = hook ?? ('by' in options && options.by ? 'preHandler' : 'onRequest')
  if (at !== 'onRequest' && at !== 'preHandler') {
    throw new InvalidOption('rateLimit.hook is unknown', "give 'onRequest' or 'preHandler'")
  }
  const limit = new RateLimit<FastifyRequest>(
    isLimiter(limiter) ? limiter : app.holdfast.limiter(nameOf(route), limiter),
    options,
  )
  route[at] = behind(route[at], async (request, reply) => {
    const refusal = await limitOnNode(limit, request, { req: request.raw, res: reply.raw })
    return refusal && replyWith(reply, refusal)
  })
}

function addIdempotency(
  app: FastifyInstance,
  route: Route,
  options: Exclude<HoldfastRouteConfig['idempotent'], boolean | undefined>,
): void {
  const idempotency = new Idempotency<FastifyRequest>(app.holdfast.once, options)
  route.preHandler = behind(route.preHandler, ((request, reply, done) => {
    const passage = passageOf(request, reply, proceedBy(done))
    idempotentOnNode(idempotency, request, request.body, passage).catch(proceedBy(done))
  }) satisfies preHandlerHookHandler)
}

function addCache(
  route: Route,
  words: Exclude<HoldfastRouteConfig['cache'], boolean | undefined>,
  cache: HttpCache,
): void {
  route.preHandler = behind(route.preHandler, ((request, reply, done) => {
    interpose(new CachePassage(cache, words, passageOf(request, reply, proceedBy(done))))
  }) satisfies preHandlerHookHandler)
}

/** Fastify types what hooks may pass on as its own errors; it takes any. */
const proceedBy =
  (done: (error?: never) => void) =>
  (error?: unknown): void =>
    done(error as never)

function behind<Hook>(own: Hook | Hook[] | undefined, hook: Hook): Hook[] {
  return own === undefined ? [hook] : Array.isArray(own) ? [...own, hook] : [own, hook]
}

/** A route and the HEAD that Fastify makes of it count together. */
function nameOf({ method, url }: Route): string {
  const methods = (Array.isArray(method) ? method : [method]).map((one) => (one === 'HEAD' ? 'GET' : one))
  return `${methods.join(',')} ${url}`
}

function isRouteLimit(given: Limits | Limiter | RouteRateLimit): given is RouteRateLimit {
  return typeof given === 'object' && 'limiter' in given
}

function isLimiter(given: Limiter | Limits): given is Limiter {
  return typeof given === 'object' && 'consume' in given && typeof given.consume === 'function'
}
