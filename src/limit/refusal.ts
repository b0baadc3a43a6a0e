import type { Decision } from './decision.ts'
import type { HeaderOptions } from './headers.ts'
import { policyNames, rateLimitHeaders } from './headers.ts'

/** An answer to a refused call, for any HTTP framework. */
export interface Refusal {
  readonly status: 429 | 503
  readonly headers: Record<string, string>
  readonly body: ProblemDetails
}

/** RFC 9457 problem details. */
export interface ProblemDetails {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly 'violated-policies'?: readonly string[]
}

const TYPES = 'https://iana.org/assignments/http-problem-types#'

/**
 * 429 with the problem type `quota-exceeded` and the names of the limits that refused; 503 with
 * `temporary-reduced-capacity` where the limiter refuses because Redis cannot be asked.
 */
export function refusal(decision: Decision, options: HeaderOptions = {}): Refusal {
  const headers = { ...rateLimitHeaders(decision, options), 'Content-Type': 'application/problem+json' }
  if (decision.degraded === 'deny') {
    const body = {
      type: `${TYPES}temporary-reduced-capacity`,
      title: 'Temporarily unavailable',
      status: 503,
      detail: 'The request could not be checked against its limits. Try again shortly.',
    }
    return { status: 503, headers, body }
  }
  const names = policyNames(decision)
  const violated = names.filter((_, index) => decision.limits[index]!.refused)
  const body = {
    type: `${TYPES}quota-exceeded`,
    title: 'Too many requests',
    status: 429,
    detail: detailOf(decision),
    'violated-policies': violated,
  }
  return { status: 429, headers, body }
}

function detailOf({ retryAfter, blocked }: Decision): string {
  if (!Number.isFinite(retryAfter)) return 'This request costs more than its limit allows at once.'
  const when = `Try again in ${Math.max(1, Math.ceil(retryAfter / 1_000))} s.`
  return blocked ? `Requests are blocked for a while. ${when}` : `A limit has been reached. ${when}`
}
