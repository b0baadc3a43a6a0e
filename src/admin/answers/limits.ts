/** One limiter of `GET /api/v1/limits`. Counts of the last hour, over all processes where Redis is used. */
export interface LimiterAnswer {
  readonly name: string
  readonly kind: 'limiter' | 'outbound' | 'concurrency'
  readonly algorithm: string
  /** `20/1m`, or `user: 20/1m`. */
  readonly limits: readonly string[]
  readonly allowed: number
  readonly denied: number
  /** Decided by the outage policy, in this process. */
  readonly degraded: number
  /** Admitted in shadow mode that would have been refused. */
  readonly shadow: number
  readonly enabled: boolean
  readonly topDenied: readonly DeniedSubject[]
  /** False: Redis did not say, counts are those of this process. */
  readonly shared: boolean
}

/** Somebody whom a limiter refused often. */
export interface DeniedSubject {
  /** `user:42`, as the routes below take it. */
  readonly subject: string
  /** Approximately, in the last hour. */
  readonly denied: number
  /** ISO 8601, of this process's own refusals. */
  readonly lastAt?: string | undefined
}

/** `GET /api/v1/limits/{name}/{subject}`. Takes nothing from the limit. */
export interface LimitSubject {
  readonly name: string
  readonly subject: string
  /** A block by hand. */
  readonly blocked: boolean
  readonly limits: readonly {
    /** `20/1m`. */
    readonly limit: string
    readonly most: number
    readonly remaining: number
    /** Seconds until it is as good as new. */
    readonly resetAfter: number
  }[]
}

/** `DELETE /api/v1/limits/{name}/{subject}`. */
export interface LimitReset {
  readonly name: string
  readonly subject: string
  readonly reset: true
}
