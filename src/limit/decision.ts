import type { Limit } from './spec.ts'
import type { Outcome, Part } from './store.ts'

/** The answer to `consume` and `peek`. Times are milliseconds, rounded up. */
export interface Decision {
  readonly allowed: boolean
  /** Of the limit that binds: the one that refused, else the one with the smallest share left. */
  readonly limit: number
  /** Units left of the binding limit after this call. */
  readonly remaining: number
  /** When the same call could be admitted; 0 if it was. `Infinity`: never, it costs more than a limit allows at once. */
  readonly retryAfter: number
  /** When the binding limit is as good as new. */
  readonly resetAfter: number
  /** Every limit of every subject, in the order they were given. */
  readonly limits: readonly LimitState[]
  /** Index of the binding limit in `limits`. */
  readonly binding: number
  /** How it was decided while Redis could not be asked; `false` = Redis (or the one process) decided. */
  readonly degraded: false | 'allow' | 'deny' | 'local'
  /** False where subjects in different slots were decided one by one (Redis Cluster). */
  readonly atomic: boolean
  /** A subject is blocked (`block()`), whatever its counters say. */
  readonly blocked: boolean
  /** In shadow mode (`enforce: false`): admitted, and would have been refused. */
  readonly wouldDeny: boolean
  /** Refused from this process's memory of an earlier refusal, without asking Redis. */
  readonly cached: boolean
  /** Server time of the decision in µs; `refund(subject, { of: decision })` uses it. */
  readonly at: number
  readonly cost: number
}

/** One limit of a decision. */
export interface LimitState {
  /** As in the options, e.g. '100/1h'. */
  readonly name: string
  /** Kind of the subject it counts for; '' where the subject was given as plain text. */
  readonly kind: string
  readonly limit: number
  readonly windowMs: number
  readonly remaining: number
  readonly refused: boolean
  /** ms until the refused call could pass, or until a unit comes back; 0 if none is missing. */
  readonly wait: number
  readonly resetAfter: number
}

export interface Circumstances {
  readonly cost: number
  readonly degraded: Decision['degraded']
  readonly enforce: boolean
}

export function decisionOf(
  parts: readonly Part[],
  kinds: readonly string[],
  outcome: Outcome,
  { cost, degraded, enforce }: Circumstances,
): Decision {
  const limits: LimitState[] = []
  for (let index = 0; index < parts.length; index++) {
    for (const limit of parts[index]!.policy.limits) {
      const reading = outcome.states[limits.length]!
      limits.push({
        name: limit.name,
        kind: kinds[index]!,
        limit: limit.limit,
        windowMs: limit.windowMs,
        remaining: reading.remaining,
        refused: reading.refused,
        wait: toMs(reading.wait),
        resetAfter: toMs(reading.reset),
      })
    }
  }
  const binding = bindingOf(limits)
  const bound = limits[binding]!
  const retryAfter = outcome.allowed ? 0 : longestWait(limits)
  return {
    allowed: outcome.allowed || !enforce,
    limit: bound.limit,
    remaining: bound.remaining,
    retryAfter,
    resetAfter: bound.resetAfter,
    limits,
    binding,
    degraded,
    atomic: outcome.atomic,
    blocked: outcome.blocked,
    wouldDeny: !outcome.allowed && !enforce,
    cached: false,
    at: outcome.at,
    cost,
  }
}

/** A decision that no counter made: limits are off, or the outage policy is `allow` or `deny`. */
export function unasked(
  parts: readonly Part[],
  kinds: readonly string[],
  allowed: boolean,
  circumstances: Circumstances,
): Decision {
  const states = parts.flatMap((part) =>
    part.policy.limits.map((limit: Limit) => ({
      remaining: allowed ? limit.capacity : 0,
      refused: !allowed,
      wait: allowed ? 0 : RETRY_UNKNOWN_US,
      reset: 0,
    })),
  )
  const outcome: Outcome = { allowed, blocked: false, atomic: true, at: 0, states }
  return decisionOf(parts, kinds, outcome, circumstances)
}

/** What a caller is told who is refused because nobody knows: try again in a second. */
const RETRY_UNKNOWN_US = 1_000_000

function toMs(us: number): number {
  return us <= 0 ? 0 : Math.ceil(us / 1_000)
}

function bindingOf(limits: readonly LimitState[]): number {
  let best = 0
  for (let index = 1; index < limits.length; index++) {
    if (tighter(limits[index]!, limits[best]!)) best = index
  }
  return best
}

function tighter(one: LimitState, other: LimitState): boolean {
  if (one.refused !== other.refused) return one.refused
  if (one.refused) return one.wait > other.wait
  return one.remaining / Math.max(1, one.limit) < other.remaining / Math.max(1, other.limit)
}

function longestWait(limits: readonly LimitState[]): number {
  let longest = 0
  for (const one of limits) if (one.refused && one.wait > longest) longest = one.wait
  return longest
}
