import { InvalidOption } from './errors.ts'

/**
 * Refuses option names that nobody reads: a misspelt option that is silently ignored is worse
 * than an error. Suggests the nearest known name.
 * @param where how the caller wrote it, e.g. `holdfast()` or `cache.defaults`
 * @throws InvalidOption
 */
export function refuseUnknown(given: object, known: readonly string[], where: string): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    throw new InvalidOption(
      `${where} has no option '${name.slice(0, 40)}'`,
      near ? `did you mean '${near}'?` : `known options: ${known.join(', ')}`,
    )
  }
}

/** The known name closest to `name`, if close enough to be a slip of the hand. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  let best: string | undefined
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase(), least)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** Levenshtein distance, row by row; gives up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitute))
    }
    row = next
  }
  return row[b.length]!
}
