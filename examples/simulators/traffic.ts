/** Who asks for what: repeatable, and as uneven as people are. */

/**
 * Picks one of `size`, the n-th most wanted in proportion to 1/n^skew (Breslau et al., "Web Caching and
 * Zipf-like Distributions", INFOCOM 1999, measured 0.64 to 0.83).
 */
export function zipf(size: number, skew: number, random: () => number): () => number {
  const upTo: number[] = []
  let sum = 0
  for (let n = 1; n <= size; n++) {
    sum += n ** -skew
    upTo.push(sum)
  }
  return () => {
    const at = random() * sum
    let low = 0
    for (let high = size - 1; low < high; ) {
      const middle = (low + high) >> 1
      if (upTo[middle]! < at) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Repeatable numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
