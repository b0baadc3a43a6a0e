import type { Clock } from '../base/clock.ts'
import { loads, type WriteEvent, writes } from '../cache/stats.ts'
import { hear, type Stop, stopAll } from '../observe/part.ts'

export interface Invalidated {
  /** ISO 8601. */
  readonly at: string
  readonly namespace: string
  readonly op: WriteEvent['op']
  readonly count: number
}

const MOST = 10_000
const DROPS: ReadonlySet<WriteEvent['op']> = new Set([
  'delete',
  'expire',
  'invalidate-tag',
  'expire-tag',
  'pattern',
  'clear',
  'mutate',
])

/**
 * What this process did to entries and tags, by the events of the cache: who wrote an entry, when a tag
 * was invalidated. The last 10,000 names of each.
 */
export class Watcher {
  readonly #clock: Clock
  /** Names of entries that this process stored last. */
  readonly #written = new Map<string, true>()
  readonly #tags = new Map<string, number>()
  readonly #listeners = new Set<(what: Invalidated) => void>()
  readonly stop: Stop

  constructor(clock: Clock) {
    this.#clock = clock
    this.stop = stopAll([
      hear(loads, ({ namespace, key, fill }) => {
        if (fill === 'stored') keep(this.#written, nameOf(namespace, key), true)
      }),
      hear(writes, (event) => this.#wrote(event)),
    ])
  }

  /** @param name as the store knows it, namespaces before `|` */
  wrote(name: string): boolean {
    return this.#written.has(name)
  }

  /** ISO 8601. @param tag full name */
  invalidatedAt(tag: string): string | undefined {
    const at = this.#tags.get(tag)
    return at === undefined ? undefined : new Date(at).toISOString()
  }

  onInvalidation(listener: (what: Invalidated) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #wrote({ namespace, op, names, error }: WriteEvent): void {
    if (error !== undefined) return
    if (op === 'set') for (const name of names) keep(this.#written, name, true)
    if (!DROPS.has(op)) return
    const now = this.#clock.wall()
    if (op === 'invalidate-tag' || op === 'expire-tag') for (const tag of names) keep(this.#tags, tag, now)
    const what = { at: new Date(now).toISOString(), namespace, op, count: names.length }
    for (const listener of this.#listeners) listener(what)
  }
}

function keep<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name)
  map.set(name, value)
  if (map.size > MOST) map.delete(map.keys().next().value!)
}

const nameOf = (namespace: string, key: string): string => (namespace === '' ? key : `${namespace}|${key}`)
