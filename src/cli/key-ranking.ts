import type { RedisNode } from '../redis/port.ts'
import { shownName } from './key-list.ts'
import { DEADLINE, type Scope, scanNames } from './key-scan.ts'
import type { Progress } from './progress.ts'
import type { Session } from './session.ts'

export type Ranking = 'size' | 'heat' | 'ttl'

export interface Ranked {
  readonly pattern: string
  readonly by: Ranking
  /** What the numbers are: `bytes`, `frequency`, `idle s`, `ttl s`. */
  readonly unit: string
  readonly keys: readonly { readonly key: string; readonly rank: number }[]
  readonly looked: number
  readonly complete: boolean
}

interface Measure {
  readonly unit: string
  ask(name: string): readonly string[]
  /** Larger comes first. */
  readonly order: 1 | -1
}

/** Questions under way at a time. */
const CHUNK = 100
const BUDGET_MS = 30_000

const SIZE: Measure = { unit: 'bytes', ask: (name) => ['MEMORY', 'USAGE', name, 'SAMPLES', '5'], order: 1 }
/** Those that end last, or never (-1), come first. */
const TTL: Measure = { unit: 'ttl s', ask: (name) => ['TTL', name], order: 1 }
const FREQUENCY: Measure = { unit: 'frequency', ask: (name) => ['OBJECT', 'FREQ', name], order: 1 }
const IDLE: Measure = { unit: 'idle s', ask: (name) => ['OBJECT', 'IDLETIME', name], order: -1 }

/** The first keys of a bounded sample by size, heat or TTL; memory bounded by `limit`, not by keys. */
export async function keysByRank(
  session: Session,
  pattern: string,
  flags: Scope & { readonly limit: number; readonly sample: number },
  by: Ranking,
  progress: Progress,
): Promise<Ranked> {
  const measure = by === 'heat' ? await heatOf(session) : by === 'size' ? SIZE : TTL
  const until = performance.now() + BUDGET_MS
  let top: { key: string; rank: number }[] = []
  let looked = 0
  let complete = true
  scan: for await (const { node, names } of scanNames(session, pattern, flags)) {
    for (let at = 0; at < names.length; at += CHUNK) {
      const room = names.slice(at, Math.min(at + CHUNK, at + flags.sample - looked))
      top.push(...(await measured(node, room, measure)))
      looked += room.length
      progress.at(looked)
      if (top.length > flags.limit * 2) top = first(top, measure, flags.limit)
      if (looked >= flags.sample || performance.now() > until) {
        complete = false
        break scan
      }
    }
  }
  progress.end()
  return { pattern, by, unit: measure.unit, keys: first(top, measure, flags.limit), looked, complete }
}

async function measured(node: RedisNode, names: readonly string[], measure: Measure) {
  const answers = await Promise.all(names.map((name) => node.send(measure.ask(name), DEADLINE)))
  // Null, -2: it went away meanwhile.
  return names.flatMap((name, i) => {
    const rank = Number(answers[i] ?? -2)
    return rank === -2 ? [] : [{ key: shownName(name), rank }]
  })
}

function first(rows: readonly { key: string; rank: number }[], { unit, order }: Measure, limit: number) {
  const weight = (rank: number): number =>
    unit === TTL.unit && rank === -1 ? Number.POSITIVE_INFINITY : rank * order
  const sorted = [...rows].sort((a, b) => compare(weight(b.rank), weight(a.rank)))
  return sorted.slice(0, limit)
}

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)

/** The server counts uses under an LFU policy only, and knows the idle time under all others. */
async function heatOf({ hf }: Session): Promise<Measure> {
  const info = await hf.redis?.info('cache')
  return info?.[0]?.maxmemory_policy?.includes('lfu') ? FREQUENCY : IDLE
}
