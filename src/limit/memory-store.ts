import type { Clock } from '../base/clock.ts'
import type { Mode, Reading, Section } from './arithmetic.ts'
import { read } from './arithmetic.ts'
import type { LimitReading, LimitStore, Operation, Outcome, Part } from './store.ts'

interface State {
  sections: Map<string, Section>
  /** µs */
  blockedUntil: number
  /** µs */
  expiresAt: number
}

/** Expired subjects looked at per decision, so that memory follows the number of living ones. */
const SWEEP = 4

/** Counters in process memory: one process, exact, and gone with it. */
export class MemoryLimitStore implements LimitStore {
  readonly shared = false
  readonly #clock: Clock
  readonly #origin: number
  readonly #states = new Map<string, State>()
  #broom: IterableIterator<[string, State]> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    // Wall time that never steps: calendar windows need the date, the others an even flow.
    this.#origin = clock.wall() - clock.mono()
  }

  /** Subjects held at the moment. */
  get size(): number {
    return this.#states.size
  }

  clear(): void {
    this.#states.clear()
    this.#broom = undefined
  }

  apply(operation: Operation): Promise<Outcome> {
    return Promise.resolve(this.applyNow(operation))
  }

  applyNow(operation: Operation): Outcome {
    const now = Math.floor((this.#origin + this.#clock.mono()) * 1_000)
    const { verb, parts, cost, at } = operation
    this.#sweep(now)
    if (verb === 'reset') for (const part of parts) this.#states.delete(part.key)
    if (verb === 'block') for (const part of parts) this.#block(part.key, now, cost, at)
    const admin = verb === 'reset' || verb === 'block'
    const mode: Mode = verb === 'reset' || verb === 'block' ? 'peek' : verb
    const looked = parts.map((part) => this.#look(part, mode, admin ? 1 : cost, at, now))
    const asks = mode === 'consume' || mode === 'peek'
    const blocked = asks && looked.some((one) => one.blockedFor > 0)
    const allowed = !blocked && looked.every((one) => one.readings.every((reading) => reading.admitted))
    if (allowed && mode !== 'peek') {
      for (const [index, one] of looked.entries()) this.#keep(parts[index]!, one.readings, now)
    }
    const states = looked.flatMap((one, index) => {
      const shown =
        allowed || mode === 'peek' ? one.readings : this.#asIs(parts[index]!, one.readings, cost, now)
      return shown.map((reading) => shownAs(reading, asks ? one.blockedFor : 0))
    })
    return { allowed, blocked, atomic: true, at: now, states }
  }

  #look(part: Part, mode: Mode, cost: number, at: number, now: number) {
    const state = this.#living(part.key, now)
    const readings = part.policy.limits.map((limit, index) =>
      read(limit, state?.sections.get(part.policy.sections[index]!), mode, cost, at, now),
    )
    return { readings, blockedFor: Math.max(0, (state?.blockedUntil ?? 0) - now) }
  }

  /** In a refused decision, the limits that would have admitted it are shown as they stand. */
  #asIs(part: Part, readings: readonly Reading[], cost: number, now: number): Reading[] {
    const peeked = this.#look(part, 'peek', cost, 0, now).readings
    return readings.map((reading, index) => (reading.admitted ? peeked[index]! : reading))
  }

  #keep(part: Part, readings: readonly Reading[], now: number): void {
    const known = this.#living(part.key, now)
    const state = known ?? { sections: new Map(), blockedUntil: 0, expiresAt: 0 }
    const others = known
      ? [...known.sections.keys()].some((name) => !part.policy.sections.includes(name))
      : false
    let end = Math.max(state.blockedUntil, others ? state.expiresAt : 0)
    readings.forEach((reading, index) => {
      const name = part.policy.sections[index]!
      if (!reading.section) state.sections.delete(name)
      else state.sections.set(name, reading.section)
      end = Math.max(end, now + reading.life)
    })
    state.expiresAt = end
    if (end > now) this.#states.set(part.key, state)
    else this.#states.delete(part.key)
  }

  #block(key: string, now: number, ms: number, extend: number): void {
    const state = this.#living(key, now) ?? { sections: new Map(), blockedUntil: 0, expiresAt: 0 }
    const least = extend > 0 ? state.blockedUntil : 0
    state.blockedUntil = ms > 0 ? Math.max(least, now + ms * 1_000) : 0
    state.expiresAt = Math.max(state.expiresAt, state.blockedUntil)
    if (state.expiresAt > now) this.#states.set(key, state)
  }

  #living(key: string, now: number): State | undefined {
    const state = this.#states.get(key)
    if (state && state.expiresAt > now) return state
    if (state) this.#states.delete(key)
    return undefined
  }

  #sweep(now: number): void {
    for (let looked = 0; looked < SWEEP && this.#states.size > 0; looked++) {
      this.#broom ??= this.#states.entries()
      const next = this.#broom.next()
      if (next.done) {
        this.#broom = undefined
        return
      }
      if (next.value[1].expiresAt <= now) this.#states.delete(next.value[0])
    }
  }
}

function shownAs(reading: Reading, blockedFor: number): LimitReading {
  const refused = !reading.admitted || blockedFor > 0
  const own = reading.admitted ? 0 : reading.wait
  return {
    remaining: reading.remaining,
    refused,
    wait: blockedFor > 0 ? Math.max(own, blockedFor) : reading.wait,
    reset: Math.max(reading.reset, blockedFor),
  }
}
