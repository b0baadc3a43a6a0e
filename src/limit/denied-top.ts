/**
 * The identities that were refused most, in bounded memory: the space-saving sketch of Metwally,
 * Agrawal and El Abbadi (ICDT 2005). A count is never too low, and too high by at most the smallest
 * count kept.
 */
export class DeniedTop {
  readonly #size: number
  readonly #counts = new Map<string, number>()

  constructor(size: number) {
    this.#size = size
  }

  add(label: string, count = 1): void {
    const known = this.#counts.get(label)
    if (known !== undefined || this.#counts.size < this.#size) {
      this.#counts.set(label, (known ?? 0) + count)
      return
    }
    let least: string | undefined
    let smallest = Number.POSITIVE_INFINITY
    for (const [name, value] of this.#counts) {
      if (value < smallest) {
        least = name
        smallest = value
      }
    }
    if (least !== undefined) this.#counts.delete(least)
    this.#counts.set(label, smallest + count)
  }

  /** Takes everything out. */
  drain(): [label: string, count: number][] {
    const all = [...this.#counts]
    this.#counts.clear()
    return all
  }

  top(count: number): { identity: string; denied: number }[] {
    return [...this.#counts]
      .sort((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([identity, denied]) => ({ identity, denied }))
  }
}
