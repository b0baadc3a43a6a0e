import type { MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import { type HttpSession, type HttpSessionOptions, HttpSessions, sessionRefusal } from '../http/session.ts'
import type { Sessions } from '../session/sessions.ts'
import { answer } from './request.ts'

/** What `session` adds to the context: `c.get('session')`. */
export interface SessionVariables<T extends object> {
  Variables: { session: HttpSession<T> }
}

/**
 * Sessions behind a cookie: read when the request comes, stored before the answer goes.
 *
 *   app.use(session(hf.sessions<Cart>('web')))
 *   app.post('/cart', async (c) => { c.get('session').data.items.push(await c.req.json()) … })
 *
 * While Redis is away, requests with a session cookie get 503, those without one go on.
 * @throws InvalidOption
 */
export function session<T extends object>(
  sessions: Sessions<T>,
  options: HttpSessionOptions<T> = {},
): MiddlewareHandler<SessionVariables<T>> {
  const place = new HttpSessions(sessions, options)
  return createMiddleware<SessionVariables<T>>(async (c, next) => {
    try {
      c.set('session', await place.open(c.req.header('cookie')))
    } catch (error) {
      const refusal = sessionRefusal(error)
      if (!refusal) throw error
      return answer(c, refusal)
    }
    await next()
    try {
      for (const line of await c.get('session').close()) c.header('set-cookie', line, { append: true })
    } catch (error) {
      const refusal = sessionRefusal(error)
      if (!refusal) throw error
      answer(c, refusal, new Headers())
    }
  })
}
