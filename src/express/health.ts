import type { RequestHandler } from 'express'
import type { Holdfast } from '../holdfast.ts'
import { type HealthOptions, healthReply } from '../http/health.ts'
import { sendReply } from '../http/node-bridge.ts'

/** `app.get('/health', health(hf))`: 200 while the application can serve, 503 when it cannot or ends. */
export function health(holdfast: Holdfast, options: HealthOptions = {}): RequestHandler {
  return (_req, res) => void sendReply(res, healthReply(holdfast, options))
}
