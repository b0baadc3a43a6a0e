import { type Clock, sleep } from '../base/clock.ts'
import type { BackendStats } from './backend.ts'
import { QueueFull } from './errors.ts'
import type { QueueSettings } from './settings.ts'

/** How old a look at the queue may be before an add asks for another, ms. */
const STALE = 250
/** Pause between looks while an add waits for room, ms. */
const PAUSE = 50

/**
 * The bounds on depth and age. Depth is what the last look saw plus what this process added since, so
 * other producers are noticed a quarter of a second late at most.
 */
export class Pressure {
  readonly #clock: Clock
  readonly #bounds: QueueSettings['pressure']
  readonly #look: () => Promise<BackendStats | undefined>
  #seen: { depth: number; oldestAt: number | undefined } = { depth: 0, oldestAt: undefined }
  #seenAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #since = 0

  constructor(
    clock: Clock,
    bounds: QueueSettings['pressure'],
    look: () => Promise<BackendStats | undefined>,
  ) {
    this.#clock = clock
    this.#bounds = bounds
    this.#look = look
  }

  /** `undefined`: there is room now. @throws QueueFull, from the promise where waiting is allowed */
  admit(messages: number): Promise<void> | undefined {
    if (this.#clock.mono() - this.#seenAt >= STALE) void this.#refresh()
    const full = this.#full(messages)
    if (!full) {
      this.#since += messages
      return undefined
    }
    if (this.#bounds.whenFull === 'refuse') throw full
    return this.#wait(messages)
  }

  async #wait(messages: number): Promise<void> {
    const until = this.#clock.mono() + this.#bounds.wait
    for (;;) {
      await sleep(this.#clock, PAUSE)
      await this.#refresh()
      const full = this.#full(messages)
      if (!full) {
        this.#since += messages
        return
      }
      if (this.#clock.mono() >= until) throw full
    }
  }

  #full(messages: number): QueueFull | undefined {
    const { depth, age } = this.#bounds
    if (this.#seen.depth + this.#since + messages > depth) {
      return new QueueFull('depth', `more than ${depth} messages would wait`)
    }
    const oldest = this.#seen.oldestAt
    if (oldest === undefined || this.#clock.wall() - oldest <= age) return undefined
    return new QueueFull('age', `the oldest message waits longer than ${age} ms`)
  }

  #refresh(): Promise<void> {
    this.#looking ??= this.#see().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #see(): Promise<void> {
    const added = this.#since
    // Where the queue cannot be looked at, the add itself will say so.
    const found = await this.#look().catch(() => undefined)
    this.#seenAt = this.#clock.mono()
    if (!found) return
    this.#seen = { depth: found.depth, oldestAt: found.oldestAt }
    // What was added while the look was under way may or may not be in it: counted twice rather than not.
    this.#since -= added
  }
}
