import { Bulkhead } from '../base/bulkhead.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Codec } from './codec.ts'
import type { Flight } from './flight.ts'
import type { Counters } from './stats.ts'
import type { CacheStore } from './store.ts'

export interface CoreSetup {
  readonly store: CacheStore
  readonly codec: Codec
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger | undefined
  /** Whether callers share one frozen object per entry. */
  readonly frozen: boolean
  readonly maxBackgroundLoads: number
  readonly maxOutageLoads: number
}

const HOLD_OFF_LIMIT = 10_000

/** What all namespaces of one instance share. */
export class Core {
  readonly store: CacheStore
  readonly codec: Codec
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger | undefined
  readonly frozen: boolean
  /** Running loads by full name: at most one each. */
  readonly flights = new Map<string, Flight>()
  readonly background: Bulkhead
  /** Loads while the store is down: without it every miss reaches the source at once. */
  readonly outage: Bulkhead
  closed = false
  readonly #holdOff = new Map<string, number>()

  constructor(setup: CoreSetup) {
    this.store = setup.store
    this.codec = setup.codec
    this.clock = setup.clock
    this.random = setup.random
    this.logger = setup.logger
    this.frozen = setup.frozen
    this.background = new Bulkhead(setup.maxBackgroundLoads)
    this.outage = new Bulkhead(setup.maxOutageLoads, setup.maxOutageLoads * 64)
  }

  /** No reload of this name for `ms`, as long as a stale value answers. */
  holdOff(name: string, ms: number): void {
    if (ms <= 0) return
    // The oldest goes first: at worst a source that fails is asked a little earlier.
    if (this.#holdOff.size >= HOLD_OFF_LIMIT) this.#holdOff.delete(this.#holdOff.keys().next().value!)
    this.#holdOff.set(name, this.clock.mono() + ms)
  }

  isHeldOff(name: string): boolean {
    const until = this.#holdOff.get(name)
    if (until === undefined) return false
    if (until > this.clock.mono()) return true
    this.#holdOff.delete(name)
    return false
  }

  endHoldOff(name: string): void {
    this.#holdOff.delete(name)
  }
}

/** One namespace as the load layer sees it. */
export interface Scope {
  readonly core: Core
  /** `users|admins`, or '' for the root: for stats and events. */
  readonly path: string
  readonly prefix: string
  /** Full names of the tags that every entry here carries. */
  readonly implied: readonly string[]
  readonly counters: Counters
}
