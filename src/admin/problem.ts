import { type Problem, problemReply } from '../http/reply.ts'

/** An answer that ends a request, thrown from wherever it is known. */
export class Refused extends Error {
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.problem = { status, detail }
    this.headers = headers
  }

  response(): Response {
    const { status, headers, body } = problemReply(this.problem)
    const all = new Headers(this.headers)
    for (let i = 0; i < headers.length; i += 2) all.set(headers[i]!, headers[i + 1]!)
    return new Response(body && Buffer.from(body), { status, headers: all })
  }
}
