/** One line of a tour: what was done, how long it took, what to see in it. */
export interface Step {
  name: string
  ms: number
  note: string
  ok: boolean
}

export interface Tour {
  steps: AsyncIterable<Step>
  /** Filled while the steps run; printed with `--json`. */
  figures: Record<string, unknown>
  /** Command lines for the reader. */
  tryThese: string[]
}
