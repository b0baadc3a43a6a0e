import { InvalidOption } from '../base/errors.ts'
import type { LimitList, Limits, Policy } from './policy.ts'
import { compileAll } from './policy.ts'
import type { Algorithm } from './spec.ts'

type Reader = (kind: string) => Policy

/** Plans compiled so far; a plan is usually one of a few. */
const MAX_PLANS = 500

/** The limiter's own limits, and those of the plans that calls bring along, compiled once each. */
export class PolicyBook {
  readonly #algorithm: Algorithm
  readonly #own: Reader
  readonly #plans = new Map<string, Reader>()

  constructor(limits: Limits, algorithm: Algorithm = 'sliding') {
    this.#algorithm = algorithm
    this.#own = this.#read(limits)
  }

  /** @throws InvalidOption for limits that cannot work; the reader throws for a kind without limits */
  reader(plan: Limits | LimitList | undefined): Reader {
    if (plan === undefined) return this.#own
    const key = typeof plan === 'string' ? plan : JSON.stringify(plan)
    const known = this.#plans.get(key)
    if (known) return known
    const reader = this.#read(plan)
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear()
    this.#plans.set(key, reader)
    return reader
  }

  #read(limits: Limits): Reader {
    const policies = compileAll(limits, this.#algorithm)
    if ('wire' in policies) return () => policies
    return (kind) => {
      const policy = policies.get(kind)
      if (policy) return policy
      throw new InvalidOption(
        `there is no limit for subjects of kind '${kind.slice(0, 40)}'`,
        `name one of: ${[...policies.keys()].join(', ')}`,
      )
    }
  }
}
