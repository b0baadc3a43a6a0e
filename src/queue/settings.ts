import { toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { encodePart } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Durability, QueueOptions } from './options.ts'

/** The options of a queue, checked and with every default in place. Times in ms. */
export interface QueueSettings {
  readonly partitions: number
  readonly durability: Durability
  readonly concurrency: number
  readonly replicas: number
  readonly batch: { readonly size: number; readonly wait: number }
  /** Most messages that a worker holds of one partition while none of them can be tried now. */
  readonly window: number
  readonly retry: {
    readonly attempts: number
    readonly first: number
    readonly most: number
    readonly outage: number
  }
  readonly timeout: number
  readonly maxBytes: number
  readonly pressure: {
    readonly depth: number
    readonly age: number
    readonly whenFull: 'refuse' | 'wait'
    readonly wait: number
  }
  readonly parcel: { readonly size: number; readonly bytes: number; readonly wait: number }
  readonly deadline: number
  readonly dedupe: number
  readonly takeover: number
  readonly grace: number
  readonly whenDown: 'spill' | 'refuse'
}

const KNOWN = [
  'handle', 'orderBy', 'id', 'dedupe', 'coalesce', 'schema', 'partitions', 'batch', 'concurrency', 'durability', 'replicas',
  'retry', 'timeout', 'maxBytes', 'pressure', 'parcel', 'deadline', 'whenDown', 'spill', 'outbox', 'takeover', 'grace',
  'postgres',
] // biome-ignore format: a list of names reads better in rows
const LEVELS: readonly Durability[] = ['memory', 'aof', 'replicated', 'outbox']

/** @throws InvalidOption, InvalidKey */
export function queueSettings<T>(name: string, options: QueueOptions<T>): QueueSettings {
  encodePart(name, 'queue name')
  refuseUnknown(options, KNOWN, `queue('${name.slice(0, 40)}')`)
  const { retry = {}, pressure = {}, parcel = {}, durability = 'memory', whenDown = 'refuse' } = options
  const batch = typeof options.batch === 'number' ? { size: options.batch } : (options.batch ?? {})
  refuseUnknown(batch, ['size', 'wait'], 'batch')
  refuseUnknown(retry, ['attempts', 'first', 'most', 'outage'], 'retry')
  refuseUnknown(pressure, ['depth', 'age', 'whenFull', 'wait'], 'pressure')
  refuseUnknown(parcel, ['size', 'bytes', 'wait'], 'parcel')
  refuseUnknown(options.outbox ?? {}, ['sql', 'table', 'relay', 'batch', 'poll'], 'outbox')
  for (const part of ['handle', 'orderBy', 'id', 'coalesce'] as const) {
    if (options[part] !== undefined && typeof options[part] !== 'function') {
      throw new InvalidOption(`${part} is no function`, `write ${part}: (message) => …`)
    }
  }
  oneOf(durability, LEVELS, 'durability')
  oneOf(whenDown, ['spill', 'refuse'], 'whenDown')
  oneOf(pressure.whenFull ?? 'refuse', ['refuse', 'wait'], 'pressure.whenFull')
  if (whenDown === 'spill' && !options.spill) {
    throw new InvalidOption(
      "whenDown is 'spill' without a place to spill to",
      "add spill: { directory: '…' }",
    )
  }
  if (durability === 'outbox' && !options.outbox) {
    throw new InvalidOption("durability is 'outbox' without an outbox", 'add outbox: { sql: pool }')
  }
  const slow = durability === 'aof' || durability === 'replicated'
  const size = whole(batch.size ?? 100, 1, 10_000, 'batch.size')
  return {
    partitions: whole(options.partitions ?? 8, 1, 256, 'partitions'),
    durability,
    concurrency: whole(options.concurrency ?? 256, 1, 256, 'concurrency'),
    replicas: whole(options.replicas ?? 1, 1, 100, 'replicas'),
    batch: {
      size: whole(batch.size ?? 100, 1, 10_000, 'batch.size'),
      wait: toMs(batch.wait ?? 0, 'batch.wait'),
    },
    window: Math.max(2_000, 4 * size),
    retry: {
      attempts: whole(retry.attempts ?? 10, 1, 1_000_000, 'retry.attempts'),
      first: toMs(retry.first ?? 200, 'retry.first'),
      most: toMs(retry.most ?? 30_000, 'retry.most'),
      outage: toMs(retry.outage ?? 300_000, 'retry.outage'),
    },
    timeout: atLeast(1, toMs(options.timeout ?? 30_000, 'timeout'), 'timeout'),
    maxBytes: whole(options.maxBytes ?? 131_072, 1, 64 * 1_048_576, 'maxBytes'),
    pressure: {
      depth: whole(pressure.depth ?? 1_000_000, 1, Number.MAX_SAFE_INTEGER, 'pressure.depth'),
      age: pressure.age === undefined ? Number.POSITIVE_INFINITY : toMs(pressure.age, 'pressure.age'),
      whenFull: pressure.whenFull ?? 'refuse',
      wait: toMs(pressure.wait ?? 5_000, 'pressure.wait'),
    },
    parcel: {
      size: whole(parcel.size ?? 250, 1, 10_000, 'parcel.size'),
      bytes: whole(parcel.bytes ?? 262_144, 1, 64 * 1_048_576, 'parcel.bytes'),
      wait: toMs(parcel.wait ?? 0, 'parcel.wait'),
    },
    deadline: atLeast(10, toMs(options.deadline ?? (slow ? 5_000 : 1_000), 'deadline'), 'deadline'),
    dedupe: atLeast(1_000, toMs(options.dedupe ?? 600_000, 'dedupe'), 'dedupe'),
    takeover: atLeast(500, toMs(options.takeover ?? 5_000, 'takeover'), 'takeover'),
    grace: toMs(options.grace ?? 10_000, 'grace'),
    whenDown,
  }
}

function whole(value: number, least: number, most: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new InvalidOption(
    `${name} is ${String(value).slice(0, 40)}`,
    `give a whole number from ${least} to ${most}`,
  )
}

function atLeast(least: number, ms: number, name: string): number {
  if (ms >= least) return ms
  throw new InvalidOption(`${name} is ${ms} ms`, `give at least ${least} ms`)
}

function oneOf(value: string, known: readonly string[], name: string): void {
  if (known.includes(value)) return
  throw new InvalidOption(`${name} is '${String(value).slice(0, 40)}'`, `give one of ${known.join(', ')}`)
}
