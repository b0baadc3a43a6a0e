import type { Clock } from '../../base/clock.ts'
import type { RedisNode } from '../../redis/port.ts'

/**
 * One time base for all entries in this process: wall time at creation, moved on by the monotonic
 * clock alone. Server times are shifted into it when they are read, so that later corrections of
 * the offset, and masters whose clocks differ, do not change the age of what is already here.
 */
export class StoreTime {
  readonly clock: Clock
  readonly #base: number

  constructor(clock: Clock) {
    this.clock = clock
    this.#base = clock.wall() - clock.mono()
  }

  now(): number {
    return this.#base + this.clock.mono()
  }

  at(mono: number): number {
    return this.#base + mono
  }

  /** Add it to a time of that server to get ours. */
  shift(node: RedisNode): number {
    return this.now() - node.serverNow()
  }
}
