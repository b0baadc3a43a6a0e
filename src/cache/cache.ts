import { type Duration, toMs } from '../base/duration.ts'
import { Closed, InvalidOption } from '../base/errors.ts'
import {
  boundName,
  encodeGlob,
  encodeName,
  encodePart,
  isPlainName,
  NAMESPACE_SEPARATOR,
} from '../base/key.ts'
import type { Core, Scope } from './core.ts'
import {
  type CachedOptions,
  cached,
  cacheFunction,
  type InvalidatesOptions,
  invalidates,
  invalidatesFunction,
  type MethodWrapper,
} from './decorators.ts'
import { type Defined, type Definition, define } from './define.ts'
import { Memo } from './holder.ts'
import { type Inspection, type InspectOptions, inspectKey } from './inspect.ts'
import { type KeyPage, keyPage, type PageOptions } from './key-page.ts'
import { type Found, lookUp } from './look.ts'
import { getOrSetMany, type LoadMissing, readMany } from './many.ts'
import { type MutateOptions, mutate } from './mutate.ts'
import type { CacheOptions, InvalidateOptions, LoadContext, Loader, WriteOptions } from './options.ts'
import { draftAll, putAll } from './put.ts'
import { getQuickly } from './quick-hit.ts'
import { Reporter } from './reporter.ts'
import { fullTag, mergeOptions, resolveSettings, type Settings } from './settings.ts'
import { type CacheStats, Counters, type Outcome, snapshot, type WriteEvent } from './stats.ts'
import type { Invalidation, Mark, StoreCounters } from './store.ts'
import { type WarmEntry, type WarmOptions, type WarmReport, warm } from './warm.ts'

/** What `deletePattern` takes. */
export interface PatternOptions extends InvalidateOptions {
  /** Only count. @default false */
  dryRun?: boolean | undefined
  /** Keep the values as stale, as `expire` does. @default false */
  soft?: boolean | undefined
}

/** Counters of a namespace, of each below it, and of the store. */
export interface CacheReport extends CacheStats {
  readonly namespaces: Readonly<Record<string, CacheStats>>
  readonly store: StoreCounters
}

type Hear = (outcome: Outcome) => void

export interface CacheParts {
  readonly core: Core
  readonly path: readonly string[]
  readonly options: CacheOptions
  /** Options of namespaces by their path, joined by `/`. */
  readonly presets: ReadonlyMap<string, CacheOptions>
  /** All namespaces of the instance, for statistics. */
  readonly family: Map<string, Cache>
}

/** Namespace prefix in bytes; with a plain key of the usual bound it stays below 512. */
const MAX_PREFIX = 120

/**
 * A cache, or one namespace of it. Absent is `undefined`; a cached `undefined`, `null`, `0`,
 * `false` or `''` is a value (`has` and `getMany` tell the two apart). Values handed out are frozen
 * unless the instance was made with `l1: { share: 'copy' }` or `l1: false`.
 *
 * Every verb rejects with InvalidKey, InvalidOption or InvalidValue on bad input, and with Closed
 * after `close()`. Reads never reject because of the store; invalidations and writes do, with
 * NotAcknowledged, when the store did not confirm.
 */
export class Cache implements Scope {
  readonly core: Core
  readonly path: string
  readonly prefix: string
  readonly implied: readonly string[]
  readonly counters = new Counters()
  readonly #parts: CacheParts
  readonly #base: Settings
  readonly #isQuick: boolean
  readonly #resolved = new WeakMap<CacheOptions, Settings>()
  readonly #reporter: Reporter

  /** @internal Use `createCache`. */
  constructor(parts: CacheParts) {
    this.core = parts.core
    this.#parts = parts
    this.path = parts.path.join(NAMESPACE_SEPARATOR)
    this.prefix = this.path === '' ? '' : this.path + NAMESPACE_SEPARATOR
    this.implied = parts.path.map((_, i) => impliedTag(parts.path.slice(0, i + 1)))
    this.#base = resolveSettings(parts.options, this.prefix, this.implied)
    this.#isQuick =
      this.#base.l1 && this.#base.refreshAhead === 0 && this.#base.xfetch === 0 && !this.#base.signal
    this.#reporter = new Reporter(this)
    parts.family.set(this.path, this)
  }

