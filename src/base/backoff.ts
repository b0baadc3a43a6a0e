import type { Random } from './random.ts'

/**
 * Delay before try number `attempt` (0 = first retry): doubles from `first` up to `most`, then a
 * random half is taken off, so that those who failed together do not return together.
 */
export function backoff(attempt: number, first: number, most: number, random: Random): number {
  const full = Math.min(most, first * 2 ** Math.min(attempt, 30))
  return full / 2 + (full / 2) * random.float()
}
