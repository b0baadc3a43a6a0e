import { InvalidOption } from '../base/errors.ts'
import type { Algorithm, Limit, LimitSpec } from './spec.ts'
import { parseLimit } from './spec.ts'

/** One limit or several, all of which must admit a call. */
export type LimitList = string | LimitSpec | readonly (string | LimitSpec)[]
/** The same for every subject, or by kind of subject: `{ user: '20/minute', ip: '100/minute' }`. */
export type Limits = LimitList | { readonly [kind: string]: LimitList }

/** The limits of one subject, ready for a store. */
export interface Policy {
  readonly limits: readonly Limit[]
  /** Which state each limit keeps, in order: `s60000,g1000`. Counts are not part of it (plans may change). */
  readonly layout: string
  /** `[layout, kind, limit, window µs, capacity or sub-window µs, offset µs, kind, …]` as JSON. */
  readonly wire: string
  readonly sections: readonly string[]
}

const MAX_LIMITS = 16

/**
 * Sub-windows of `sliding` in µs: seconds where that makes 10 to 60 of them. More would free units
 * sooner, at the price of a longer state. `log` is the same thing with sub-windows of one microsecond.
 */
export function subWindow(limit: Limit): number {
  if (limit.algorithm === 'log') return 1
  const count = Math.min(60, Math.max(10, Math.floor(limit.windowMs / 1_000)))
  return Math.ceil((limit.windowMs * 1_000) / count)
}

/**
 * Compiles limits for one subject.
 * @throws InvalidOption for unknown text, for none or more than 16 limits, for two that would share one counter
 */
export function compile(input: LimitList, fallback: Algorithm = 'sliding'): Policy {
  const list: readonly (string | LimitSpec)[] = isList(input) ? input : [input]
  if (list.length === 0 || list.length > MAX_LIMITS) {
    throw new InvalidOption(`${list.length} limits were given`, `give 1 to ${MAX_LIMITS}`)
  }
  return policyOf(list.map((one) => parseLimit(one, fallback)))
}

export function policyOf(limits: readonly Limit[]): Policy {
  const sections = limits.map(sectionOf)
  const twin = sections.find((section, index) => sections.indexOf(section) !== index)
  if (twin !== undefined) {
    throw new InvalidOption('two limits count the same way over the same window', 'keep the stricter one')
  }
  const wire: (string | number)[] = [sections.join(',')]
  for (const limit of limits) {
    const fourth = limit.algorithm === 'gcra' ? limit.capacity : subWindow(limit)
    wire.push(KINDS[limit.algorithm], limit.limit, limit.windowMs * 1_000, fourth)
    wire.push(limit.align === 'calendar' ? limit.offsetMs * 1_000 : -1)
  }
  return { limits, layout: sections.join(','), wire: JSON.stringify(wire), sections }
}

/** Numbers for the script: 1 = window of entries (`sliding`, `log`), 2 = gcra, 3 = fixed. */
const KINDS: Record<Algorithm, number> = { sliding: 1, log: 1, gcra: 2, fixed: 3 }
const LETTERS: Record<Algorithm, string> = { sliding: 's', log: 'l', gcra: 'g', fixed: 'f' }

function sectionOf(limit: Limit): string {
  const calendar = limit.align === 'calendar' ? `c${limit.offsetMs}` : ''
  return `${LETTERS[limit.algorithm]}${limit.windowMs}${calendar}`
}

/** The same limits for one of `instances` processes that cannot see each other: rounded down, at least 1. */
export function share(policy: Policy, instances: number): Policy {
  if (instances <= 1) return policy
  const part = (count: number) => (count === 0 ? 0 : Math.max(1, Math.floor(count / instances)))
  return policyOf(
    policy.limits.map((limit) => ({ ...limit, limit: part(limit.limit), capacity: part(limit.capacity) })),
  )
}

/**
 * Compiles limits as they come, for every kind of subject that they name.
 * @throws InvalidOption as `compile`, and where none are given
 */
export function compileAll(limits: Limits, fallback?: Algorithm): Policy | ReadonlyMap<string, Policy> {
  if (!byKind(limits)) return compile(limits as LimitList, fallback)
  const policies = new Map(Object.entries(limits).map(([kind, list]) => [kind, compile(list, fallback)]))
  if (policies.size === 0) throw new InvalidOption('no limits were given', "give for example '100/hour'")
  return policies
}

export function isList(input: Limits): input is readonly (string | LimitSpec)[] {
  return Array.isArray(input)
}

/** Whether limits are given by kind of subject. */
export function byKind(input: Limits): input is { readonly [kind: string]: LimitList } {
  return typeof input === 'object' && input !== null && !isList(input) && typeof input.limit !== 'number'
}
