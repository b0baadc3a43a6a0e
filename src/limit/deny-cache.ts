import type { Clock } from '../base/clock.ts'
import type { Decision } from './decision.ts'

interface Refusal {
  readonly cost: number
  /** Monotonic ms until which a call of this cost cannot pass. */
  readonly until: number
  readonly since: number
  readonly layout: string
  readonly decision: Decision
  /** Keys of all subjects of the refused call. */
  readonly keys: readonly string[]
}

/**
 * Remembers refusals, so that a flood is turned away without a round trip. It knows the cost: after
 * cost 5 was refused with 2 left, cost 1 is still asked. Whatever may give units back (refund,
 * reset, lifted block, lost connection to the messages that tell of them) empties it.
 */
export class DenyCache {
  readonly #clock: Clock
  readonly #size: number
  /** Oldest first. */
  readonly #refusals = new Map<string, Refusal>()
  readonly #byKey = new Map<string, Set<string>>()

  constructor(clock: Clock, size: number) {
    this.#clock = clock
    this.#size = size
  }

  get size(): number {
    return this.#refusals.size
  }

  /** `id` names the combination of subjects, `layout` the limits asked for. */
  find(id: string, layout: string, cost: number): Decision | undefined {
    const refusal = this.#refusals.get(id)
    if (!refusal || refusal.layout !== layout || cost < refusal.cost) return undefined
    const now = this.#clock.mono()
    if (now >= refusal.until) {
      this.#drop(id)
      return undefined
    }
    const passed = Math.floor(now - refusal.since)
    const less = (ms: number) => Math.max(0, ms - passed)
    const { decision } = refusal
    return {
      ...decision,
      retryAfter: less(decision.retryAfter),
      resetAfter: less(decision.resetAfter),
      limits: decision.limits.map((one) => ({
        ...one,
        wait: less(one.wait),
        resetAfter: less(one.resetAfter),
      })),
      cached: true,
      cost,
    }
  }

  /** `since`: monotonic ms when the question left, which is never later than the server's answer. */
  remember(id: string, layout: string, keys: readonly string[], decision: Decision, since: number): void {
    // "Never" holds for this cost and these limits; but plans change, so ask again after a while.
    const life = Math.min(decision.retryAfter, 60_000)
    if (life < 1) return
    const { cost } = decision
    this.#drop(id)
    if (this.#refusals.size >= this.#size) this.#drop(this.#refusals.keys().next().value!)
    this.#refusals.set(id, { cost, until: since + life, since, layout, decision, keys })
    for (const key of keys) {
      const ids = this.#byKey.get(key)
      if (ids) ids.add(id)
      else this.#byKey.set(key, new Set([id]))
    }
  }

  forget(key: string | undefined): void {
    if (key === undefined) {
      this.#refusals.clear()
      this.#byKey.clear()
      return
    }
    for (const id of [...(this.#byKey.get(key) ?? [])]) this.#drop(id)
  }

  #drop(id: string): void {
    const refusal = this.#refusals.get(id)
    if (!refusal) return
    this.#refusals.delete(id)
    for (const key of refusal.keys) {
      const ids = this.#byKey.get(key)
      ids?.delete(id)
      if (ids?.size === 0) this.#byKey.delete(key)
    }
  }
}
