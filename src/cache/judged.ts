import { Closed } from '../base/errors.ts'
import { decodeName } from '../base/key.ts'
import type { Cache } from './cache.ts'
import { BAD, open } from './entry.ts'
import { Memo } from './holder.ts'
import { getOrLoad, type Judge } from './load.ts'
import type { CacheOptions, Loader } from './options.ts'
import { Reporter } from './reporter.ts'
import type { Outcome } from './stats.ts'
import type { Entry } from './store.ts'

export interface Looked {
  readonly value: unknown
  readonly fresh: boolean
  readonly heldOff: boolean
  readonly tags: readonly string[]
}

/**
 * A cache for callers whose rules of freshness are richer than a ttl, as HTTP's are: they see what
 * is there, stale or not, and say what it is good for. Everything else, single flight, leases, tags,
 * L1 and counters, is the cache's own.
 */
export class JudgedCache {
  readonly #cache: Cache
  readonly #reporter: Reporter

  constructor(cache: Cache) {
    this.#cache = cache
    this.#reporter = new Reporter(cache)
  }

  /** What process memory holds decoded, fresh or stale. Synchronous; counts nothing. */
  peek(name: string): Entry | undefined {
    const entry = this.#cache.core.store.peek(name)
    return entry?.memo instanceof Memo ? entry : undefined
  }

  /** Counts what `peek` found as the hit of one look-up. */
  countHit(key: string, isFresh: boolean): void {
    const { counters, core } = this.#cache
    if (isFresh) counters.hitsL1++
    else {
      counters.hitsStale++
      counters.staleServed++
    }
    if (this.#reporter.isHeard) this.#reporter.tell('http', key, isFresh ? 'l1' : 'stale', core.clock.mono())
  }

  /** `Cache.getOrSet` with a judge. A joined load is not judged: its value is newer than the question. */
  async getOrSet<T>(key: string, loader: Loader<T>, judge: Judge, options: CacheOptions): Promise<T> {
    const cache = this.#cache
    if (cache.core.closed) throw new Closed()
    const began = cache.core.clock.mono()
    const settings = cache.settings(options)
    const ask = {
      scope: cache,
      key,
      name: cache.nameOf(key),
      loader: loader as Loader<unknown>,
      settings,
      judge,
    }
    const done = (outcome: Outcome): void => this.#reporter.count('http', key, outcome, began)
    return (await getOrLoad(ask, done)) as T
  }

  /** What is stored, fresh or stale, without loading and without counting. */
  async look(key: string, options: CacheOptions): Promise<Looked | undefined> {
    const cache = this.#cache
    if (cache.core.closed) throw new Closed()
    const { store } = cache.core
    const name = cache.nameOf(key)
    const settings = cache.settings(options)
    const local = store.peek(name)
    const reply = local ? undefined : await store.read(name, settings.tags)
    const entry = local ?? (reply?.state === 'found' ? reply.entry : undefined)
    if (entry === undefined) return undefined
    const value = await open(cache, entry, settings)
    if (value === BAD) return undefined
    const tags = entry.tags
      .filter((tag) => !tag.startsWith('~'))
      .map((tag) => decodeName(tag.slice(cache.prefix.length)))
    return { value, fresh: entry.freshUntil > store.serverNow(), heldOff: cache.core.isHeldOff(name), tags }
  }

  /** Whether this process is loading the key. */
  isLoading(name: string): boolean {
    return this.#cache.core.flights.has(name)
  }
}
