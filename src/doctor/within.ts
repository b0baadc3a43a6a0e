import type { Clock } from '../base/clock.ts'

/** What `work` gives, or `late` after `ms`; leaves no timer behind. */
export function within<T, Late>(clock: Clock, ms: number, work: Promise<T>, late: Late): Promise<T | Late> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => resolve(late), true)
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
