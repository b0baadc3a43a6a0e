import type { Clock } from '../base/clock.ts'
import { Lru } from '../memory/lru.ts'
import type { Stored } from './store.ts'

interface Copy {
  readonly stored: Stored
  readonly at: number
}

/**
 * What this process loaded last, for `onUnavailable: 'readonly'`: used only while Redis does not
 * answer, for a bounded time, and never past the session's own end.
 */
export class SessionCopies {
  readonly #copies: Lru<Copy>
  readonly #clock: Clock
  readonly #lifeMs: number

  constructor(clock: Clock, max: number, lifeMs: number) {
    this.#clock = clock
    this.#lifeMs = lifeMs
    this.#copies = new Lru({ maxEntries: max, maxBytes: 64 * 1024 * 1024 })
  }

  keep(key: string, stored: Stored): void {
    this.#copies.set(key, { stored, at: this.#clock.mono() }, stored.bytes + 512)
  }

  drop(key: string): void {
    this.#copies.delete(key)
  }

  clear(): void {
    this.#copies.clear()
  }

  find(key: string): Stored | undefined {
    const copy = this.#copies.get(key)
    if (!copy) return undefined
    const age = this.#clock.mono() - copy.at
    const { expiresAt, now } = copy.stored
    if (age <= this.#lifeMs && age < expiresAt - now) return copy.stored
    this.#copies.delete(key)
    return undefined
  }
}
