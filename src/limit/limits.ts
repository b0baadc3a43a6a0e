import type { Clock } from '../base/clock.ts'
import { Closed, InvalidOption } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { RedisPort } from '../redis/port.ts'
import { ConcurrencyLimiter, type ConcurrencySettings } from './concurrency.ts'
import { Limiter } from './limiter.ts'
import type { LimiterOptions } from './options.ts'
import { Outbound, type OutboundSettings } from './outbound.ts'
import type { Limits } from './policy.ts'

export interface LimitSettings {
  /** False: no limiter of the instance counts or refuses anything. @default true */
  enabled?: boolean | undefined
  /**
   * Limits by the name of the limiter, e.g. from the environment. They win over those that a call of
   * `limiter()` brings along; `default` is for names that have none.
   */
  categories?: Readonly<Record<string, Limits>> | undefined
}

export interface LimitPlace {
  readonly redis: RedisPort | undefined
  readonly namespace: string
  readonly clock: Clock
  readonly random: Random
}

export type ConcurrencyOptions = Omit<
  ConcurrencySettings,
  'redis' | 'namespace' | 'clock' | 'random' | 'name' | 'limit'
>
export type OutboundOptions = Omit<OutboundSettings, 'redis' | 'namespace' | 'clock' | 'name' | 'limits'>

/** The limiters of one instance, by name: asked for twice, the same one, so that it counts once. */
export class LimitRegistry {
  readonly #place: LimitPlace
  readonly #categories: ReadonlyMap<string, Limits>
  readonly #enabled: boolean
  readonly #made = new Map<string, { words: string; limiter: Limiter | Outbound | ConcurrencyLimiter }>()
  #closed = false

  constructor(place: LimitPlace, settings: LimitSettings = {}) {
    this.#place = place
    this.#categories = new Map(Object.entries(settings.categories ?? {}))
    this.#enabled = settings.enabled ?? true
  }

  limiter(name: string, given?: Limits, more: LimiterOptions = {}): Limiter {
    const { redis, namespace, clock } = this.#place
    const limits = this.#categories.get(name) ?? given ?? this.#categories.get('default')
    if (limits === undefined) {
      throw new InvalidOption(
        `there are no limits for '${String(name).slice(0, 40)}'`,
        "give some, e.g. limiter(name, '20/minute'), or name the category, or a `default`, in the options",
      )
    }
    const options = this.#enabled ? more : { ...more, enabled: false }
    return this.#once(
      name,
      ['limiter', limits, options],
      () => new Limiter({ ...options, redis, namespace, clock, name, limits }),
    )
  }

  outbound(name: string, limits: Limits, options: OutboundOptions = {}): Outbound {
    const { redis, namespace, clock } = this.#place
    return this.#once(
      name,
      ['outbound', limits, options],
      () => new Outbound({ ...options, redis, namespace, clock, name, limits }),
    )
  }

  concurrency(name: string, limit: number, options: ConcurrencyOptions = {}): ConcurrencyLimiter {
    const place = this.#place
    return this.#once(
      name,
      ['concurrency', limit, options],
      () => new ConcurrencyLimiter({ ...options, ...place, name, limit }),
    )
  }

  /** Everything that was asked for, by name. */
  made(): readonly (Limiter | Outbound | ConcurrencyLimiter)[] {
    return [...this.#made.values()].map(({ limiter }) => limiter)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#made.values()].map(({ limiter }) => limiter.close()))
  }

  #once<L extends Limiter | Outbound | ConcurrencyLimiter>(name: string, words: unknown[], make: () => L): L {
    if (this.#closed) throw new Closed()
    const said = JSON.stringify(words)
    const known = this.#made.get(name)
    if (known && known.words !== said) {
      throw new InvalidOption(
        `'${String(name).slice(0, 40)}' was asked for before with other limits or options`,
        'give each limiter its own name, or pass the limits of a plan to the call',
      )
    }
    // The words begin with the kind, so equal words are the same class.
    if (known) return known.limiter as L
    const limiter = make()
    this.#made.set(name, { words: said, limiter })
    return limiter
  }
}
