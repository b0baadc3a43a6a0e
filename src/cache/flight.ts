import type { Clock } from '../base/clock.ts'
import type { Holder } from './holder.ts'
import type { Entry } from './store.ts'

/** How a load ended, for those who wait. `idle`: nothing was loaded (another process does it). */
export type Landing =
  | { readonly kind: 'value'; readonly holder: Holder }
  | { readonly kind: 'raw'; readonly value: unknown }
  | { readonly kind: 'entry'; readonly entry: Entry; readonly round: number }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'idle' }

/** What became of the value. */
export type Verdict = 'stored' | 'refused' | 'bypassed' | 'unstored'

/**
 * One running load of one key. Sharing it is a hidden cache, so who may use its value is decided
 * by when he came: before the loader began, always; after, only if the fill was accepted, because
 * that proves that nothing was invalidated since; once the fill is sent, nobody may join.
 */
export class Flight {
  readonly name: string
  /** No caller waits for it: a refresh, or all went away in time. */
  background: boolean
  /** Callers before it have no stale value: later ones need not look again. */
  readonly hasStale: boolean
  /** The loader was called. */
  started = false
  /** It loads because the store could not be asked: for who joins it, that was no miss. */
  outage = false
  aborted = false
  waiting = 0
  /** Counts the questions to the store: an entry found by question n is news to who came before n. */
  round = 0
  readonly landing: Promise<Landing>
  readonly verdict: Promise<Verdict>
  #controller: AbortController | undefined
  #land!: (landing: Landing) => void
  #decide!: (verdict: Verdict) => void

  constructor(name: string, background: boolean, hasStale: boolean) {
    this.name = name
    this.background = background
    this.hasStale = hasStale
    this.landing = new Promise((resolve) => {
      this.#land = resolve
    })
    this.verdict = new Promise((resolve) => {
      this.#decide = resolve
    })
  }

  land(landing: Landing): void {
    this.#land(landing)
  }

  decide(verdict: Verdict): void {
    this.#decide(verdict)
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.aborted) this.#controller.abort()
    return this.#controller.signal
  }

  abort(reason?: unknown): void {
    this.aborted = true
    this.#controller?.abort(reason)
  }

  /** A caller gave up by his own signal. The load of nobody is told to stop. */
  forsake(reason: unknown): void {
    this.waiting--
    if (this.waiting === 0 && !this.background) this.abort(reason)
  }

  /** A caller was answered otherwise (stale, timeout): the load goes on for those who come. */
  leaveRunning(): void {
    this.waiting--
    this.background = true
  }
}

/** Resolves with what `promise` resolves with, or `'timeout'`; rejects when the signal aborts. */
export function within<T>(
  clock: Clock,
  promise: Promise<T>,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<T | 'timeout'> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve('timeout')
    })
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    promise.then(
      (value) => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
        reject(error)
      },
    )
  })
}
