import type { MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Holdfast } from '../holdfast.ts'
import { type ResponseCacheOptions, responseCacheOf } from '../http/caches.ts'
import { isDecisive } from '../http/held-response.ts'
import type { HttpResponse } from '../http/message.ts'
import { fromWebResponse } from '../http/node-bridge.ts'
import type { RouteOptions } from '../http/options.ts'
import { answer, requestOf, takeHeaders } from './request.ts'

/**
 * Caches what handlers answer, by the rules of HTTP:
 *
 *   const cached = responseCache(hf)
 *   app.get('/products', cached({ ttl: '5m', tags: ['products'] }), handler)
 *   app.patch('/products/:id', cached({ invalidates: ['products'] }), handler)
 *
 * A handler of Hono cannot run again once its request is over, so nothing is refreshed behind a
 * stale answer: the request that finds an entry stale waits for its handler.
 * @throws InvalidOption
 */
export function responseCache(
  holdfast: Holdfast,
  defaults?: ResponseCacheOptions,
): (route?: RouteOptions) => MiddlewareHandler {
  const cache = responseCacheOf(holdfast, defaults)
  return (route) => {
    const words: RouteOptions = { ...route, background: false }
    return createMiddleware(async (c, next) => {
      const original = requestOf(c)
      const known = cache.recall(original, words)
      if (known) {
        answer(c, known)
        return
      }
      let before: Headers | undefined
      const reply = await cache.handle(
        original,
        async (request) => {
          if (request.headers !== original.headers) takeHeaders(c, request.headers)
          before = new Headers(c.res.headers)
          await next()
          return ownPart(c.res, before)
        },
        words,
      )
      answer(c, reply, before)
    })
  }
}

/** What the handler said, without what stood there before it: that is said anew for each request. */
function ownPart(response: Response, before: Headers): HttpResponse {
  const whole = fromWebResponse(response)
  const headers: string[] = []
  for (let at = 0; at + 1 < whole.headers.length; at += 2) {
    const name = whole.headers[at]!
    const value = whole.headers[at + 1]!
    if (isDecisive(name) || before.get(name) !== value) headers.push(name, value)
  }
  return { ...whole, headers }
}
