import type { Clock } from '../base/clock.ts'
import { Closed, HoldfastError, InvalidOption } from '../base/errors.ts'
import type { Ask } from './ask.ts'
import type { Decision } from './decision.ts'
import { decisionOf, unasked } from './decision.ts'
import { limitDegradedEvents } from './events.ts'
import { MemoryLimitStore } from './memory-store.ts'
import type { OutagePolicy } from './options.ts'
import type { Policy } from './policy.ts'
import { share } from './policy.ts'
import { units } from './spec.ts'
import type { Operation } from './store.ts'

const POLICIES: readonly OutagePolicy[] = ['allow', 'deny', 'local']

/** What a limiter decides by while Redis cannot be asked. */
export class Insurance {
  readonly #namespace: string
  readonly #limiter: string
  readonly #policy: OutagePolicy
  readonly #instances: () => number
  readonly #local: MemoryLimitStore
  readonly #shares = new WeakMap<Policy, { instances: number; policy: Policy }>()
  #used = false

  /** @throws InvalidOption */
  constructor(
    clock: Clock,
    namespace: string,
    limiter: string,
    policy: OutagePolicy,
    instances: number | (() => number),
  ) {
    if (!POLICIES.includes(policy)) {
      throw new InvalidOption('onUnavailable is unknown', "use 'local', 'allow' or 'deny'")
    }
    this.#namespace = namespace
    this.#limiter = limiter
    this.#policy = policy
    this.#instances = typeof instances === 'function' ? instances : () => instances
    units(this.#instances(), 'instances', 1)
    this.#local = new MemoryLimitStore(clock)
  }

  /** Decides because of `error`; throws it when no outage of Redis is behind it. */
  decide(error: unknown, verb: 'consume' | 'peek', ask: Ask, enforce: boolean): Decision {
    if (!(error instanceof HoldfastError) || error instanceof Closed) throw error
    const degraded = this.#policy
    if (limitDegradedEvents.active) {
      const { code } = error
      limitDegradedEvents.publish({
        namespace: this.#namespace,
        limiter: this.#limiter,
        policy: degraded,
        cause: code,
      })
    }
    const { parts, kinds, cost } = ask
    const circumstances = { cost, degraded, enforce }
    if (degraded !== 'local') return unasked(parts, kinds, degraded === 'allow', circumstances)
    this.#used = true
    const own = parts.map((part) => ({ ...part, policy: this.#shareOf(part.policy) }))
    const outcome = this.#local.applyNow({ verb, parts: own, cost, at: 0, deadline: 0 })
    return decisionOf(own, kinds, outcome, circumstances)
  }

  /** Refunds, blocks and resets count here too, while this is what decides. */
  follow(operation: Operation): void {
    if (this.#used) this.#local.applyNow(operation)
  }

  /** Redis answers again: what was counted here is forgotten. */
  lapse(): void {
    if (!this.#used) return
    this.#used = false
    this.#local.clear()
  }

  #shareOf(policy: Policy): Policy {
    const instances = Math.max(1, Math.floor(this.#instances()) || 1)
    const known = this.#shares.get(policy)
    if (known?.instances === instances) return known.policy
    const part = share(policy, instances)
    this.#shares.set(policy, { instances, policy: part })
    return part
  }
}
