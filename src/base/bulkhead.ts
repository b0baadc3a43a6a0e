/** Limits how many pieces of work run at once, and how many may queue for a place. */
export class Bulkhead {
  readonly limit: number
  readonly maxQueue: number
  #running = 0
  #queue: (() => void)[] = []

  constructor(limit: number, maxQueue = 0) {
    this.limit = limit
    this.maxQueue = maxQueue
  }

  get running(): number {
    return this.#running
  }

  get queued(): number {
    return this.#queue.length
  }

  /** Takes a place if one is free now; give it back with `leave`. */
  tryEnter(): boolean {
    if (this.#running >= this.limit) return false
    this.#running++
    return true
  }

  /** Resolves true with a place, in order of arrival; false at once when the queue is full. */
  enter(): Promise<boolean> {
    if (this.tryEnter()) return Promise.resolve(true)
    if (this.#queue.length >= this.maxQueue) return Promise.resolve(false)
    return new Promise((resolve) => this.#queue.push(() => resolve(true)))
  }

  leave(): void {
    // The place passes straight to the next in line, so `running` does not change for it.
    const next = this.#queue.shift()
    if (next) next()
    else this.#running--
  }
}
