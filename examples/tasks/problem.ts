import { STATUS_CODES } from 'node:http'

/** Thrown anywhere in a handler or a loader; `app.onError` turns it into an RFC 9457 answer. */
export class Problem extends Error {
  readonly status: number

  constructor(status: number, detail: string) {
    super(detail)
    this.status = status
  }

  response(): Response {
    const { status } = this
    return Response.json(
      { type: 'about:blank', title: STATUS_CODES[status], status, detail: this.message },
      { status, headers: { 'content-type': 'application/problem+json' } },
    )
  }
}
