import assert from 'node:assert/strict'
import type { Cache } from '../cache/cache.ts'
import type { CacheSetup } from '../cache/create.ts'
import type { CacheStore } from '../cache/store.ts'

/** Two caches as two processes have them, over one store that starts empty. */
export interface CachePair {
  readonly first: Cache
  readonly second: Cache
  /** The store under `first`. */
  readonly store: CacheStore
  /** Damages the stored body of a key, in every place where it is kept. */
  corrupt(key: string): Promise<void>
}

/** What the cache contract needs of a place for entries. */
export interface CacheBackend {
  open(setup?: Omit<CacheSetup, 'redis' | 'store' | 'clock' | 'random'>): Promise<CachePair>
  /** Lets time pass: at once on a clock of its own, really on a real server. */
  advance(ms: number): Promise<void>
  close(): Promise<void>
}

/** A promise and the means to settle it: loaders that end when the test says so. */
export interface Gate<T> {
  readonly opened: Promise<T>
  /** A loader that waits for the gate. */
  readonly load: () => Promise<T>
  /** Whether the loader was called. */
  readonly begun: boolean
  open(value: T): void
  break(error: unknown): void
}

export function gate<T>(): Gate<T> {
  let begun = false
  let open!: (value: T) => void
  let fail!: (error: unknown) => void
  const opened = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return {
    opened,
    load: () => {
      begun = true
      return opened
    },
    get begun() {
      return begun
    },
    open,
    break: fail,
  }
}

/** Settles the promise, letting time pass in small steps, `ms` at most. */
export async function within<T>(backend: CacheBackend, promise: Promise<T>, ms = 5_000): Promise<T> {
  let isDone = false
  const end = () => {
    isDone = true
  }
  promise.then(end, end)
  for (let passed = 0; !isDone; passed += 5) {
    assert.ok(passed < ms, `not settled within ${ms} ms`)
    await backend.advance(5)
  }
  return promise
}

/** Lets time pass until it is true, five seconds at most. */
export async function eventually(
  backend: CacheBackend,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let passed = 0; !(await condition()); passed += 5) {
    assert.ok(passed < 5_000, 'the condition was not reached within 5 s')
    await backend.advance(5)
  }
}
