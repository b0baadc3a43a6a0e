import type { RequestHandler } from 'express'
import type { Holdfast } from '../holdfast.ts'
import { type ResponseCacheOptions, responseCacheOf } from '../http/caches.ts'
import { interpose } from '../http/interpose.ts'
import { CachePassage } from '../http/node-parts.ts'
import type { RouteOptions } from '../http/options.ts'
import { hintsOf } from './hints.ts'

/**
 * Caches what handlers answer, by the rules of HTTP. One for the application, words per route:
 *
 *   const cached = responseCache(hf)
 *   app.get('/products', cached({ ttl: '5m', tags: ['products'] }), handler)
 *   app.patch('/products/:id', cached({ invalidates: ['products'] }), handler)
 *
 * Also as `app.use(cached())`: then what the handlers say in Cache-Control decides.
 * @throws InvalidOption
 */
export function responseCache(
  holdfast: Holdfast,
  defaults?: ResponseCacheOptions,
): (route?: RouteOptions) => RequestHandler {
  const cache = responseCacheOf(holdfast, defaults)
  return (route) => (req, res, next) =>
    interpose(new CachePassage(cache, route, { req, res, proceed: next, hints: hintsOf(req) }))
}
