export type Status = 'pass' | 'warn' | 'fail' | 'skip'

/** What one check found. */
export interface Finding {
  /** `D1` to `D29`; `docs/36.doctor.md` has a paragraph on each. */
  readonly id: string
  readonly title: string
  /** `skip`: it could not be made, or there is nothing to check; `detail` says why. */
  readonly status: Status
  /** What was seen, with figures. Never a password, a value or a full key. */
  readonly detail: string
  /** Why, where something is wrong. */
  readonly cause?: string | undefined
  /** What to do about it. */
  readonly mend?: string | undefined
}

export interface Report {
  /** Percent of the checks that could be made and passed; a warning counts half. */
  readonly score: number
  readonly findings: readonly Finding[]
  /** False when Redis cannot be used as it stands: not reached, login refused, or writes refused. */
  readonly usable: boolean
}

/** A finding before it has its number. */
export type Verdict = Omit<Finding, 'id' | 'title'>

export const pass = (detail: string): Verdict => ({ status: 'pass', detail })
export const skip = (detail: string): Verdict => ({ status: 'skip', detail })
export const warn = (detail: string, cause: string, mend: string): Verdict => ({
  status: 'warn',
  detail,
  cause,
  mend,
})
export const fail = (detail: string, cause: string, mend: string): Verdict => ({
  status: 'fail',
  detail,
  cause,
  mend,
})

const RANK: readonly Status[] = ['skip', 'pass', 'warn', 'fail']

/** Of several verdicts on one question the worst; the details of all that are as bad. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  const rank = (verdict: Verdict): number => RANK.indexOf(verdict.status)
  const most = Math.max(...verdicts.map(rank))
  const [first, ...more] = verdicts.filter((verdict) => rank(verdict) === most)
  if (first === undefined) return skip('nothing to look at')
  const details = [...new Set([first, ...more].map(({ detail }) => detail))]
  return { ...first, detail: details.join('; ') }
}

/** @param blind nothing could be looked at: what was skipped is not as good as passed */
export function scoreOf(findings: readonly Finding[], blind: boolean): number {
  const made = blind ? findings : findings.filter(({ status }) => status !== 'skip')
  const points = { pass: 1, warn: 0.5, fail: 0, skip: 0 }
  const sum = made.reduce((total, { status }) => total + points[status], 0)
  return made.length === 0 ? 0 : Math.round((sum / made.length) * 100)
}
