/** `GET /api/v1/once`. */
export interface OnceAnswer {
  readonly records: readonly OnceRecordAnswer[]
  readonly cursor?: string | undefined
  readonly truncated: boolean
}

/** What is remembered under one key of run-once. */
export interface OnceRecordAnswer {
  readonly key: string
  /** `indeterminate`: it began, its lease ended, and it never said how: resolve it. */
  readonly state: 'running' | 'done' | 'failed' | 'retryable' | 'indeterminate'
  /** ISO 8601. */
  readonly startedAt: string
  readonly attempts: number
  /** The last step that ended. */
  readonly step?: string | undefined
  readonly steps: number
  /** Digest of the run's secret, while it runs. */
  readonly holder?: string | undefined
}

/** Body of `POST /api/v1/once/{key}/resolve`. `result` with `done`, `error` with `failed`. */
export interface OnceVerdict {
  readonly as: 'done' | 'failed' | 'retry'
  readonly result?: unknown
  readonly error?: string | undefined
  /** Overrides a run that is alive. */
  readonly force?: boolean | undefined
}

/** How an operator settled a key. */
export interface OnceResolved {
  readonly key: string
  readonly as: 'done' | 'failed' | 'retry'
}
