import { refuseUnknown } from '../base/options.ts'
import type { Cache } from '../cache/cache.ts'
import type { Holdfast } from '../holdfast.ts'
import { packBody, type StoredBody, unpackBody } from '../http/stored-body.ts'
import type { NextCacheOptions, UseCacheEntry, UseCacheHandler } from './shapes.ts'
import { TagTimes } from './tag-times.ts'

interface Stored extends StoredBody {
  readonly begun: number
  readonly tags: readonly string[]
  readonly stale: number
  readonly timestamp: number
  readonly expire: number
  readonly revalidate: number
}

const MOST_SECONDS = 3_650 * 86_400
const MAX_BYTES = 8 * 1_024 * 1_024

/**
 * A handler for `cacheHandlers` of next.config, behind `'use cache'` and `'use cache: remote'`:
 *
 *   export default useCacheHandler(() => holdfast({ redis: process.env.REDIS_URL }))
 *
 * `open` is called once, at the first use. While Redis is away, functions are run anew; `updateTags` rejects.
 */
export function useCacheHandler(open: () => Holdfast, options: NextCacheOptions = {}): UseCacheHandler {
  refuseUnknown(options, ['area', 'keepSeconds', 'maxBytes'], 'useCacheHandler()')
  const { area = 'next', maxBytes = MAX_BYTES } = options
  const pending = new Map<string, Promise<void>>()
  let made: { cache: Cache; times: TagTimes } | undefined
  const place = () => {
    if (!made) {
      const holdfast = open()
      const cache = holdfast.cache.namespace(area)
      made = { cache, times: new TagTimes(holdfast, cache, area) }
    }
    return made
  }

  const store = async (key: string, pendingEntry: Promise<UseCacheEntry>): Promise<void> => {
    const { cache, times } = place()
    const asked = times.now()
    const entry = await pendingEntry
    const bytes = await wholeOf(entry.value, maxBytes)
    if (!bytes) return
    const { tags, timestamp } = entry
    const [stale, expire, revalidate] = [finite(entry.stale), finite(entry.expire), finite(entry.revalidate)]
    // The clock of this process may be ahead; the server's is the one that tags go by.
    const begun = Math.min(timestamp, asked)
    const stored: Stored = { ...packBody(bytes), begun, tags, stale, timestamp, expire, revalidate }
    const ttl = Math.max(1, expire * 1_000)
    await cache.set(`use:${key}`, stored, { ttl, maxValueBytes: maxBytes * 2 })
  }

  return {
    async get(key, softTags) {
      // Who asks for what is being stored waits for it.
      await pending.get(key)
      const { cache, times } = place()
      const stored = await cache.get<Stored>(`use:${key}`)
      if (!stored) {
        // It will be made now: from here on has to be known what befalls its tags.
        await times.begin()
        return undefined
      }
      const standing = await times.standing(stored.begun, [...stored.tags, ...softTags])
      if (standing === 'gone') return undefined
      const { tags, stale, timestamp, expire, revalidate } = stored
      return {
        value: streamOf(unpackBody(stored)),
        tags: [...tags],
        stale,
        timestamp,
        expire,
        revalidate: standing === 'stale' ? -1 : revalidate,
      }
    },

    async set(key, pendingEntry) {
      // What broke off, is too large or cannot be stored now is not there the next time.
      const work = store(key, pendingEntry).catch(() => {})
      pending.set(key, work)
      await work
      if (pending.get(key) === work) pending.delete(key)
    },

    // Local copies of the record follow every change by themselves.
    refreshTags: async () => {},

    // Soft tags come to `get`, which sees what befell them in every process.
    getExpiration: async () => Number.POSITIVE_INFINITY,

    async updateTags(tags, durations) {
      if (tags.length > 0) await place().times.mark(tags, durations)
    },
  }
}

/** JSON has no Infinity. */
const finite = (seconds: number): number => Math.min(seconds, MOST_SECONDS)

/** Undefined: larger than that. @throws what the stream fails with */
async function wholeOf(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    size += chunk.byteLength
    if (size > maxBytes) return undefined
  }
  return Buffer.concat(chunks, size)
}

function streamOf(bytes: Buffer): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(new Uint8Array(bytes))
      controller.close()
    },
  })
}
