import { InvalidOption } from '../base/errors.ts'
import type { CacheOptions, Loader } from './options.ts'

/** One entry to load ahead of its first use. */
export interface WarmEntry {
  readonly key: string
  readonly load: Loader<unknown>
  readonly options?: CacheOptions | undefined
}

/** How warming goes about it. */
export interface WarmOptions {
  /** Loads at the same time. @default 8 */
  concurrency?: number | undefined
  /** Called after each entry. */
  onProgress?: ((progress: WarmProgress) => void) | undefined
  /** Stops before the next entry. */
  signal?: AbortSignal | undefined
}

/** How far warming has come. */
export interface WarmProgress {
  readonly done: number
  readonly loaded: number
  readonly failed: number
}

/** What warming came to. Nothing is thrown for an entry that failed. */
export interface WarmReport {
  readonly loaded: number
  /** Were there already. */
  readonly present: number
  readonly failed: readonly { readonly key: string; readonly error: unknown }[]
}

/** The part of a cache that warming needs. */
interface Warmable {
  getOrSet<T>(key: string, loader: Loader<T>, options?: CacheOptions): Promise<T>
}

export async function warm(
  cache: Warmable,
  entries: Iterable<WarmEntry> | AsyncIterable<WarmEntry>,
  options: WarmOptions = {},
): Promise<WarmReport> {
  const { concurrency = 8, onProgress, signal } = options
  if (!(Number.isInteger(concurrency) && concurrency > 0)) {
    throw new InvalidOption('concurrency is not a positive integer', 'give 8, or what the source can take')
  }
  const iterator =
    Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator]()
  const failed: { key: string; error: unknown }[] = []
  let loaded = 0
  let present = 0
  const one = async (entry: WarmEntry) => {
    let ran = false
    const load: Loader<unknown> = (context) => {
      ran = true
      return entry.load(context)
    }
    try {
      await cache.getOrSet(entry.key, load, entry.options)
      if (ran) loaded++
      else present++
    } catch (error) {
      failed.push({ key: entry.key, error })
    }
    onProgress?.({ done: loaded + present + failed.length, loaded, failed: failed.length })
  }
  const work = async () => {
    for (;;) {
      if (signal?.aborted) return
      const next = await iterator.next()
      if (next.done) return
      await one(next.value)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  return { loaded, present, failed }
}
