import type { Request, RequestHandler } from 'express'
import type { Holdfast } from '../holdfast.ts'
import { Idempotency, type IdempotencyOptions } from '../http/idempotency.ts'
import { idempotentOnNode } from '../http/node-parts.ts'
import { hintsOf } from './hints.ts'

/**
 * Lets a request with an `Idempotency-Key` run once; repeated, it gets the same answer. Stand it
 * behind `express.json()` and whatever else reads the body: the parsed body tells requests apart.
 *
 *   app.post('/orders', express.json(), idempotent(hf, { by: (req) => req.user.id }), handler)
 *
 * @throws InvalidOption
 */
export function idempotent(holdfast: Holdfast, options: IdempotencyOptions<Request> = {}): RequestHandler {
  const idempotency = new Idempotency<Request>(holdfast.once, options)
  return (req, res, next) =>
    idempotentOnNode(idempotency, req, req.body, { req, res, proceed: next, hints: hintsOf(req) })
}
