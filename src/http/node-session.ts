import type { IncomingMessage, ServerResponse } from 'node:http'
import { InvalidOption } from '../base/errors.ts'
import type { Sessions } from '../session/sessions.ts'
import { beforeHead } from './before-head.ts'
import { sendReply } from './node-bridge.ts'
import { type HttpSession, type HttpSessionOptions, HttpSessions, sessionRefusal } from './session.ts'

/** Middleware for whatever calls `(req, res, next)`, which knows the session of each request. */
export interface SessionMiddleware<T extends object> {
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): Promise<void>
  /** The session of a request that came through this middleware. @throws InvalidOption for another */
  of(req: IncomingMessage): HttpSession<T>
}

/**
 * Sessions behind a cookie: read when the request comes, stored before the head of the answer goes.
 *
 *   const web = session(hf.sessions<Cart>('web'))
 *   app.use(web)
 *   app.post('/cart', (req, res) => { web.of(req).data.items.push(req.body) … })
 *
 * While Redis is away, requests with a session cookie get 503, those without one go on.
 * @throws InvalidOption
 */
export function session<T extends object>(
  sessions: Sessions<T>,
  options: HttpSessionOptions<T> = {},
): SessionMiddleware<T> {
  const place = new HttpSessions(sessions, options)
  const known = new WeakMap<IncomingMessage, HttpSession<T>>()
  const middleware = async (
    req: IncomingMessage,
    res: ServerResponse,
    next: (error?: unknown) => void,
  ): Promise<void> => {
    // Middleware that stands twice must not store twice.
    if (known.has(req)) return next()
    const refuse = (error: unknown): void => {
      if (res.headersSent) return
      const refusal = sessionRefusal(error)
      for (const name of CONTENT) res.removeHeader(name)
      if (refusal) void sendReply(res, refusal)
      else next(error)
    }
    let opened: HttpSession<T>
    try {
      opened = await place.open(req.headers.cookie)
    } catch (error) {
      return refuse(error)
    }
    known.set(req, opened)
    const close = async () => {
      for (const line of await opened.close()) res.appendHeader('Set-Cookie', line)
    }
    beforeHead(res, close, refuse)
    next()
  }
  return Object.assign(middleware, {
    of(req: IncomingMessage): HttpSession<T> {
      const found = known.get(req)
      if (found) return found
      throw new InvalidOption(
        'this request came past the session middleware',
        'put it in front: app.use(web)',
      )
    },
  })
}

/** What an answer said about a body that is not sent after all. */
const CONTENT = [
  'Content-Type',
  'Content-Length',
  'Content-Encoding',
  'ETag',
  'Last-Modified',
  'Cache-Control',
]
