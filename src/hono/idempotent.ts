import type { Context, MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Holdfast } from '../holdfast.ts'
import { Idempotency, type IdempotencyOptions } from '../http/idempotency.ts'
import { fromWebResponse } from '../http/node-bridge.ts'
import { answer, viewOf } from './request.ts'

/**
 * Lets a request with an `Idempotency-Key` run once; repeated, it gets the same answer. Reads the
 * body to tell requests apart; the handler reads it as ever. Put `bodyLimit` in front.
 *
 *   app.post('/orders', idempotent(hf, { by: (c) => c.get('user') }), handler)
 *
 * @throws InvalidOption
 */
export function idempotent(holdfast: Holdfast, options: IdempotencyOptions<Context> = {}): MiddlewareHandler {
  const idempotency = new Idempotency<Context>(holdfast.once, options)
  return createMiddleware(async (c, next) => {
    const view = viewOf(c)
    const admitted = idempotency.admit(view)
    if (admitted === undefined) return next()
    if (typeof admitted !== 'string') return answer(c, admitted)
    const body = options.payload ? undefined : await bodyOf(c)
    const reply = await idempotency.run(admitted, c, view, body, async () => {
      await next()
      return fromWebResponse(c.res)
    })
    answer(c, reply, new Headers())
  })
}

async function bodyOf(c: Context): Promise<unknown> {
  const bytes = new Uint8Array(await c.req.arrayBuffer())
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(c.req.header('content-type') ?? '')) return bytes
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown
  } catch {
    // The handler's to refuse.
    return bytes
  }
}