  /**
   * The cached value of `key`, or what `loader` returns, stored. Concurrent callers, in this and
   * other processes, share one load.
   * @throws what the loader throws (when no stale value may answer), LoadTimeout, the signal's reason
   */
  getOrSet<T>(key: string, loader: Loader<T>, options?: CacheOptions): Promise<T> {
    return this.getOrSetHeard(key, loader, options)
  }

  /** @internal As `getOrSet`; `hear` is told where the value comes from, before it comes. */
  getOrSetHeard<T>(key: string, loader: Loader<T>, options?: CacheOptions, hear?: Hear): Promise<T> {
    // The path of an L1 hit: no async function, no merging, no clock but one.
    if (isPlainName(key)) {
      const entry = this.core.store.peek(this.prefix + key)
      if (entry !== undefined && entry.memo instanceof Memo && this.#fits(entry.memo, options)) {
        if (entry.freshUntil > this.core.store.serverNow()) {
          this.counters.hitsL1++
          if (this.#reporter.isHeard) this.#reporter.tell('getOrSet', key, 'l1', this.core.clock.mono())
          hear?.('l1')
          return Promise.resolve(entry.memo.value as T)
        }
      }
    }
    return this.#getOrSet(key, loader, options, hear)
  }

  async #getOrSet<T>(
    key: string,
    loader: Loader<T>,
    options: CacheOptions | undefined,
    hear: Hear | undefined,
  ): Promise<T> {
    const name = this.nameOf(key)
    const settings = this.settings(options)
    if (typeof loader !== 'function') {
      throw new InvalidOption('the loader is not a function', 'write getOrSet(key, () => …)')
    }
    const began = this.core.clock.mono()
    const ask = { scope: this, key, name, loader: loader as Loader<unknown>, settings }
    const done = (outcome: Outcome): void => {
      this.#reporter.count('getOrSet', key, outcome, began)
      hear?.(outcome)
    }
    return getQuickly(ask, done) as Promise<T>
  }

  /** The fresh value, or undefined. */
  async get<T = unknown>(key: string, options?: CacheOptions): Promise<T | undefined> {
    const { value } = await this.#look(key, options, 'get')
    return value as T | undefined
  }

