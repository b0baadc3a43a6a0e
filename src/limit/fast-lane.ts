import type { Script } from '../redis/script.ts'
import { fastScript, type Kind, MAX_FAST_LIMITS } from './fast-script.ts'
import type { Policy } from './policy.ts'
import type { Algorithm } from './spec.ts'
import type { Operation } from './store.ts'

/** What the fast script needs to know of a policy, put together once. */
export interface FastPolicy {
  readonly script: Script
  readonly head: string
  /** Limit, window, capacity or sub-window, offset of each limit. */
  readonly numbers: readonly string[]
}

const KINDS: Record<Algorithm, Kind> = { sliding: 'window', log: 'window', gcra: 'gcra', fixed: 'fixed' }
/** After a state that it could not judge, a policy stays out of the fast lane for so many batches. */
const PENANCE = 200

/** Which batches take the fast script, and how they ask it. */
export class FastLane {
  readonly #known = new WeakMap<Policy, FastPolicy>()
  readonly #penance = new WeakMap<Policy, number>()

  /** Undefined for a batch that is not for it: other verbs, several limits, costs or subjects a call. */
  policyOf(operations: readonly Operation[]): FastPolicy | undefined {
    const { verb, cost, parts } = operations[0]!
    const { policy } = parts[0]!
    if (verb !== 'consume' || policy.limits.length > MAX_FAST_LIMITS) return undefined
    for (const operation of operations) {
      if (operation.verb !== verb || operation.cost !== cost || operation.parts.length !== 1) return undefined
      if (operation.parts[0]!.policy !== policy) return undefined
    }
    const penance = this.#penance.get(policy)
    if (penance !== undefined) {
      if (penance > 0) this.#penance.set(policy, penance - 1)
      else this.#penance.delete(policy)
      return undefined
    }
    return this.#read(policy)
  }

  /** It met a state of this policy that it could not judge. */
  suspend(policy: Policy): void {
    this.#penance.set(policy, PENANCE)
  }

  #read(policy: Policy): FastPolicy {
    const known = this.#known.get(policy)
    if (known) return known
    const wire = JSON.parse(policy.wire) as [string, ...number[]]
    const numbers: string[] = []
    for (let index = 0; index < policy.limits.length; index++) {
      // Five words a limit, the first of them its kind.
      numbers.push(...wire.slice(index * 5 + 2, index * 5 + 6).map(String))
    }
    const script = fastScript(policy.limits.map((limit) => KINDS[limit.algorithm]))
    const made = { script, head: `${wire[0]};`, numbers }
    this.#known.set(policy, made)
    return made
  }
}
