import { refuseUnknown } from '../base/options.ts'
import type { Health, Holdfast } from '../holdfast.ts'
import { isDraining } from './draining.ts'
import { jsonReply, type WholeReply } from './reply.ts'

/** What a health endpoint says, and when it is 503. */
export interface HealthOptions {
  /** Tell nodes, addresses (without credentials) and cache figures too: not for strangers. @default false */
  readonly details?: boolean | undefined
  /**
   * Answer 503 while Redis is away as well. Take care: the application runs without Redis, and a
   * load balancer that believes this takes every process out at once. @default false
   */
  readonly strict?: boolean | undefined
}

const KNOWN = ['details', 'strict']

/**
 * What a health endpoint answers: 200 while the application can serve, 503 once the instance is
 * closed or `gracefulShutdown` drains its server. Costs nothing: it asks no server.
 */
export function healthReply(holdfast: Holdfast, options: HealthOptions = {}): WholeReply {
  refuseUnknown(options, KNOWN, 'health')
  const health = holdfast.health()
  const draining = isDraining(holdfast)
  const unfit = draining || health.status === 'down' || (options.strict === true && health.status !== 'ok')
  const status = draining && health.status !== 'down' ? 'draining' : health.status
  const body = options.details ? { ...health, status } : { ...brief(health), status }
  return jsonReply(unfit ? 503 : 200, body)
}

function brief({ driver, since, roles }: Health): object {
  const states = Object.fromEntries(Object.entries(roles).map(([role, { status }]) => [role, status]))
  return { driver, since, roles: states }
}
