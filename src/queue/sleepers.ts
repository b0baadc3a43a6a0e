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

  /** Partitions for which somebody sleeps. */
  get asleep(): readonly number[] {
    return [...this.#asleep].flatMap(({ partitions }) => partitions)
  }

  /** Something was added: who does not sleep for it now will not when he next would. */
  wake(partitions: Iterable<number>): void {
    for (const partition of partitions) {
      if (!this.nudge(partition)) this.#missed.add(partition)
    }
  }

  /** Something is there. False when nobody slept for it. */
  nudge(partition: number): boolean {
    const sleepers = [...this.#asleep].filter((sleeper) => sleeper.partitions.includes(partition))
    for (const sleeper of sleepers) sleeper.wake()
    return sleepers.length > 0
  }

  wakeAll(): void {
    for (const sleeper of [...this.#asleep]) sleeper.wake()
  }

  close(): void {
    this.#isClosed = true
    this.wakeAll()
  }
}
