import { redactName } from '../base/key.ts'
import type { Scope } from './core.ts'
import { lookups, type Outcome, type WriteEvent, writes } from './stats.ts'

/** Counts what the verbs of one namespace do, and tells events and log, if anybody listens. */
export class Reporter {
  readonly #scope: Scope
  readonly #hasLogger: boolean

  constructor(scope: Scope) {
    this.#scope = scope
    this.#hasLogger = scope.core.logger !== undefined
  }

  /** Whether `tell` would reach anybody: asked on the hot path, before any argument is made. */
  get isHeard(): boolean {
    return this.#hasLogger || lookups.active
  }

  /** The outcome of one look-up: exactly one counter rises. */
  count(op: string, key: string, outcome: Outcome, began: number): void {
    const { counters } = this.#scope
    if (outcome === 'l1') counters.hitsL1++
    else if (outcome === 'l2') counters.hitsL2++
    else if (outcome === 'stale') counters.hitsStale++
    else if (outcome === 'miss') counters.misses++
    else counters.errors++
    if (this.isHeard) this.tell(op, key, outcome, began)
  }

  tell(op: string, key: string, outcome: Outcome, began: number): void {
    const { core, path } = this.#scope
    const ms = core.clock.mono() - began
    if (lookups.active) lookups.publish({ namespace: path, key, outcome, ms })
    this.#log(op, key, ms, { outcome })
  }

  /** Runs a write and tells how it ended; its error is the caller's. */
  async write<T>(op: WriteEvent['op'], names: readonly string[], act: () => Promise<T>): Promise<T> {
    const began = this.#scope.core.clock.mono()
    try {
      const result = await act()
      this.#tellWrite(op, names, began, undefined)
      return result
    } catch (error) {
      this.#tellWrite(op, names, began, error)
      throw error
    }
  }

  #tellWrite(op: WriteEvent['op'], names: readonly string[], began: number, error: unknown): void {
    if (!this.#hasLogger && !writes.active) return
    const { core, path } = this.#scope
    const ms = core.clock.mono() - began
    if (writes.active) writes.publish({ namespace: path, op, names, ms, error })
    this.#log(op, names[0] ?? '*', ms, { names: names.length, failed: error !== undefined })
  }

  #log(op: string, key: string, ms: number, fields: Record<string, unknown>): void {
    const { core, path } = this.#scope
    const line = `Cache ${op} - Key: ${redactName(key)}, Duration: ${(ms / 1_000).toFixed(3)}s`
    core.logger?.debug(line, { namespace: path, ...fields })
  }
}
