import type { Duration } from '../base/duration.ts'
import { MAX_DURATION_MS, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'

/**
 * How a limit counts.
 * `sliding`: never more than the limit in any window, at any offset. Frees up to 1/60 window late, of windows under a minute up to a second, under ten seconds up to a tenth.
 * `gcra`: a steady rate with a burst (leaky bucket), for throttling.
 * `fixed`: one counter per window, from the first hit or aligned to the calendar. Up to twice the limit across an edge.
 * `log`: each hit remembered: exact to the microsecond; for small limits (logins, one-time codes).
 */
export type Algorithm = 'sliding' | 'gcra' | 'fixed' | 'log'

/** One limit, spelt out. A string such as `'100/hour'` says the same in short. */
export interface LimitSpec {
  /** Units allowed per window; 0 refuses everything. Whole, at most 10^12 (`log`: 1,000). */
  readonly limit: number
  /** Length of the window; whole milliseconds, at least 1 ms. */
  readonly window: Duration
  /** @default the limiter's, else 'gcra' where `burst` is given, else 'sliding' */
  readonly algorithm?: Algorithm | undefined
  /** `gcra` only: units that may come at once. @default the limit */
  readonly burst?: number | undefined
  /**
   * `fixed` only. `first-hit`: the window begins with its first hit. `calendar`: windows begin at
   * multiples of their length in UTC (midnight, the full hour, Monday). @default 'first-hit'
   */
  readonly align?: 'first-hit' | 'calendar' | undefined
  /** Shifts calendar windows, e.g. '-7h' is written `offset: '17h'`. @default 0 */
  readonly offset?: Duration | undefined
  /** Shown in decisions and headers. @default such as '100/1h' */
  readonly name?: string | undefined
}

/** A limit with every default filled in. */
export interface Limit {
  readonly name: string
  readonly limit: number
  readonly windowMs: number
  readonly algorithm: Algorithm
  /** What may come at once: the burst of `gcra`, else the limit. */
  readonly capacity: number
  readonly align: 'first-hit' | 'calendar'
  readonly offsetMs: number
}

/** Largest limit and largest cost: sums and products stay exact in a double. */
export const MAX_UNITS = 1e12
/** `log` keeps an entry per hit. */
export const MAX_LOG_LIMIT = 1_000

const UNITS: Record<string, number> = {
  ms: 1,
  millisecond: 1,
  s: 1e3,
  sec: 1e3,
  second: 1e3,
  m: 6e4,
  min: 6e4,
  minute: 6e4,
  h: 36e5,
  hr: 36e5,
  hour: 36e5,
  d: 864e5,
  day: 864e5,
  w: 6048e5,
  week: 6048e5,
}
const PATTERN = /^(\d[\d_]*)\s*(?:\/|\bper\b)\s*(\d+(?:\.\d+)?)?\s*([a-z]+)(?:\s+burst\s+(\d[\d_]*))?$/
const MEND = "write for example '100/hour', '20/minute', '10/s burst 20' or '5 per 15m'"

/**
 * Reads one limit.
 * @param input a string or a spec
 * @param fallback the algorithm where the input names none
 * @throws InvalidOption when it is not understood or cannot be kept exactly
 */
export function parseLimit(input: string | LimitSpec, fallback: Algorithm = 'sliding'): Limit {
  const spec = typeof input === 'string' ? parseText(input) : input
  if (typeof spec !== 'object' || spec === null)
    throw new InvalidOption('a limit is neither text nor an object', MEND)
  const limit = units(spec.limit, 'limit', 0)
  const windowMs = wholeMs(spec.window)
  const algorithm = spec.algorithm ?? (spec.burst === undefined ? fallback : 'gcra')
  if (!['sliding', 'gcra', 'fixed', 'log'].includes(algorithm)) {
    throw new InvalidOption('the algorithm of a limit is unknown', "use 'sliding', 'gcra', 'fixed' or 'log'")
  }
  if (spec.burst !== undefined && algorithm !== 'gcra') {
    throw new InvalidOption(`a limit of kind '${algorithm}' has no burst`, "leave burst out, or use 'gcra'")
  }
  if (algorithm === 'log' && limit > MAX_LOG_LIMIT) {
    throw new InvalidOption(`a 'log' limit keeps every hit, and ${limit} is too many`, "use 'sliding'")
  }
  const capacity = limit === 0 || spec.burst === undefined ? limit : units(spec.burst, 'burst', 1)
  const align = spec.align ?? 'first-hit'
  if (align !== 'first-hit' && (align !== 'calendar' || algorithm !== 'fixed')) {
    throw new InvalidOption('align does not suit this limit', "'calendar' needs the algorithm 'fixed'")
  }
  // Day 0 was a Thursday; whole weeks begin on Monday.
  const monday = windowMs % UNITS.week! === 0 ? 4 * UNITS.day! : 0
  const offsetMs = align === 'calendar' ? (toMs(spec.offset ?? 0, 'offset') + monday) % windowMs : 0
  const name = spec.name ?? nameOf(limit, windowMs, capacity)
  return { name: checkName(name), limit, windowMs, algorithm, capacity, align, offsetMs }
}

function parseText(text: string): LimitSpec {
  const match = PATTERN.exec(text.trim().toLowerCase())
  const unit = match && (UNITS[match[3]!] ?? UNITS[match[3]!.replace(/s$/, '')])
  if (!match || !unit) {
    throw new InvalidOption(`'${text.slice(0, 40)}' is not a limit`, MEND)
  }
  const number = (digits: string) => Number(digits.replaceAll('_', ''))
  const burst = match[4] === undefined ? {} : { burst: number(match[4]) }
  return { limit: number(match[1]!), window: Number(match[2] ?? 1) * unit, ...burst }
}

/**
 * A whole number of units.
 * @throws InvalidOption when it is not a whole number from `least` to 10^12
 */
export function units(value: number, what: string, least: number): number {
  if (Number.isInteger(value) && value >= least && value <= MAX_UNITS) return value
  throw new InvalidOption(
    `${what} is ${typeof value === 'number' ? value : `a ${typeof value}`}`,
    `give a whole number from ${least} to 10^12`,
  )
}

function wholeMs(window: Duration): number {
  const ms = toMs(window, 'window')
  // '1.1s' is 1100.0000000000002 in floating point, and means 1100.
  const whole = Math.round(ms)
  if (whole >= 1 && whole <= MAX_DURATION_MS && Math.abs(ms - whole) < 1e-6) return whole
  throw new InvalidOption(`the window of a limit is ${ms} ms`, 'give whole milliseconds, at least 1')
}

function nameOf(limit: number, windowMs: number, capacity: number): string {
  const [unit, length] = (
    [
      ['d', 864e5],
      ['h', 36e5],
      ['m', 6e4],
      ['s', 1e3],
      ['ms', 1],
    ] as const
  ).find(([, length]) => windowMs % length === 0)!
  return `${limit}/${windowMs / length}${unit}${capacity === limit ? '' : ` burst ${capacity}`}`
}

/** Names travel in header fields as Structured Field strings: printable ASCII only. */
function checkName(name: string): string {
  if (typeof name === 'string' && /^[\x20-\x7e]{1,64}$/.test(name)) return name
  throw new InvalidOption('the name of a limit is unusable', 'use 1 to 64 printable ASCII characters')
}
