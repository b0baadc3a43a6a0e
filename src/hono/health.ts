import type { Handler } from 'hono'
import type { Holdfast } from '../holdfast.ts'
import { type HealthOptions, healthReply } from '../http/health.ts'
import { toWebResponse } from '../http/node-bridge.ts'

/** `app.get('/health', health(hf))`: 200 while the application can serve, 503 when it cannot or ends. */
export function health(holdfast: Holdfast, options: HealthOptions = {}): Handler {
  return () => toWebResponse(healthReply(holdfast, options))
}
