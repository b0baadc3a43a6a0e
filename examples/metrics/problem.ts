/** Thrown anywhere below a request; `app.ts` answers it as problem details (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  /** Seconds, for `Retry-After`. */
  readonly retryAfter: number | undefined

  constructor(status: number, detail: string, retryAfter?: number) {
    super(detail)
    this.status = status
    this.retryAfter = retryAfter
  }
}
