import { STATUS_CODES } from 'node:http'

/** Thrown anywhere in a handler or a loader; `app.onError` turns it into an RFC 9457 answer. */
export class Problem extends Error {
  readonly status: number
  /** Seconds, for `Retry-After`. */
  readonly retryAfter: number | undefined

  constructor(status: number, detail: string, retryAfter?: number) {
    super(detail)
    this.status = status
    this.retryAfter = retryAfter
  }

  get details(): object {
    const { status, message: detail } = this
    return { type: 'about:blank', title: STATUS_CODES[status], status, detail }
  }

  response(): Response {
    const headers = { 'content-type': 'application/problem+json' }
    return Response.json(this.details, { status: this.status, headers })
  }
}
