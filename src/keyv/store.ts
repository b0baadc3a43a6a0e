import { EventEmitter } from 'node:events'
import { decodeName, escapeGlob } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Cache } from '../cache/cache.ts'
import type { WriteOptions } from '../cache/options.ts'

/** What we use of an instance: `holdfast()` fits, and so does `{ cache: createCache() }`. */
export interface HasCache {
  readonly cache: Cache
}

/** How entries of Keyv are kept in the cache. */
export interface KeyvStoreOptions {
  /** Where the entries stand in the cache, apart from the application's own. @default 'keyv' */
  readonly area?: string | undefined
}

/** An entry without a ttl lives this long: the longest life there is. */
const FOR_EVER_MS = 3_650 * 86_400_000
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a key of the cache may not hold is what it looks for
const UNUSABLE = /[\x00-\x1f\x7f-\x9f\\\p{Surrogate}]/gu
const PAGE = 200

/**
 * A storage adapter for Keyv 5 on the cache: `new Keyv({ store: keyvStore(hf) })`. Shared by every
 * process on the same Redis, with local copies that never outlive a change. While Redis is away reads
 * miss, and writes answer false and emit `error`.
 */
export class KeyvStore extends EventEmitter {
  /** Set by Keyv. `clear` and `iterator` keep to it. */
  namespace: string | undefined
  /** What Keyv asks every adapter for; it iterates over the dialects it knows only. */
  readonly opts: { readonly dialect: string } = { dialect: 'redis' }
  readonly #cache: Cache

  constructor(instance: HasCache, options: KeyvStoreOptions = {}) {
    super()
    refuseUnknown(options, ['area'], 'keyvStore()')
    this.#cache = instance.cache.namespace(options.area ?? 'keyv')
  }

  get<Value>(key: string): Promise<Value | undefined> {
    return this.#cache.get<Value>(usable(key))
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const found = await this.#cache.getMany<Value>(keys.map(usable))
    return keys.map((key) => found.get(usable(key)))
  }

  /** @param ttl ms; absent or 0: for ever. @returns whether it was stored */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    return this.#attempt(() => this.#cache.set(usable(key), value, lifeOf(ttl)), false)
  }

  /** One write per ttl among the entries. */
  async setMany(entries: readonly { key: string; value: unknown; ttl?: number }[]): Promise<boolean[]> {
    const byLife = new Map<number | undefined, [string, unknown][]>()
    const last = new Map(entries.map((entry) => [entry.key, entry]))
    for (const { key, value, ttl } of last.values()) {
      const group = byLife.get(ttl) ?? []
      group.push([usable(key), value])
      byLife.set(ttl, group)
    }
    const written = await this.#attempt(async () => {
      let count = 0
      for (const [ttl, pairs] of byLife) count += await this.#cache.setMany(pairs, lifeOf(ttl))
      return count
    }, 0)
    return entries.map(() => written >= last.size)
  }

  /** @returns whether it was there */
  async delete(key: string): Promise<boolean> {
    return this.deleteMany([key])
  }

  /** @returns whether any was there */
  async deleteMany(keys: string[]): Promise<boolean> {
    const names = keys.map(usable)
    return this.#attempt(async () => {
      const there = await this.#cache.getMany(names, { l1: false })
      await this.#cache.deleteMany(names)
      return there.size > 0
    }, false)
  }

  has(key: string): Promise<boolean> {
    return this.#cache.has(usable(key))
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const found = await this.#cache.getMany(keys.map(usable))
    return keys.map((key) => found.has(usable(key)))
  }

  /** Everything of the namespace. Without one everything of the area, at once; with one it walks the keys. */
  async clear(): Promise<void> {
    const { namespace } = this
    await this.#attempt(async () => {
      if (namespace === undefined) await this.#cache.clear()
      else await this.#cache.deletePattern(`${escapeGlob(usable(namespace))}:*`)
    }, undefined)
  }

  /** Key and value of each entry; a key over 512 bytes is not known any more and left out. */
  async *iterator<Value>(namespace?: string): AsyncGenerator<[string, Value | undefined], void> {
    const glob = namespace === undefined ? '*' : `${escapeGlob(usable(namespace))}:*`
    const prefix = this.#cache.prefix
    for await (const names of this.#cache.scan(glob)) {
      for (let at = 0; at < names.length; at += PAGE) {
        const keys = names
          .slice(at, at + PAGE)
          .map((name) => name.slice(prefix.length))
          .filter((name) => !name.startsWith('%h:'))
          .map(decodeName)
        const found = await this.#cache.getMany<Value>(keys)
        for (const [key, value] of found) yield [original(key), value]
      }
    }
  }

  /** Nothing to do: the connections belong to the instance. */
  async disconnect(): Promise<void> {}

  async #attempt<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      return await work()
    } catch (error) {
      // Keyv listens; without a listener an error event would end the process.
      if (this.listenerCount('error') > 0) this.emit('error', error)
      return otherwise
    }
  }
}

const lifeOf = (ttl: number | undefined): WriteOptions => ({
  ttl: ttl === undefined || ttl === 0 ? FOR_EVER_MS : Math.min(FOR_EVER_MS, Math.max(1, ttl)),
})

/** Keyv takes any text for a key, the cache none with control characters or half a surrogate pair. */
function usable(key: string): string {
  return key.replace(UNUSABLE, (char) => `\\${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function original(key: string): string {
  return key.replace(/\\([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