  /** Whether a fresh value is there, a cached `undefined` included. */
  async has(key: string, options?: CacheOptions): Promise<boolean> {
    return (await this.#look(key, options, 'has')).isFound
  }

  /** The fresh values by key, one round trip; absent keys are absent from the Map. */
  async getMany<T = unknown>(keys: Iterable<string>, options?: CacheOptions): Promise<Map<string, T>> {
    this.#refuseClosed()
    const count = (key: string, outcome: Outcome, began: number) =>
      this.#reporter.count('getMany', key, outcome, began)
    return (await readMany(this, [...keys], this.settings(options), count)) as Map<string, T>
  }

  /**
   * Stores a value, as trustworthy as the caller: see `mark` and `mutate` for safe write-through.
   * @returns whether it was stored; false when ttl is 0, the mark is outdated, or memory is full
   */
  async set(key: string, value: unknown, options?: WriteOptions): Promise<boolean> {
    return (await this.setMany([[key, value]], options)) === 1
  }

  /** @returns how many were stored */
  async setMany(
    entries: Iterable<readonly [string, unknown]> | Readonly<Record<string, unknown>>,
    options?: WriteOptions,
  ): Promise<number> {
    this.#refuseClosed()
    const settings = this.settings(options)
    const pairs =
      Symbol.iterator in entries
        ? [...(entries as Iterable<readonly [string, unknown]>)]
        : Object.entries(entries)
    const values = new Map(pairs.map(([key, value]) => [this.nameOf(key), value]))
    if (values.size === 0) return 0
    const drafts = await draftAll(this, values, settings)
    return this.#reporter.write('set', [...drafts.keys()], () => putAll(this, drafts, settings, options))
  }

  /** Hard: the value is gone for every process once this resolves. True = acknowledged. */
  async delete(key: string, options?: InvalidateOptions): Promise<boolean> {
    return this.deleteMany([key], options)
  }

  /** `delete` for many keys, in one step. @throws InvalidKey, NotAcknowledged */
  async deleteMany(keys: Iterable<string>, options?: InvalidateOptions): Promise<boolean> {
    const names = [...keys].map((key) => this.nameOf(key))
    await this.#invalidate('delete', { keys: names }, options)
    this.counters.deletes += names.length
    return true
  }

  /** Soft: the value counts as stale from now on, and is reloaded on next use. */
  async expire(key: string, options?: InvalidateOptions): Promise<boolean> {
    await this.#invalidate('expire', { keys: [this.nameOf(key)], soft: true }, options)
    return true
  }

  /** Hard: every entry that carries one of the tags is gone, whatever their number. */
  async invalidateTag(tags: string | readonly string[], options?: InvalidateOptions): Promise<boolean> {
    await this.#invalidate('invalidate-tag', { tags: this.#fullTags(tags) }, options)
    return true
  }

  /** Soft: every entry that carries one of the tags counts as stale from now on. */
  async expireTag(tags: string | readonly string[], options?: InvalidateOptions): Promise<boolean> {
    await this.#invalidate('expire-tag', { tags: this.#fullTags(tags), soft: true }, options)
    return true
  }

  /** Keys and tags in one atomic step. */
  async invalidate(
    what: { keys?: readonly string[] | undefined; tags?: readonly string[] | undefined },
    options?: InvalidateOptions,
  ): Promise<boolean> {
    const keys = (what.keys ?? []).map((key) => this.nameOf(key))
    const tags = this.#fullTags(what.tags ?? [])
    if (keys.length + tags.length > 0) await this.#invalidate('invalidate-tag', { keys, tags }, options)
    return true
  }

  /** Everything in this namespace and below it, in O(1); at the root, everything of this instance. */
  async clear(options?: InvalidateOptions): Promise<boolean> {
    const own = this.implied.at(-1)
    await this.#invalidate('clear', own === undefined ? { all: true } : { tags: [own] }, options)
    return true
  }

  /**
   * Invalidates every key that matches (`*`, `?`, `[a-z]`; a backslash takes the next character
   * literally, see `escapeGlob`). Walks the key space: prefer tags where calls are frequent.
   * @returns how many keys matched
   */
  async deletePattern(glob: string, options: PatternOptions = {}): Promise<number> {
    this.#refuseClosed()
    const full = this.prefix + encodeGlob(glob)
    return this.#reporter.write('pattern', [full], async () => {
      const { wait = 'all', dryRun = false, soft = false } = options
      const count = await this.core.store.invalidatePattern(full, { wait, dryRun, soft })
      if (!dryRun) this.counters.invalidations++
      return count
    })
  }

  /** Gives a present entry another life from now on. False = there is none. */
  async touch(key: string, ttl: Duration, stale?: Duration): Promise<boolean> {
    this.#refuseClosed()
    const name = this.nameOf(key)
    const ttlMs = toMs(ttl, 'ttl')
    const staleMs = stale === undefined ? this.#base.staleMs : toMs(stale, 'stale')
    return this.#reporter.write('touch', [name], () => this.core.store.touch(name, ttlMs, staleMs))
  }

  /**
   * For each id the cached value, or what `loadMissing` returns for the ids that are missing: a
   * Map or Record by id, or an array in the ids' order. An id it leaves out of a Map is `undefined`.
   * @throws InvalidValue when an array has the wrong length; else as `getOrSet`
   */
  async getOrSetMany<Id extends string | number, T>(
    ids: Iterable<Id>,
    keyOf: (id: Id) => string,
    loadMissing: LoadMissing<Id, T>,
    options?: CacheOptions,
  ): Promise<Map<Id, T>> {
    this.#refuseClosed()
    const count = (key: string, outcome: Outcome, began: number) =>
      this.#reporter.count('getOrSetMany', key, outcome, began)
    return getOrSetMany(this, [...ids], keyOf, loadMissing, this.settings(options), count)
  }

  /**
   * Runs `tx` (a database transaction) while nothing under these names can be cached, then
   * invalidates them. So no reader can cache what the transaction is about to replace.
   * @throws what `tx` throws; NotAcknowledged (with the result of `tx`) when the end is not confirmed
   */
  async mutate<T>(
    names: { keys?: readonly string[] | undefined; tags?: readonly string[] | undefined },
    tx: () => T | Promise<T>,
    options?: MutateOptions,
  ): Promise<T> {
    this.#refuseClosed()
    const keys = (names.keys ?? []).map((key) => this.nameOf(key))
    const tags = this.#fullTags(names.tags ?? [])
    return this.#reporter.write('mutate', [...keys, ...tags], async () => {
      const result = await mutate(this.core.store, { keys, tags }, tx, options)
      this.counters.invalidations++
      return result
    })
  }

  /** Take it before reading the source, give it to `set`: an invalidation in between refuses the set. */
  async mark(): Promise<Mark> {
    this.#refuseClosed()
    return this.core.store.mark()
  }

  /** All that is known about one key, without counting as a look-up. */
  async inspect(key: string, options?: InspectOptions): Promise<Inspection> {
    this.#refuseClosed()
    return inspectKey(this, key, this.nameOf(key), this.#base, options)
  }

  /** Key names that match, in the form the store knows them, namespaces before `|`. */
  async *scan(glob = '*'): AsyncGenerator<readonly string[]> {
    this.#refuseClosed()
    for await (const { keys } of this.core.store.scan(this.prefix + encodeGlob(glob))) {
      if (keys.length > 0) yield keys
    }
  }

  /**
   * One page of the keys that match, in the form that this namespace takes them, bounded in time.
   * @throws InvalidOption, RedisUnavailable, RedisTimeout
   */
  async keys(glob = '*', options: PageOptions = {}): Promise<KeyPage> {
    this.#refuseClosed()
    return keyPage(this, encodeGlob(glob), options)
  }

  /** Loads what is not there yet, a few at a time. Never rejects for a failing loader: see the report. */
  async warm(
    entries: Iterable<WarmEntry> | AsyncIterable<WarmEntry>,
    options?: WarmOptions,
  ): Promise<WarmReport> {
    this.#refuseClosed()
    return warm(this, entries, options)
  }

  /**
   * A function whose results are cached, with verbs of its own. The loader gets the arguments and
   * then the load context.
   */
  define<Args extends unknown[], T>(
    definition: Definition<Args>,
    loader: (...args: [...Args, LoadContext<T>]) => T | Promise<T>,
  ): Defined<Args, T> {
    return define(this, definition, loader)
  }

  /** `fn` with its results cached; as a method decorator: `@cache.cached({ prefix: 'task' })`. */
  cached<Args extends unknown[], R>(
    fn: (...args: Args) => R | Promise<R>,
    options?: CachedOptions<Args>,
  ): (...args: Args) => Promise<R>
  cached(options: CachedOptions<never[]>): MethodWrapper
  cached(
    first: ((...args: never[]) => unknown) | CachedOptions<never[]>,
    options?: CachedOptions<never[]>,
  ): unknown {
    return typeof first === 'function'
      ? cacheFunction(this, first, options)
      : cached({ ...first, cache: this })
  }

  /** `fn`, after whose success the named entries are invalidated; also as a method decorator. */
  invalidates<Args extends unknown[], R>(
    fn: (...args: Args) => R | Promise<R>,
    options: InvalidatesOptions<Args>,
  ): (...args: Args) => Promise<R>
  invalidates(options: InvalidatesOptions<never[]>): MethodWrapper
  invalidates(
    first: ((...args: never[]) => unknown) | InvalidatesOptions<never[]>,
    options?: InvalidatesOptions<never[]>,
  ): unknown {
    return typeof first === 'function'
      ? invalidatesFunction(this, first, options ?? {})
      : invalidates({ ...first, cache: this })
  }

  /**
   * A part of this cache with own defaults and own statistics. Its keys and tags cannot collide
   * with others', and `clear()` empties it in one step.
   */
  namespace(name: string, defaults: CacheOptions = {}): Cache {
    const path = [...this.#parts.path, encodePart(name, 'namespace')]
    const joined = path.join(NAMESPACE_SEPARATOR)
    if (Buffer.byteLength(joined) > MAX_PREFIX) {
      throw new InvalidOption('a namespace path is over 120 bytes', 'use shorter names')
    }
    const known = this.#parts.family.get(joined)
    if (known && Object.keys(defaults).length === 0) return known
    const preset = this.#parts.presets.get(joined) ?? {}
    const options = mergeOptions(mergeOptions({ ...this.#parts.options, tags: undefined }, preset), defaults)
    const made = new Cache({ ...this.#parts, path, options })
    if (known) made.counters.add(known.counters)
    return made
  }

  /** What this namespace and those below it counted since the start of the process. */
  stats(): CacheReport {
    const total = new Counters()
    const namespaces: Record<string, CacheStats> = {}
    for (const [path, cache] of this.#parts.family) {
      if (path !== this.path && !path.startsWith(this.prefix)) continue
      total.add(cache.counters)
      if (path !== this.path) namespaces[path] = snapshot(cache.counters)
    }
    return { ...snapshot(total), namespaces, store: this.core.store.counters() }
  }

  /** Ends this cache: every later call rejects. Closes the store, not the Redis connection. */
  async close(): Promise<void> {
    if (this.core.closed) return
    this.core.closed = true
    await this.core.store.close()
  }

  /** @internal Full name of a key. */
  nameOf(key: string): string {
    return isPlainName(key) ? this.prefix + key : boundName(this.prefix, encodeName(key, 'key'))
  }

  /** @internal Options merged with the defaults, once per options object. */
  settings(options: CacheOptions | undefined): Settings {
    if (options === undefined) return this.#base
    let settings = this.#resolved.get(options)
    if (settings === undefined) {
      settings = resolveSettings(mergeOptions(this.#parts.options, options), this.prefix, this.implied)
      this.#resolved.set(options, settings)
    }
    return settings
  }

  /** Whether a shared value was found good by the rules of this call before. */
  #fits(memo: Memo, options: CacheOptions | undefined): boolean {
    if (!this.#isQuick) return false
    if (options === undefined) return memo.schema === this.#base.schema
    if (options.l1 === false || options.refreshAhead || options.xfetch || options.signal?.aborted)
      return false
    if (memo.schema !== (options.schema ?? this.#base.schema)) return false
    const { tags } = options
    if (tags === undefined || tags === memo.tags) return true
    const seen = memo.tags
    if (seen === undefined || seen.length !== tags.length) return tags.length === 0
    for (let i = 0; i < tags.length; i++) if (tags[i] !== seen[i]) return false
    return true
  }

  async #look(key: string, options: CacheOptions | undefined, op: string): Promise<Found> {
    this.#refuseClosed()
    const began = this.core.clock.mono()
    const found = await lookUp(this, this.nameOf(key), this.settings(options))
    this.#reporter.count(op, key, found.outcome, began)
    return found
  }

  async #invalidate(
    op: WriteEvent['op'],
    what: Invalidation,
    options: InvalidateOptions | undefined,
  ): Promise<void> {
    this.#refuseClosed()
    await this.#reporter.write(op, [...(what.keys ?? []), ...(what.tags ?? [])], async () => {
      await this.core.store.invalidate(what, options?.wait ?? 'all')
      if (op !== 'delete') this.counters.invalidations++
    })
  }

  #fullTags(tags: string | readonly string[]): string[] {
    return (typeof tags === 'string' ? [tags] : tags).map((tag) => fullTag(tag, this.prefix))
  }

  #refuseClosed(): void {
    if (this.core.closed) throw new Closed()
  }
}

/** Every entry of a namespace carries the tags of its path, so clearing any level is one invalidation. */
const impliedTag = (path: readonly string[]): string => `~ns:${path.join(NAMESPACE_SEPARATOR)}`
