import { RedisTimeout } from '../base/errors.ts'
import type { Opened } from './open-session.ts'
import { LONGEST_HANDSHAKE, type RedisSettings } from './settings.ts'

/**
 * What an attempt to connect may take: twice as much after each that ran out of time, so that a far
 * or busy server is reached in the end; bounded, so that one that comes back is noticed soon.
 */
export class Handshake {
  readonly #settings: RedisSettings
  #factor = 1

  constructor(settings: RedisSettings) {
    this.#settings = settings
  }

  async attempt(open: (settings: RedisSettings) => Promise<Opened>): Promise<Opened> {
    const handshakeMs = this.#settings.handshakeMs * this.#factor
    try {
      const opened = await open({ ...this.#settings, handshakeMs })
      this.#factor = 1
      return opened
    } catch (error) {
      if (error instanceof RedisTimeout) this.#factor = Math.min(LONGEST_HANDSHAKE, this.#factor * 2)
      throw error
    }
  }
}
