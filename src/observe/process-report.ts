import type { SparseHistogram } from './latency-histogram.ts'
import type { DegradedPart } from './rolling-shapes.ts'
import { COUNTED, type Counts, type NamespaceCounts } from './rolling-slots.ts'

/** What one process tells the others: numbers, names of the code, never a key. */
export interface ProcessReport {
  /** Rises with each report: who stops rising is gone. */
  readonly seq: number
  /** Wall clock of the process, ms since 1970. */
  readonly at: number
  readonly counts: Readonly<Counts>
  readonly ops: SparseHistogram
  readonly loads: SparseHistogram
  readonly held: number
  readonly waiting: number
  readonly inHand: number
  readonly degraded: readonly DegradedPart[]
  readonly queues: readonly QueueLook[]
  readonly namespaces: readonly (NamespaceCounts & { readonly name: string })[]
  /** The slot that ended last, for the history of who reads. */
  readonly last: {
    readonly counts: Readonly<Counts>
    readonly opsP99Ms: number | null
    readonly loadsP99Ms: number | null
  }
}

/** A queue as one process saw it last; the freshest look is the truth. */
export interface QueueLook {
  readonly queue: string
  readonly depth: number
  readonly dead: number
  readonly oldestMs: number
  readonly asOf: number
}

const VERSION = 1
const MOST_TEXT = 64 * 1024

export function writeReport(report: ProcessReport): string {
  return JSON.stringify({ v: VERSION, ...report })
}

/** `undefined` for anything that is no report of this version: it came over the wire. */
export function readReport(text: unknown): ProcessReport | undefined {
  if (typeof text !== 'string' || text.length > MOST_TEXT) return undefined
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(found) || found.v !== VERSION) return undefined
  const { last } = found
  if (!isRecord(last) || !isCounts(found.counts) || !isCounts(last.counts)) return undefined
  const { seq, at, held, waiting, inHand } = found
  if (![seq, at, held, waiting, inHand].every(isNumber)) return undefined
  if (!isMaybe(last.opsP99Ms) || !isMaybe(last.loadsP99Ms)) return undefined
  if (!listOf(found.ops, isPair) || !listOf(found.loads, isPair)) return undefined
  if (!listOf(found.degraded, (part) => isRecord(part) && isText(part.what) && isText(part.since)))
    return undefined
  const isQueue = (queue: unknown) =>
    isRecord(queue) &&
    isText(queue.queue) &&
    [queue.depth, queue.dead, queue.oldestMs, queue.asOf].every(isNumber)
  const isNamespace = (one: unknown) =>
    isRecord(one) && isText(one.name) && [one.hits, one.misses, one.errors, one.staleServed].every(isNumber)
  if (!listOf(found.queues, isQueue) || !listOf(found.namespaces, isNamespace)) return undefined
  // Each field was looked at above, one by one.
  return found as unknown as ProcessReport
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isNumber = (value: unknown): value is number => typeof value === 'number'
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 1_000
const isMaybe = (value: unknown): boolean => value === null || isNumber(value)
const isPair = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && value.every(isNumber)
const isCounts = (value: unknown): boolean =>
  isRecord(value) && COUNTED.every((name) => isNumber(value[name]))
const listOf = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length <= 1_000 && value.every(isItem)
