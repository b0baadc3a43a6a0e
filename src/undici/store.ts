import type { Writable } from 'node:stream'
import { MAX_DURATION_MS } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { eventChannel } from '../base/events.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Cache } from '../cache/cache.ts'
import type { CacheOptions } from '../cache/options.ts'
import { packBody } from '../http/stored-body.ts'
import { Lru } from '../memory/lru.ts'
import type { UndiciCacheKey, UndiciCacheStore, UndiciCacheValue, UndiciGetResult } from './interface.ts'
import { Recorder } from './recorder.ts'
import { answer, fits, pick, type Stored } from './stored-response.ts'
import { type Fields, MAX_FIELD_SETS, type Place, placeOf, sameSet, variantName } from './variant.ts'

/** How the responses are kept. */
export interface UndiciStoreOptions {
  /** Where responses are kept: `hf.cache`, or a namespace of it. */
  readonly cache: Cache
  /** First part of every key. @default 'undici' */
  readonly prefix?: string | undefined
  /** A larger body is passed through and not stored. In bytes. @default 2 MiB */
  readonly maxBodyBytes?: number | undefined
  /** Tags to store a response under, for `cache.invalidateTag`. */
  readonly tags?: ((key: UndiciCacheKey, value: UndiciCacheValue) => readonly string[]) | undefined
  /** Encrypt at rest; needs `encryption` keys on the instance. @default false */
  readonly sensitive?: boolean | undefined
  /** Keep responses in process memory too. @default true */
  readonly l1?: boolean | undefined
}

/** What the store counted since it was made. */
export interface UndiciStoreStats {
  readonly hits: number
  readonly misses: number
  /** Look-ups and writes for which the cache could not be asked; each was a miss, or not stored. */
  readonly errors: number
  readonly stored: number
  /** Bodies over `maxBodyBytes`. */
  readonly tooLarge: number
  /** Bodies that ended before their end: aborted by the caller, or reset by the server. */
  readonly aborted: number
}

/** `holdfast:undici:degraded`: the cache could not be asked; the request went on without it. */
export interface UndiciDegradedEvent {
  readonly op: 'get' | 'store' | 'delete'
  readonly origin: string
  readonly cause: unknown
}
export const undiciDegradedEvents = eventChannel<UndiciDegradedEvent>('holdfast:undici:degraded')

const OPTION_NAMES = ['cache', 'prefix', 'maxBodyBytes', 'tags', 'sensitive', 'l1']
/** Resources whose names and variants are remembered, to spare the hashing and a second look. */
const MAX_PLACES = 10_000
const MAX_BODY_BYTES = 2 * 1024 * 1024
/** Header fields, and what JSON adds to a body. */
const ENVELOPE_BYTES = 256 * 1024
/** Longer than a request may take whose answer is stored. */
const DELETION = { ttl: '10m', l1: false, sensitive: false, wait: 'commit' } as const

/**
 * A store for undici's cache interceptor (undici 7 and 8), shared by all processes:
 * `new Agent().compose(interceptors.cache({ store: undiciStore({ cache: hf.cache }) }))`. What may
 * be stored and reused is undici's decision (RFC 9111); this is where it is kept. A hit is one
 * read, or none with a copy in memory; a miss, and the first look at a resource that varies, are
 * two; whatever else the server holds. While the cache cannot be asked
 * every look-up is a miss; no method rejects or throws because of it.
 * @throws InvalidOption
 */
export function undiciStore(options: UndiciStoreOptions): UndiciStore {
  return new UndiciStore(options)
}

/** Keeps the responses of undici's cache interceptor in a cache: see `undiciStore`. */
export class UndiciStore implements UndiciCacheStore {
  readonly #cache: Cache
  readonly #prefix: string
  readonly #limit: number
  readonly #tags: UndiciStoreOptions['tags']
  readonly #base: CacheOptions
  readonly #counts = { hits: 0, misses: 0, errors: 0, stored: 0, tooLarge: 0, aborted: 0 }
  readonly #places = new Lru<Place>({ maxEntries: MAX_PLACES, maxBytes: Number.MAX_SAFE_INTEGER })
  /** Writes on their way, by resource: who asks in this process meanwhile waits for them. */
  readonly #pending = new Map<string, Promise<void>>()
  /**
   * Which deletion was the last when a request found nothing fresh: an answer that was asked for
   * before a deletion must not be stored after it. The interceptor hands the same key object to
   * `get` and to `createWriteStream`.
   */
  readonly #seen = new WeakMap<UndiciCacheKey, string | undefined>()

