import { type Clock, systemClock, type Timer } from '../base/clock.ts'

interface Alarm {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that stands still until `advance` is called. Promises and socket input run as ever. */
export class FakeClock implements Clock {
  readonly #alarms = new Set<Alarm>()
  #now = 1_000
  #order = 0
  /** Added to the wall clock alone: steps of time that must not matter. */
  wallStep = 0

  wall(): number {
    return 1_750_000_000_000 + this.#now + this.wallStep
  }

  mono(): number {
    return this.#now
  }

  after(ms: number, fn: () => void): Timer {
    const alarm = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#alarms.add(alarm)
    return { cancel: () => this.#alarms.delete(alarm) }
  }

  endOfTick(fn: () => void): void {
    systemClock.endOfTick(fn)
  }

  afterInput(fn: () => void): void {
    systemClock.afterInput(fn)
  }

  /** Timers that are set and not yet due: a leak check for tests. */
  get pending(): number {
    return this.#alarms.size
  }

  /** Runs everything that is due within `ms`, in order, with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await turn()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = next.at
      this.#alarms.delete(next)
      next.fn()
      await turn()
    }
    this.#now = end
    await turn()
  }

  #next(end: number): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (alarm.at > end) continue
      if (!first || alarm.at < first.at || (alarm.at === first.at && alarm.order < first.order)) first = alarm
    }
    return first
  }
}

/** Lets all promises that can settle do so. */
const turn = (): Promise<void> => new Promise((resolve) => systemClock.afterInput(resolve))
