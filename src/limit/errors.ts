import { HoldfastError } from '../base/errors.ts'

/** A limit was reached where waiting for it was no option. */
export class LimitExceeded extends HoldfastError {
  /** ms until a try can succeed; `Infinity`: never; undefined: others wait in front. */
  readonly retryAfter: number | undefined

  constructor(decision: { readonly retryAfter: number } | undefined) {
    const when = decision ? `for another ${decision.retryAfter} ms` : 'and others wait in front'
    super(
      'LIMIT_EXCEEDED',
      `a limit is reached ${when}`,
      'wait longer (maxWait), cost less, or call less often',
    )
    this.retryAfter = decision?.retryAfter
  }
}
