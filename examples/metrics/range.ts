import { Problem } from '../tasks/problem.ts'

/** Days, both included, as `2026-11-20`. */
export interface Range {
  readonly since: string
  readonly until: string
}

const DAY_MS = 86_400_000
const LONGEST_DAYS = 90
/** First and last day, in days before today. */
const NAMED: Record<string, readonly [since: number, until: number]> = {
  today: [0, 0],
  yesterday: [1, 1],
  last_7d: [7, 1],
  last_30d: [30, 1],
}

/**
 * `last_7d` and its like, or `2026-11-01..2026-11-07`; days are those of UTC.
 * @throws Problem 400
 */
export function rangeOf(text: unknown, now: number): Range {
  const named = Object.hasOwn(NAMED, String(text)) ? NAMED[String(text)] : undefined
  if (named) return { since: dayOf(now - named[0] * DAY_MS), until: dayOf(now - named[1] * DAY_MS) }
  const [, since = '', until = ''] = /^(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$/.exec(String(text)) ?? []
  const days = (Date.parse(until) - Date.parse(since)) / DAY_MS + 1
  // 2026-02-30 is read as the 2nd of March.
  if (Number.isNaN(days) || dayOf(Date.parse(since)) !== since || dayOf(Date.parse(until)) !== until) {
    throw new Problem(
      400,
      `range is one of ${Object.keys(NAMED).join(', ')}, or two days: 2026-11-01..2026-11-07`,
    )
  }
  if (days < 1 || days > LONGEST_DAYS)
    throw new Problem(400, `range is 1 to ${LONGEST_DAYS} days, the first one first`)
  if (until > dayOf(now)) throw new Problem(400, 'range ends in the future')
  return { since, until }
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
