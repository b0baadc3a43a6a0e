import type { Clock } from './clock.ts'

/**
 * Collects what is asked for within one tick and sends it together: calls that start in the same
 * run of microtasks share one command. A request only ever joins a batch that is not yet sent, so
 * an answer is never older than its question.
 */
export class TickBatch<Request, Answer> {
  readonly #clock: Clock
  readonly #limit: number
  readonly #send: (requests: readonly Request[]) => Promise<readonly Answer[]>
  #requests: Request[] = []
  #waiters: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = []

  /** `send` must answer with one item per request, in order; its rejection rejects them all. */
  constructor(
    clock: Clock,
    limit: number,
    send: (requests: readonly Request[]) => Promise<readonly Answer[]>,
  ) {
    this.#clock = clock
    this.#limit = limit
    this.#send = send
  }

  add(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#requests.push(request)
      this.#waiters.push({ resolve, reject })
      if (this.#requests.length === 1) this.#clock.endOfTick(this.#flush)
      else if (this.#requests.length >= this.#limit) this.#flush()
    })
  }

  readonly #flush = (): void => {
    const requests = this.#requests
    if (requests.length === 0) return
    const waiters = this.#waiters
    this.#requests = []
    this.#waiters = []
    this.#send(requests).then(
      (answers) => {
        for (let i = 0; i < waiters.length; i++) waiters[i]!.resolve(answers[i]!)
      },
      (error: unknown) => {
        for (const waiter of waiters) waiter.reject(error)
      },
    )
  }
}
