import type { Decision, LimitState } from './decision.ts'

/** Which fields `rateLimitHeaders` writes beside the standard ones. */
export interface HeaderOptions {
  /**
   * Also `X-RateLimit-Limit`, `-Remaining`, `-Reset` of the binding limit; Reset as seconds since
   * 1970 or from now, for both are in use. @default none
   */
  readonly legacy?: 'epoch' | 'delta' | undefined
}

/**
 * Response fields that tell a client how it stands: `RateLimit-Policy` and `RateLimit` as Structured
 * Field lists (draft-ietf-httpapi-ratelimit-headers-10), with one item per limit, and `Retry-After`
 * where the call was refused and may be repeated. `t` is when more units come, never later than
 * `Retry-After`. No identity is in them. Do not put them on redirects while nothing is left.
 */
export function rateLimitHeaders(decision: Decision, options: HeaderOptions = {}): Record<string, string> {
  const names = policyNames(decision)
  const headers: Record<string, string> = {
    'RateLimit-Policy': decision.limits.map((one, index) => policyItem(names[index]!, one)).join(', '),
    RateLimit: decision.limits.map((one, index) => stateItem(names[index]!, one)).join(', '),
  }
  const retry = retryAfterSeconds(decision)
  if (retry !== undefined) headers['Retry-After'] = String(retry)
  if (options.legacy) {
    headers['X-RateLimit-Limit'] = String(decision.limit)
    headers['X-RateLimit-Remaining'] = String(decision.remaining)
    const epochMs = decision.at / 1_000 + decision.resetAfter
    // A decision that no clock saw (outage policy) has no date.
    if (Number.isFinite(decision.resetAfter) && (options.legacy === 'delta' || decision.at > 0)) {
      headers['X-RateLimit-Reset'] = String(
        seconds(options.legacy === 'delta' ? decision.resetAfter : epochMs),
      )
    }
  }
  return headers
}

/** Seconds for `Retry-After`; undefined for an admitted call, and for one that can never pass. */
export function retryAfterSeconds(decision: Decision): number | undefined {
  if (decision.allowed || !Number.isFinite(decision.retryAfter)) return undefined
  return Math.max(1, seconds(decision.retryAfter))
}

/** A name per limit; where subjects of several kinds have limits, the kind goes in front. */
export function policyNames(decision: Decision): string[] {
  const kinds = new Set(decision.limits.map((one) => one.kind))
  return decision.limits.map((one) =>
    kinds.size > 1 && one.kind !== '' ? `${ascii(one.kind)} ${one.name}` : one.name,
  )
}

function policyItem(name: string, one: LimitState): string {
  // Windows are whole seconds there, at least one: a shorter one is left unsaid.
  const window = one.windowMs % 1_000 === 0 ? `;w=${one.windowMs / 1_000}` : ''
  return `${sfString(name)};q=${one.limit}${window}`
}

function stateItem(name: string, one: LimitState): string {
  const more = one.wait > 0 && Number.isFinite(one.wait) ? `;t=${seconds(one.wait)}` : ''
  return `${sfString(name)};r=${one.remaining}${more}`
}

const seconds = (ms: number): number => Math.ceil(ms / 1_000)
const ascii = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?')
const sfString = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`
