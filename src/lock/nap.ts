import type { Clock } from '../base/clock.ts'

const LONG_MS = 60_000

/** A sleep that can be ended early, also just before it begins. */
export class Nap {
  #clock: Clock
  #signal: AbortSignal | undefined
  #wake: (() => void) | undefined
  #ended = false

  constructor(clock: Clock, signal: AbortSignal | undefined) {
    this.#clock = clock
    this.#signal = signal
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  rearm(): void {
    this.#ended = false
  }

  /** Sleeps until this settles; it must not reject, and must come by itself. Rejects as `sleep`. */
  async until(settled: Promise<void>): Promise<void> {
    this.rearm()
    void settled.then(() => this.end())
    await this.sleep(LONG_MS)
    this.rearm()
  }

  /** Rejects with the signal's reason. */
  sleep(ms: number): Promise<void> {
    const signal = this.#signal
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#ended || ms <= 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const done = () => {
        timer.cancel()
        this.#wake = undefined
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        done()
        reject(signal?.reason)
      }
      this.#wake = () => {
        done()
        resolve()
      }
      const timer = this.#clock.after(ms, () => this.#wake?.())
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}
