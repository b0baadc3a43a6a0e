import { Closed } from '../base/errors.ts'
import { connectRedis, type RedisSource } from './connect.ts'
import type { RedisPort } from './port.ts'
import type { RedisSettings } from './settings.ts'

/**
 * The connections of one Holdfast instance: one port per distinct source, made on first use. Two
 * roles that name the same server share it, and however many first calls come at once, making a
 * port is synchronous, so there is one.
 */
export class RedisPools {
  readonly #settings: Partial<RedisSettings>
  readonly #ports = new Map<RedisSource, RedisPort>()
  readonly #patient = new Set<RedisPort>()
  #closed = false

  constructor(settings: Partial<RedisSettings>) {
    this.#settings = settings
  }

  port(source: RedisSource): RedisPort {
    if (this.#closed) throw new Closed()
    const known = this.#ports.get(source)
    if (known) return known
    const port = connectRedis(source, this.#settings)
    this.#ports.set(source, port)
    return port
  }

  /**
   * A connection of its own that may be silent for as long as a server makes it wait (blocking
   * commands, WAIT, WAITAOF). Its owner may close it before; it ends with the instance at the latest.
   */
  patient(source: RedisSource): RedisPort {
    if (this.#closed) throw new Closed()
    const port = connectRedis(source, { ...this.#settings, deadAfterMs: 20_000, recheckMs: 3_600_000 })
    this.#patient.add(port)
    return port
  }

  /** The port of a source if anything used it yet. */
  opened(source: RedisSource): RedisPort | undefined {
    return this.#ports.get(source)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#ports.values(), ...this.#patient].map((port) => port.close()))
  }
}
