import { LatencyHistogram } from './latency-histogram.ts'
import type { History, HistorySeries } from './rolling-shapes.ts'

export const STEP_SECONDS = 5
/** One hour. */
export const MOST_SLOTS = 720
/** The window of `overview()`, in slots that are over; the current one comes on top. */
export const WINDOW_SLOTS = 12
/** Namespaces of one slot; the rest is summed up as `other`. */
const MOST_NAMESPACES = 1_000

/** What is counted in a slot. */
export const COUNTED = [
  'hits',
  'misses',
  'errors',
  'l1Hits',
  'l2Hits',
  'staleServed',
  'stampedesPrevented',
  'loads',
  'allowed',
  'denied',
  'lost',
] as const
export type Counted = (typeof COUNTED)[number]
export type Counts = Record<Counted, number>

export function noCounts(): Counts {
  const counts: Partial<Counts> = {}
  for (const name of COUNTED) counts[name] = 0
  return counts as Counts
}

export function addCounts(to: Counts, from: Readonly<Counts>): void {
  for (const name of COUNTED) to[name] += from[name]
}

/** What stood there when a slot ended. */
export interface Standing {
  usedMemory: number | null
  keys: number | null
}

interface Slot extends Standing {
  /** Wall clock of its end. */
  at: number
  counts: Counts
  opsP99Ms: number | null
  loadsP99Ms: number | null
}

/** Counts of one namespace in a slot. */
export interface NamespaceCounts {
  hits: number
  misses: number
  errors: number
  staleServed: number
}
export type NamespaceTally = ReadonlyMap<string, NamespaceCounts>

/** What the window keeps of a slot beyond the hour's few numbers. */
interface Detail {
  readonly counts: Readonly<Counts>
  readonly ops: LatencyHistogram
  readonly loads: LatencyHistogram
  readonly namespaces: NamespaceTally
}

/** Slots of five seconds: numbers for one hour, times and namespaces for the last minute. */
export class RollingSlots {
  /** Those of the current slot. */
  counts = noCounts()
  readonly times = { ops: new LatencyHistogram(), loads: new LatencyHistogram() }
  #namespaces = new Map<string, NamespaceCounts>()
  readonly #slots: Slot[] = []
  readonly #details: Detail[] = []

  addNamespace(name: string, counts: NamespaceCounts): void {
    const isKnown = this.#namespaces.has(name) || this.#namespaces.size < MOST_NAMESPACES
    addNamespace(this.#namespaces, isKnown ? name : 'other', counts)
  }

  /** Ends the current slot. */
  close(at: number, standing: Standing): void {
    const { ops, loads } = this.times
    const slot = { at, counts: this.counts, opsP99Ms: ops.quantile(0.99), loadsP99Ms: loads.quantile(0.99) }
    this.#slots.push({ ...slot, ...standing })
    if (this.#slots.length > MOST_SLOTS) this.#slots.shift()
    this.#details.push({ counts: { ...this.counts }, ops, loads, namespaces: this.#namespaces })
    // The histograms go round: the oldest of the window serves the slot that begins.
    const free = this.#details.length > WINDOW_SLOTS ? this.#details.shift() : undefined
    this.times.ops = free?.ops ?? new LatencyHistogram()
    this.times.loads = free?.loads ?? new LatencyHistogram()
    this.times.ops.clear()
    this.times.loads.clear()
    this.counts = noCounts()
    this.#namespaces = new Map()
  }

  /** A slot in which nothing could be counted. */
  skip(at: number): void {
    this.#slots.push({
      at,
      counts: noCounts(),
      opsP99Ms: null,
      loadsP99Ms: null,
      usedMemory: null,
      keys: null,
    })
    if (this.#slots.length > MOST_SLOTS) this.#slots.shift()
    const idle = { ops: new LatencyHistogram(), loads: new LatencyHistogram() }
    this.#details.push({ ...idle, counts: noCounts(), namespaces: new Map() })
    if (this.#details.length > WINDOW_SLOTS) this.#details.shift()
  }

  /** What other processes counted meanwhile, into the slot that ended last. */
  addToLast(counts: Readonly<Counts>, opsP99Ms: number | null, loadsP99Ms: number | null): void {
    const last = this.#slots.at(-1)
    if (last === undefined) return
    addCounts(last.counts, counts)
    last.opsP99Ms = slower(last.opsP99Ms, opsP99Ms)
    last.loadsP99Ms = slower(last.loadsP99Ms, loadsP99Ms)
  }

  /** Counts and p99 of this process in the slot that ended last. */
  get last(): { counts: Readonly<Counts>; opsP99Ms: number | null; loadsP99Ms: number | null } {
    const { counts, ops, loads } = this.#details.at(-1) ?? { counts: noCounts(), ...this.times }
    return { counts, opsP99Ms: ops.quantile(0.99), loadsP99Ms: loads.quantile(0.99) }
  }

  /** The last minute of this process, up to now. */
  window(): {
    counts: Counts
    ops: LatencyHistogram
    loads: LatencyHistogram
    namespaces: Map<string, NamespaceCounts>
  } {
    const counts = noCounts()
    const ops = new LatencyHistogram()
    const loads = new LatencyHistogram()
    const namespaces = new Map<string, NamespaceCounts>()
    const now = { counts: this.counts, ...this.times, namespaces: this.#namespaces }
    for (const detail of [...this.#details, now]) {
      addCounts(counts, detail.counts)
      ops.addAll(detail.ops)
      loads.addAll(detail.loads)
      for (const [name, its] of detail.namespaces) addNamespace(namespaces, name, its)
    }
    return { counts, ops, loads, namespaces }
  }

  history(seconds: number): History {
    const slots = this.#slots.slice(-Math.min(MOST_SLOTS, Math.max(1, Math.ceil(seconds / STEP_SECONDS))))
    const counted = (name: Counted) => slots.map((slot) => slot.counts[name])
    const series: Record<HistorySeries, readonly (number | null)[]> = {
      hits: counted('hits'),
      misses: counted('misses'),
      errors: counted('errors'),
      staleServed: counted('staleServed'),
      loads: counted('loads'),
      opsP99Ms: slots.map((slot) => slot.opsP99Ms),
      loadsP99Ms: slots.map((slot) => slot.loadsP99Ms),
      usedMemory: slots.map((slot) => slot.usedMemory),
      keys: slots.map((slot) => slot.keys),
      allowed: counted('allowed'),
      denied: counted('denied'),
    }
    return { stepSeconds: STEP_SECONDS, at: slots.map(({ at }) => at), series }
  }
}

export function addNamespace(
  to: Map<string, NamespaceCounts>,
  name: string,
  { hits, misses, errors, staleServed }: NamespaceCounts,
): void {
  const known = to.get(name)
  if (known === undefined) {
    to.set(name, { hits, misses, errors, staleServed })
    return
  }
  known.hits += hits
  known.misses += misses
  known.errors += errors
  known.staleServed += staleServed
}

const slower = (a: number | null, b: number | null): number | null =>
  a === null || (b !== null && b > a) ? b : a
