/** `GET /api/v1/doctor`. */
export interface DoctorAnswer {
  /** Percent of the checks that could be made and passed; a warning counts half. */
  readonly score: number
  readonly findings: readonly DoctorFinding[]
}

/** One check of the doctor: what it found, why, and how to mend it. */
export interface DoctorFinding {
  /** `D1` to `D29`. */
  readonly id: string
  readonly title: string
  readonly status: 'pass' | 'warn' | 'fail' | 'skip'
  readonly detail: string
  readonly cause?: string | undefined
  readonly mend?: string | undefined
}
