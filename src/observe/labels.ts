/** Distinct label values that one metric may show before the rest is summed up under `other`. */
const MOST = 200

/**
 * Bounds the label values that come from the user's code: a namespace per tenant must not grow the
 * exposition without end. A value that was admitted once keeps its name.
 */
export class LabelCap {
  readonly #seen = new Set<string>()
  readonly #most: number

  constructor(most = MOST) {
    this.#most = most
  }

  of(value: string): string {
    if (this.#seen.has(value)) return value
    if (this.#seen.size >= this.#most) return 'other'
    this.#seen.add(value)
    return value
  }
}
