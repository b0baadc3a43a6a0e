import type { Request } from 'express'
import type { NodeRequestHints } from '../http/node-bridge.ts'

/** Scheme and host as the application's `trust proxy` has them, and the whole target behind a mounted router. */
export function hintsOf(req: Request): NodeRequestHints {
  return { url: req.originalUrl, host: req.host, scheme: req.protocol === 'https' ? 'https' : 'http' }
}
