import type { Request, RequestHandler } from 'express'
import { sendReply } from '../http/node-bridge.ts'
import { limitOnNode } from '../http/node-parts.ts'
import { RateLimit, type RateLimitOptions } from '../http/rate-limit.ts'
import type { Limiter } from '../limit/limiter.ts'

/**
 * Lets so many requests through, and answers the rest with 429, `Retry-After` and problem details.
 *
 *   app.use('/chat', rateLimit(hf.limiter('chat', '20/minute'), { by: (req) => ({ user: req.user.id }) }))
 *
 * Without `by` the client's address counts; its `trustProxy` is this option, not Express's own.
 * @throws InvalidOption
 */
export function rateLimit(limiter: Limiter, options: RateLimitOptions<Request> = {}): RequestHandler {
  const limit = new RateLimit<Request>(limiter, options)
  return async (req, res, next) => {
    const refusal = await limitOnNode(limit, req, { req, res })
    if (refusal) await sendReply(res, refusal)
    else next()
  }
}
