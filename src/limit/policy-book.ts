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
  readonly #policies: Policy | ReadonlyMap<string, Policy>
  readonly #plans = new Map<string, Reader>()

  constructor(limits: Limits, algorithm: Algorithm = 'sliding') {
    this.#algorithm = algorithm
    this.#policies = compileAll(limits, algorithm)
    this.#own = readerOf(this.#policies)
  }

  /** The limiter's own limits as text, `user: 20/1m` where they go by kind, and how they count. */
  describe(): { readonly limits: readonly string[]; readonly algorithms: readonly Algorithm[] } {
    const policies = this.#policies
    const all: readonly (readonly [string, Policy])[] = 'wire' in policies ? [['', policies]] : [...policies]
    const limits = all.flatMap(([kind, policy]) =>
      policy.limits.map(({ name }) => (kind === '' ? name : `${kind}: ${name}`)),
    )
    const algorithms = all.flatMap(([, policy]) => policy.limits.map(({ algorithm }) => algorithm))
    return { limits, algorithms: [...new Set(algorithms)] }
  }

  /** @throws InvalidOption for limits that cannot work; the reader throws for a kind without limits */
  reader(plan: Limits | LimitList | undefined): Reader {
    if (plan === undefined) return this.#own
    const key = typeof plan === 'string' ? plan : JSON.stringify(plan)
    const known = this.#plans.get(key)
    if (known) return known
    const reader = readerOf(compileAll(plan, this.#algorithm))
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear()
    this.#plans.set(key, reader)
    return reader
  }
}

function readerOf(policies: Policy | ReadonlyMap<string, Policy>): Reader {
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
