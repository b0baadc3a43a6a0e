import type { Context, MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import { RateLimit, type RateLimitOptions } from '../http/rate-limit.ts'
import type { Limiter } from '../limit/limiter.ts'
import { answer, viewOf } from './request.ts'

/**
 * Lets so many requests through, and answers the rest with 429, `Retry-After` and problem details.
 *
 *   app.use('/chat', rateLimit(hf.limiter('chat', '20/minute'), { by: (c) => ({ user: c.get('user') }) }))
 *
 * Without `by` the client's address counts, as @hono/node-server knows it; on servers that do not
 * tell the address all clients would count as one, so give `by` there.
 * @throws InvalidOption
 */
export function rateLimit(limiter: Limiter, options: RateLimitOptions<Context> = {}): MiddlewareHandler {
  const limit = new RateLimit<Context>(limiter, options)
  return createMiddleware(async (c, next) => {
    const { headers, refusal } = await limit.check(c, viewOf(c))
    if (refusal) return answer(c, refusal)
    await next()
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
  })
}
