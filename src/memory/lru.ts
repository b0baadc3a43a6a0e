import { LRUCache } from 'lru-cache'

export interface LruBounds<V extends object> {
  readonly maxEntries: number
  readonly maxBytes: number
  /** Told of every value that leaves: for lack of room ('evict'), replaced ('set') or deleted. */
  readonly onDispose?: ((value: V, key: string, reason: 'evict' | 'set' | 'delete') => void) | undefined
}

/**
 * Least recently used entries by name, bounded by count and by bytes. A value larger than the
 * whole byte bound is not kept at all.
 */
export class Lru<V extends object> {
  readonly #cache: LRUCache<string, V>
  #evictions = 0

  constructor(bounds: LruBounds<V>) {
    const { onDispose } = bounds
    this.#cache = new LRUCache<string, V>({
      max: bounds.maxEntries,
      maxSize: bounds.maxBytes,
      dispose: (value, key, reason) => {
        if (reason === 'evict') this.#evictions++
        onDispose?.(value, key, reason === 'evict' || reason === 'set' ? reason : 'delete')
      },
    })
  }

  /** Counts as a use. */
  get(key: string): V | undefined {
    return this.#cache.get(key)
  }

  /** Does not count as a use. */
  peek(key: string): V | undefined {
    return this.#cache.peek(key)
  }

  set(key: string, value: V, size: number): void {
    this.#cache.set(key, value, { size: Math.max(1, Math.ceil(size)) })
  }

  delete(key: string): boolean {
    return this.#cache.delete(key)
  }

  clear(): void {
    this.#cache.clear()
  }

  /** Names from most to least recently used; safe to delete while iterating. */
  keys(): IterableIterator<string> {
    return this.#cache.keys()
  }

  entries(): IterableIterator<[string, V]> {
    return this.#cache.entries()
  }

  get size(): number {
    return this.#cache.size
  }

  get bytes(): number {
    return this.#cache.calculatedSize
  }

  get evictions(): number {
    return this.#evictions
  }
}
