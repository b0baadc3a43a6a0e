import { RedisUnavailable } from '../base/errors.ts'
import { firstReason } from './dial-error.ts'

/** The one-way life of a link: alive, then either lost (told once) or destroyed by us (silent). */
export class Lifeline {
  readonly address: string
  /** The first complaint of the client: what follows it is only its echo. */
  cause: unknown
  #down: Error | undefined
  #ended = false
  #release: () => void
  #listeners: ((cause: Error) => void)[] = []

  /** @param release closes the socket; called once, may throw */
  constructor(address: string, release: () => void) {
    this.address = address
    this.#release = release
  }

  /** Why nothing can be sent, for the caller of a command that failed. */
  explain(error: unknown): Error {
    return (
      this.#down ?? new RedisUnavailable(`the connection to ${this.address} is gone: ${firstReason(error)}`)
    )
  }

  onDown(listener: (cause: Error) => void): void {
    if (this.#down) listener(this.#down)
    else this.#listeners.push(listener)
  }

  lose(error: unknown): void {
    this.cause ??= error
    if (this.#ended) return
    this.#down = new RedisUnavailable(`lost the connection to ${this.address}: ${firstReason(error)}`)
    const listeners = this.#listeners
    this.end()
    for (const listener of listeners) listener(this.#down)
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#listeners = []
    try {
      this.#release()
    } catch {
      // The client says that it was closed already.
    }
  }
}
