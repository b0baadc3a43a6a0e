/**
 * Ratios, not times: every contestant of a table runs in the same process, in turns, several
 * rounds; a figure is the median of its rounds. Values depend on the machine, ratios hardly.
 */
export interface Contestant {
  readonly name: string
  /** One operation; `i` counts from 0 and wraps at the caller's choice. */
  readonly run: (i: number) => unknown
}

export interface Figure {
  readonly name: string
  /** Operations per second, median. */
  readonly rate: number
}

export interface Plan {
  readonly concurrency: number
  /** Operations per round. */
  readonly operations: number
  readonly rounds?: number
}

export async function measure(contestants: readonly Contestant[], plan: Plan): Promise<Figure[]> {
  const rates = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  // The first round warms caches and the compiler up, and is thrown away.
  for (let round = 0; round <= (plan.rounds ?? 5); round++) {
    for (const contestant of contestants) {
      const rate = await once(contestant, plan)
      if (round > 0) rates.get(contestant.name)!.push(rate)
    }
  }
  return contestants.map(({ name }) => ({ name, rate: median(rates.get(name)!) }))
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function once({ run }: Contestant, { concurrency, operations }: Plan): Promise<number> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < operations) {
      await run(next++)
      // A program is never nothing but microtasks: without a turn of the event loop now and then,
      // timers and sockets starve.
      if ((next & 0x1ff) === 0) await turn()
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: concurrency }, lane))
  return (operations / (performance.now() - started)) * 1_000
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Indexes 0..n-1 in Zipf's proportions (s = 1), repeatable. */
export function zipf(n: number, length: number): Uint32Array {
  const cumulative = new Float64Array(n)
  let sum = 0
  for (let i = 0; i < n; i++) {
    sum += 1 / (i + 1)
    cumulative[i] = sum
  }
  let state = 0x2545f491
  const random = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 0x1_0000_0000
  }
  return Uint32Array.from({ length }, () => {
    const target = random() * sum
    let low = 0
    let high = n - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! < target) low = middle + 1
      else high = middle
    }
    return low
  })
}

/** One Markdown table; the ratio is to the first row unless a base is named. */
export function table(title: string, figures: readonly Figure[], base?: string): string {
  const reference = figures.find(({ name }) => name === base) ?? figures[0]!
  const rows = figures.map(({ name, rate }) => {
    const each = rate > 0 ? formatDuration(1_000 / rate) : '–'
    return `| ${name} | ${formatRate(rate)} | ${each} | ${(rate / reference.rate).toFixed(2)} |`
  })
  return [`### ${title}`, '', '| | per second | each | ratio |', '|---|--:|--:|--:|', ...rows, ''].join('\n')
}

export function formatRate(rate: number): string {
  return rate >= 10_000 ? `${Math.round(rate / 1_000)} k` : rate.toFixed(rate >= 100 ? 0 : 1)
}

export function formatDuration(ms: number): string {
  if (ms < 0.001) return `${Math.round(ms * 1e6)} ns`
  if (ms < 1) return `${(ms * 1_000).toFixed(1)} µs`
  return `${ms.toFixed(1)} ms`
}
