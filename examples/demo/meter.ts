/** What one request of the traffic came to. */
export interface Outcome {
  status: number
  /** Undefined where the answer does not say. */
  hit?: boolean | undefined
}

const REMEMBERED = 200

/** Counts what the traffic saw, from outside. */
export class Meter {
  asked = 0
  refused = 0
  failed = 0
  #hits = 0
  #told = 0
  readonly #times: number[] = []

  async measure(work: () => Promise<Outcome>): Promise<void> {
    const from = performance.now()
    const { status, hit } = await work().catch((): Outcome => ({ status: 0 }))
    this.asked++
    if (status === 429) this.refused++
    else if (status === 0 || status >= 500) this.failed++
    else {
      if (hit !== undefined) this.#told++
      if (hit) this.#hits++
      this.#times.push(performance.now() - from)
      if (this.#times.length > REMEMBERED) this.#times.shift()
    }
  }

  get hitPercent(): number | undefined {
    return this.#told > 0 ? Math.round((this.#hits / this.#told) * 100) : undefined
  }

  get medianMs(): number | undefined {
    const sorted = [...this.#times].sort((a, b) => a - b)
    const middle = sorted[Math.floor(sorted.length / 2)]
    return middle === undefined ? undefined : Math.round(middle * 10) / 10
  }
}
