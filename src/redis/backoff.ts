import type { RedisSettings } from './settings.ts'

/**
 * Pauses between attempts to connect. A connection that had proved itself for a while is redialled
 * almost at once (its loss is news); one that died young, or never lived, doubles the pause.
 */
export class Backoff {
  #attempts = 0
  #settings: RedisSettings

  constructor(settings: RedisSettings) {
    this.#settings = settings
  }

  /** @param livedMs how long the connection that ended had been ready; 0 when it never was */
  after(livedMs: number): number {
    const { backoffMinMs, backoffMaxMs, random } = this.#settings
    if (livedMs >= 2 * backoffMaxMs) this.#attempts = 0
    const jitter = 0.75 + random.float() * 0.5
    const base = this.#attempts === 0 && livedMs > 0 ? backoffMinMs / 10 : backoffMinMs * 2 ** this.#attempts
    this.#attempts = Math.min(this.#attempts + 1, 16)
    return Math.min(base, backoffMaxMs) * jitter
  }
}
