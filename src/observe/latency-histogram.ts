/** Units of a sixteenth of a microsecond: an answer from process memory takes less than one. */
const PER_MS = 16_000
/** Two minutes; anything slower counts as that. */
const MOST = 2 ** 31 - 1
const SUB_BITS = 3
const SUB = 1 << SUB_BITS
const BUCKETS = (31 - SUB_BITS + 1) * SUB

/** Pairs of bucket and count, for travelling. */
export type SparseHistogram = readonly (readonly [bucket: number, count: number])[]

/**
 * Times in buckets that grow by powers of two, each cut into eight equal parts (the scheme of
 * HdrHistogram): at most 12.5 % wide from 0.5 µs to two minutes, in one kilobyte, whatever the number
 * of times.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS)
  total = 0

  /** @param ms anything below zero counts as zero */
  add(ms: number): void {
    const units = ms * PER_MS
    const whole = units < MOST ? units | 0 : MOST
    this.total++
    this.#counts[whole < SUB ? Math.max(0, whole) : bucketOf(whole)]!++
  }

  clear(): void {
    if (this.total === 0) return
    this.#counts.fill(0)
    this.total = 0
  }

  addAll(other: LatencyHistogram): void {
    if (other.total === 0) return
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! += other.#counts[i]!
    this.total += other.total
  }

  /** Ignores what is no bucket: it may come from another version. */
  addSparse(pairs: SparseHistogram): void {
    for (const [bucket, count] of pairs) {
      if (bucket < 0 || bucket >= BUCKETS || !(count > 0)) continue
      this.#counts[bucket]! += count
      this.total += count
    }
  }

  toSparse(): SparseHistogram {
    const pairs: [number, number][] = []
    if (this.total === 0) return pairs
    for (let i = 0; i < BUCKETS; i++) if (this.#counts[i]! > 0) pairs.push([i, this.#counts[i]!])
    return pairs
  }

  /**
   * The middle of the bucket in which the share falls, in ms with three digits; null when empty.
   * @param share 0.5 for the median
   */
  quantile(share: number): number | null {
    if (this.total === 0) return null
    let left = Math.ceil(this.total * share)
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i]!
      if (left <= 0) return Number((middleOf(i) / PER_MS).toPrecision(3))
    }
    return null
  }
}

function bucketOf(units: number): number {
  const octave = 31 - Math.clz32(units) - SUB_BITS
  return octave * SUB + (units >> octave)
}

function middleOf(bucket: number): number {
  if (bucket < SUB) return bucket
  const octave = Math.floor(bucket / SUB) - 1
  return (SUB + (bucket % SUB) + 0.5) * 2 ** octave
}
