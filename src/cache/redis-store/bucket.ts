import type { Clock } from '../../base/clock.ts'
import type { RedisNode, RedisPort } from '../../redis/port.ts'
import { Journal } from './journal.ts'
import type { Layout } from './layout.ts'

/** Names remembered for reads in flight; past this, older reads may simply not enter L1. */
const RECENT_LIMIT = 4_096

/**
 * What this process knows of one bucket: the epoch that the ordered message stream is in, how long
 * local copies may be trusted, and what was invalidated lately.
 */
export class Bucket {
  readonly layout: Layout
  readonly journal: Journal
  readonly #port: RedisPort
  readonly #clock: Clock

  /** Epoch by stream and heartbeat; '' = unknown: nothing enters or leaves L1. */
  epoch = ''
  /** Rises with every loss of trust in the stream; copies of an older count are worthless. */
  flushes = 0
  #recent = new Map<string, number>()
  #highest = 0
  #floor = 0
  #trustMono = Number.NEGATIVE_INFINITY
  #trustWall = Number.NEGATIVE_INFINITY

  constructor(port: RedisPort, layout: Layout) {
    this.layout = layout
    this.journal = new Journal()
    this.#port = port
    this.#clock = port.clock
  }

  /** Asked anew each time: slots move and masters change. */
  get node(): RedisNode {
    return this.#port.nodeFor(this.layout.word)
  }

  /** Copies may be served: a heartbeat sent less than W ago was answered on the live stream. */
  isTrusted(mono: number): boolean {
    return mono < this.#trustMono && this.#clock.wall() < this.#trustWall
  }

  trust(untilMono: number, untilWall: number): void {
    this.#trustMono = untilMono
    this.#trustWall = untilWall
  }

  /** The stream broke, or the epoch changed: no copy made before may be served again. */
  flush(epoch: string): void {
    this.flushes++
    this.epoch = epoch
    this.#recent.clear()
    this.#highest = 0
    this.#floor = 0
  }

  distrust(): void {
    this.#trustMono = Number.NEGATIVE_INFINITY
    this.flush('')
  }

  /** An invalidation of `names` committed with `seq` in the present epoch. */
  note(names: readonly string[], seq: number): void {
    if (seq > this.#highest) this.#highest = seq
    for (const name of names) {
      if (seq > (this.#recent.get(name) ?? 0)) this.#recent.set(name, seq)
    }
    if (this.#recent.size > RECENT_LIMIT) this.noteAny(this.#highest)
  }

  /** Anything may have been invalidated up to `seq`: a pattern, or too many names to remember. */
  noteAny(seq: number): void {
    if (seq > this.#floor) this.#floor = seq
    // Own replies come late: names that were invalidated after `seq` must not be forgotten.
    for (const [name, noted] of this.#recent) if (noted <= this.#floor) this.#recent.delete(name)
  }

  /** Whether a value read at `seq` includes every invalidation of its names that is known here. */
  isCurrent(names: readonly string[], seq: number): boolean {
    if (seq < this.#floor) return false
    for (const name of names) {
      const noted = this.#recent.get(name)
      if (noted !== undefined && noted > seq) return false
    }
    return true
  }
}

/** Keys and tags share one map of names. */
export const keyName = (key: string): string => `k${key}`
export const tagName = (tag: string): string => `t${tag}`