  constructor(options: UndiciStoreOptions) {
    refuseUnknown(options, OPTION_NAMES, 'undiciStore()')
    const { cache, prefix = 'undici', maxBodyBytes = MAX_BODY_BYTES, sensitive, l1 } = options
    if (typeof cache?.getMany !== 'function') {
      throw new InvalidOption('undiciStore() got no cache', 'write undiciStore({ cache: hf.cache })')
    }
    if (typeof prefix !== 'string' || !/^[\w.:-]{1,64}$/.test(prefix)) {
      throw new InvalidOption('prefix is not a short plain name', `write prefix: 'undici'`)
    }
    if (!Number.isSafeInteger(maxBodyBytes) || maxBodyBytes < 0) {
      throw new InvalidOption('maxBodyBytes is not a number of bytes', 'give a whole number from 0 up')
    }
    if (options.tags !== undefined && typeof options.tags !== 'function') {
      throw new InvalidOption('tags is not a function', 'write tags: (key, value) => [ … ]')
    }
    this.#cache = cache
    this.#prefix = prefix
    this.#limit = maxBodyBytes
    this.#tags = options.tags
    this.#base = { sensitive, l1, maxValueBytes: 2 * maxBodyBytes + ENVELOPE_BYTES, jitter: 0, codec: 'json' }
  }

