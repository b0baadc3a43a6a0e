import { refuseUnknown } from '../base/options.ts'
import type { Cache } from '../cache/cache.ts'
import type { Holdfast } from '../holdfast.ts'
import { Lru } from '../memory/lru.ts'
import { pack, unpack } from './packed.ts'
import type {
  IncrementalCacheHandler,
  IncrementalEntry,
  IncrementalGetContext,
  IncrementalSetContext,
  IncrementalValue,
  NextCacheOptions,
} from './shapes.ts'
import { TagTimes } from './tag-times.ts'

/** As it is stored. */
interface Stored {
  readonly lastModified: number
  /** Server ms at which the work for it began. */
  readonly begun: number
  readonly tags: readonly string[]
  readonly value: unknown
}

const KEEP_SECONDS = 30 * 86_400
const MOST_SECONDS = 3_650 * 86_400
const MAX_BYTES = 8 * 1_024 * 1_024
/** Keys that were missed and are being made, to know when that began. */
const MAX_BEGUN = 10_000
const TAGS_HEADER = 'x-next-cache-tags'

/** What all handlers of one process share: Next.js makes one for each request. */
class IncrementalStore {
  readonly cache: Cache
  readonly times: TagTimes
  readonly keepSeconds: number
  readonly maxBytes: number
  readonly begun = new Lru<{ at: number }>({ maxEntries: MAX_BEGUN, maxBytes: MAX_BEGUN })

  constructor(holdfast: Holdfast, options: NextCacheOptions) {
    const { area = 'next', keepSeconds = KEEP_SECONDS, maxBytes = MAX_BYTES } = options
    this.cache = holdfast.cache.namespace(area)
    this.times = new TagTimes(holdfast, this.cache, area)
    this.keepSeconds = keepSeconds
    this.maxBytes = maxBytes
  }
}

/**
 * A class for `cacheHandler` of next.config: pages, route handlers and fetches, shared by all
 * processes on one Redis.
 *
 *   export default incrementalCacheHandler(() => holdfast({ redis: process.env.REDIS_URL }))
 *
 * `open` is called once, at the first use. What was begun before a `revalidateTag` never counts as
 * newer than it. While Redis is away, pages are made anew; revalidations reject.
 */
export function incrementalCacheHandler(
  open: () => Holdfast,
  options: NextCacheOptions = {},
): new (
  context?: unknown,
) => IncrementalCacheHandler {
  refuseUnknown(options, ['area', 'keepSeconds', 'maxBytes'], 'incrementalCacheHandler()')
  let store: IncrementalStore | undefined
  const place = (): IncrementalStore => {
    store ??= new IncrementalStore(open(), options)
    return store
  }

  return class HoldfastCacheHandler implements IncrementalCacheHandler {
    async get(key: string, context: IncrementalGetContext = {}): Promise<IncrementalEntry | null> {
      const { cache, times, begun } = place()
      const asked = await times.begin()
      const stored = await cache.get<Stored>(`page:${key}`)
      const tags = [...(stored?.tags ?? []), ...(context.tags ?? []), ...(context.softTags ?? [])]
      const standing = stored ? await times.standing(stored.begun, tags) : 'gone'
      if (!stored || standing !== 'good') begun.set(key, { at: asked }, 1)
      if (!stored || standing === 'gone') return null
      const value = unpack(stored.value) as IncrementalValue | null
      return { lastModified: standing === 'stale' ? -1 : stored.lastModified, value }
    }

    async set(
      key: string,
      value: IncrementalValue | null,
      context: IncrementalSetContext = {},
    ): Promise<void> {
      const { cache, times, begun, keepSeconds, maxBytes } = place()
      const at = begun.get(key)?.at ?? (await times.begin())
      begun.delete(key)
      if (value === null) {
        await cache.delete(`page:${key}`)
        return
      }
      const tags = [...new Set([...(context.tags ?? []), ...tagsOf(value)])]
      const lastModified = cache.core.clock.wall()
      const stored: Stored = { lastModified, begun: at, tags, value: pack(value) }
      const seconds = Math.min(MOST_SECONDS, context.cacheControl?.expire ?? keepSeconds)
      // What is too large or cannot be stored now is made anew; the page itself is answered all the same.
      await cache
        .set(`page:${key}`, stored, { ttl: Math.max(1, seconds * 1_000), maxValueBytes: maxBytes })
        .catch(() => false)
    }

    async revalidateTag(
      tags: string | readonly string[],
      durations?: { readonly expire?: number | undefined },
    ): Promise<void> {
      const list = typeof tags === 'string' ? [tags] : tags
      if (list.length > 0) await place().times.mark(list, durations)
    }

    resetRequestCache(): void {
      // Nothing is kept per request: local copies follow every change by themselves.
    }
  }
}

function tagsOf(value: IncrementalValue): string[] {
  const header = value.headers?.[TAGS_HEADER]
  const fromHeader = typeof header === 'string' ? header.split(',').filter(Boolean) : []
  return [...fromHeader, ...(value.data?.tags ?? []), ...(value.tags ?? [])]
}
