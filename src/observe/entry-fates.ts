import type { Clock } from '../base/clock.ts'
import { loads, lookups } from '../cache/stats.ts'
import { hear, type Stop, stopAll } from './part.ts'

/** Entries that are followed at once; while so many are, further ones are let go by. */
const MOST = 5_000

interface Followed {
  readonly namespace: string
  /** Monotonic clock. */
  readonly until: number
}

/** What became of entries that a loader filled. */
export interface Fates {
  /** Read at least once. */
  read: number
  /** Their life ended first: caching them was for nothing. */
  expiredUnread: number
}

/**
 * Follows what loaders fill until it is read or its life ends, by the events of this process; where
 * others read the same entries, too few count as read. An entry that is replaced or dropped
 * before either is not counted.
 */
export class EntryFates {
  readonly #clock: Clock
  readonly #followed = new Map<string, Followed>()
  readonly #fates = new Map<string, Fates>()
  readonly stop: Stop

  constructor(clock: Clock) {
    this.#clock = clock
    this.stop = stopAll([
      hear(loads, ({ namespace, key, fill, ttlMs }) => {
        if (fill !== 'stored' || ttlMs === undefined) return
        const name = nameOf(namespace, key)
        if (this.#followed.size >= MOST && !this.#followed.has(name)) this.#sweep()
        if (this.#followed.size >= MOST && !this.#followed.has(name)) return
        this.#followed.set(name, { namespace, until: this.#clock.mono() + ttlMs })
      }),
      hear(lookups, ({ namespace, key, outcome }) => {
        if (outcome === 'miss' || outcome === 'error' || this.#followed.size === 0) return
        if (this.#followed.delete(nameOf(namespace, key))) this.#of(namespace).read++
      }),
    ])
  }

  /** By namespace, up to now. */
  counts(): ReadonlyMap<string, Readonly<Fates>> {
    this.#sweep()
    return this.#fates
  }

  #sweep(): void {
    const now = this.#clock.mono()
    for (const [name, { namespace, until }] of this.#followed) {
      if (until > now) continue
      this.#followed.delete(name)
      this.#of(namespace).expiredUnread++
    }
  }

  #of(namespace: string): Fates {
    let fates = this.#fates.get(namespace)
    if (fates === undefined) {
      fates = { read: 0, expiredUnread: 0 }
      this.#fates.set(namespace, fates)
    }
    return fates
  }
}

const nameOf = (namespace: string, key: string): string => `${namespace}\n${key}`
