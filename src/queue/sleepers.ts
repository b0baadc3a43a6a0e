import type { Clock } from '../base/clock.ts'

/** Workers that sleep until something was added to a partition of theirs. */
export class Sleepers {
  readonly #clock: Clock
  readonly #asleep = new Set<{ readonly partitions: readonly number[]; wake(): void }>()
  /** Told of while nobody slept for them: the next who would sleep does not. */
  readonly #missed = new Set<number>()
  #isClosed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wait(partitions: readonly number[], ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#isClosed) return Promise.resolve()
    const missed = partitions.filter((partition) => this.#missed.delete(partition))
    if (missed.length > 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', wake)
        this.#asleep.delete(sleeper)
        resolve()
      }
      const sleeper = { partitions, wake }
      const timer = this.#clock.after(ms, wake)
      signal.addEventListener('abort', wake, { once: true })
      this.#asleep.add(sleeper)
    })
  }

  wake(partitions: Iterable<number>): void {
    for (const partition of partitions) {
      const sleepers = [...this.#asleep].filter((sleeper) => sleeper.partitions.includes(partition))
      if (sleepers.length === 0) this.#missed.add(partition)
      for (const sleeper of sleepers) sleeper.wake()
    }
  }

  wakeAll(): void {
    for (const sleeper of [...this.#asleep]) sleeper.wake()
  }

  close(): void {
    this.#isClosed = true
    this.wakeAll()
  }
}