  /** Never rejects for the store's sake: what cannot be asked for is not there. */
  async get(key: UndiciCacheKey): Promise<UndiciGetResult | undefined> {
    const place = this.#place(key)
    try {
      const pending = this.#pending.get(place.resource)
      if (pending) await pending
      const found = await this.#find(key, place)
      const isFresh = found !== undefined && found.staleAt > this.#cache.core.clock.wall()
      if (!isFresh && !this.#seen.has(key)) this.#seen.set(key, await this.#deletion(place))
      if (found === undefined) this.#counts.misses++
      else this.#counts.hits++
      return found && answer(found)
    } catch (cause) {
      this.#degraded('get', key, cause)
      return undefined
    }
  }

  /** What is written is stored when the stream is ended, and not when it is destroyed. */
  createWriteStream(key: UndiciCacheKey, value: UndiciCacheValue): Writable | undefined {
    check(key)
    const { method, origin, path, headers } = key
    const asked = { method, origin, path, ...(headers && { headers }) }
    const before = this.#seen.has(key) ? { deletion: this.#seen.get(key) } : undefined
    return new Recorder(
      this.#limit,
      (body) => this.#store(asked, value, body, before),
      (why) => {
        if (why === 'aborted') this.#counts.aborted++
        else this.#counts.tooLarge++
      },
    )
  }

  /** Every method and variant of the resource. Never rejects. */
  async delete(key: UndiciCacheKey): Promise<void> {
    const { resource } = this.#place(key)
    await this.#inTurn(resource, 'delete', key, async () => {
      const { random } = this.#cache.core
      await this.#cache
        .set(deletionOf(resource), random.id(), { ...this.#base, ...DELETION })
        .catch((cause: unknown) => this.#degraded('delete', key, cause))
      await this.#cache.invalidateTag(resource, { wait: 'commit' })
    })
  }

  /** What was counted since it was made. */
  stats(): UndiciStoreStats {
    return { ...this.#counts }
  }

  #place(key: UndiciCacheKey): Place {
    const { method, origin, path } = check(key)
    const name = `${method} ${origin} ${path}`
    const known = this.#places.get(name)
    if (known) return known
    const place = placeOf(this.#prefix, key, this.#base)
    this.#places.set(name, place, 1)
    return place
  }

  async #find(key: UndiciCacheKey, place: Place): Promise<Stored | undefined> {
    const { plain, fields, options } = place
    const namesOf = (sets: Fields['sets']) => sets.map((set) => variantName(plain, set, key.headers))
    const guessed = namesOf(place.sets)
    const seen = await this.#cache.getMany<Stored | Fields>([fields, ...guessed], options)
    const found = guessed.flatMap((name) => (seen.get(name) as Stored | undefined) ?? [])
    const sets = (seen.get(fields) as Fields | undefined)?.sets
    if (sets !== undefined && sets !== place.sets) {
      place.sets = sets
      const more = namesOf(sets).filter((name) => !guessed.includes(name))
      if (more.length > 0) found.push(...(await this.#cache.getMany<Stored>(more, options)).values())
    }
    const now = this.#cache.core.clock.wall()
    const fitting = found.filter((value) => value.deleteAt > now && fits(value, key))
    // Where several fit, the latest (RFC 9111, section 4.1).
    return fitting.sort((a, b) => b.cachedAt - a.cachedAt)[0]
  }

  /** Id of the last deletion, as the server knows it; undefined when there was none of late. */
  #deletion({ resource }: Place): Promise<string | undefined> {
    return this.#cache.get<string>(deletionOf(resource), { ...this.#base, l1: false, sensitive: false })
  }

  #store(
    key: UndiciCacheKey,
    value: UndiciCacheValue,
    body: Buffer,
    before: { readonly deletion: string | undefined } | undefined,
  ): Promise<void> {
    const place = this.#place(key)
    return this.#inTurn(place.resource, 'store', key, async () => {
      const isOutdated = async () => before && before.deletion !== (await this.#deletion(place))
      if (!(value.deleteAt > this.#cache.core.clock.wall()) || (await isOutdated())) return
      const name = await this.#put(key, value, body, place)
      if (name === undefined) return
      // A deletion that came first left its id before this look; one that comes later drops the entry.
      if (await isOutdated()) await this.#cache.delete(name, { wait: 'commit' })
      else this.#counts.stored++
    })
  }

  /** Returns the name under which it is stored now. */
  async #put(
    key: UndiciCacheKey,
    value: UndiciCacheValue,
    body: Buffer,
    { plain, fields, options, resource }: Place,
  ): Promise<string | undefined> {
    const set = Object.keys(value.vary ?? {}).sort()
    const known = await this.#cache.get<Fields>(fields, options)
    const sets = known?.sets ?? []
    const isKnown = sets.some((other) => sameSet(other, set))
    const until = Math.max(value.deleteAt, known?.until ?? 0)
    const life = (end: number) => {
      const ttl = Math.min(MAX_DURATION_MS, Math.floor(end - this.#cache.core.clock.wall()))
      return { ...options, ttl: Math.max(0, ttl), wait: 'commit' as const }
    }
    if (!isKnown || known === undefined || known.until < until) {
      const all = isKnown ? sets : [...sets, set].slice(-MAX_FIELD_SETS)
      await this.#cache.set(fields, { sets: all, until }, life(until))
    }
    const stored: Stored = { ...pick(value), ...packBody(body) }
    const name = variantName(plain, set, value.vary)
    const isPacked = value.headers['content-encoding'] !== undefined
    const isStored = await this.#cache.set(name, stored, {
      ...life(value.deleteAt),
      tags: [resource, ...(this.#tags?.(key, value) ?? [])],
      ...(isPacked && { compress: false as const }),
    })
    return isStored ? name : undefined
  }

  /** Writes to one resource by this process take effect in the order in which they were made. */
  #inTurn(
    resource: string,
    op: 'store' | 'delete',
    key: UndiciCacheKey,
    work: () => Promise<void>,
  ): Promise<void> {
    const before = this.#pending.get(resource) ?? Promise.resolve()
    const mine = before
      .then(work)
      .catch((cause: unknown) => this.#degraded(op, key, cause))
      .finally(() => {
        if (this.#pending.get(resource) === mine) this.#pending.delete(resource)
      })
    this.#pending.set(resource, mine)
    return mine
  }

  #degraded(op: UndiciDegradedEvent['op'], key: UndiciCacheKey, cause: unknown): void {
    this.#counts.errors++
    if (undiciDegradedEvents.active) undiciDegradedEvents.publish({ op, origin: key.origin, cause })
  }
}

const deletionOf = (resource: string): string => `${resource}:deleted`

function check(key: UndiciCacheKey): UndiciCacheKey {
  const isKey =
    typeof key === 'object' &&
    key !== null &&
    typeof key.origin === 'string' &&
    typeof key.method === 'string' &&
    typeof key.path === 'string'
  if (isKey) return key
  throw new InvalidOption(
    'a cache key of undici lacks its origin, method or path',
    'use the store with interceptors.cache({ store }) of undici 7 or 8',
  )
}
