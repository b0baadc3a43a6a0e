/**
 * Time and timers as a port, so that the deterministic simulator can run the shipped client
 * code on a virtual clock. Nothing in `src/` reads `Date`, `performance` or a timer directly.
 */
export interface Timer {
  /** It will not fire. Twice is once. */
  cancel(): void
}

/** The source of time of an instance: wall clock, monotonic clock, timers. Everything in `src/` asks it. */
export interface Clock {
  /** Wall clock, ms since 1970. May step; used only as a second opinion beside `mono()`. */
  wall(): number
  /** Monotonic clock in ms (fractional); the base of every deadline and trust interval. */
  mono(): number
  /**
   * Runs `fn` after `ms`. Background work must not keep a process alive, so a timer does not,
   * unless it `holds` it: then somebody awaits a promise that only this timer may settle.
   */
  after(ms: number, fn: () => void, holds?: boolean): Timer
  /** Runs `fn` once the current run of microtasks has drained: the end of "this tick". */
  endOfTick(fn: () => void): void
  /** Runs `fn` after pending socket input had a chance to be read (late-timer second look). */
  afterInput(fn: () => void): void
}

/** The clock of this machine. */
export const systemClock: Clock = {
  wall: () => Date.now(),
  mono: () => performance.now(),
  after(ms, fn, holds = false) {
    const handle = setTimeout(fn, ms)
    if (!holds) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
  endOfTick: (fn) => process.nextTick(fn),
  afterInput: (fn) => setImmediate(fn),
}

/** Resolves after `ms` on the given clock; rejects with the signal's reason when aborted first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const settle = (): void => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }
    const timer = clock.after(ms, settle, true)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
