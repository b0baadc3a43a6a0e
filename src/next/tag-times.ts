import type { Cache } from '../cache/cache.ts'
import type { Holdfast } from '../holdfast.ts'

/** What befell a tag, in server ms. */
interface TagTime {
  /** What is older is gone. */
  readonly gone?: number | undefined
  /** What is older is stale from `at` on and gone from `until` on. */
  readonly at?: number | undefined
  readonly until?: number | undefined
}

interface Times {
  /** Nothing is known of what befell tags before this. */
  readonly since: number
  readonly tags: Readonly<Record<string, TagTime>>
}

export type Standing = 'good' | 'stale' | 'gone'

const RECORD = 'tags'
const LIFE_MS = 3_650 * 86_400_000
/** More than these: the oldest are forgotten, and with them all that was stored before. */
const MAX_TAGS = 10_000

/**
 * When tags were revalidated: the same for all processes. Next.js asks for tags that an entry does
 * not carry (the path of the page that reads it), so the tags of the cache do not suffice. Where the
 * record is lost, whatever was stored before counts as gone.
 */
export class TagTimes {
  readonly #holdfast: Holdfast
  readonly #cache: Cache
  readonly #lock: string

  constructor(holdfast: Holdfast, cache: Cache, area: string) {
    this.#holdfast = holdfast
    this.#cache = cache
    this.#lock = `next-tags:${area}`
  }

  /** Server time in ms, for what begins now: from here on it is known what befalls tags. */
  async begin(): Promise<number> {
    await this.#read()
    return this.now()
  }

  /** Server time in ms. */
  now(): number {
    return this.#cache.core.store.serverNow()
  }

  /** How an entry stands that was begun at `begun` (server ms). No round trip as a rule. */
  async standing(begun: number, tags: Iterable<string>): Promise<Standing> {
    const times = await this.#read()
    if (begun < times.since) return 'gone'
    const now = this.now()
    let standing: Standing = 'good'
    for (const tag of tags) {
      const time = Object.hasOwn(times.tags, tag) ? times.tags[tag] : undefined
      if (!time) continue
      if (time.gone !== undefined && time.gone >= begun) return 'gone'
      if (time.at !== undefined && time.at >= begun) {
        if (time.until !== undefined && time.until <= now) return 'gone'
        standing = 'stale'
      }
    }
    return standing
  }

  /**
   * What is stored under the tags is gone from now on, or stale now and gone in `expire` seconds.
   * @throws LockUnavailable, LockTimeout, NotAcknowledged when Redis did not confirm
   */
  async mark(tags: readonly string[], durations?: { readonly expire?: number | undefined }): Promise<void> {
    const expire = durations?.expire
    await this.#holdfast.lock(this.#lock).run(async () => {
      const { since, tags: known } = await this.#read(true)
      const now = this.now()
      const next: Record<string, TagTime> = { ...known }
      for (const tag of tags) {
        const before = Object.hasOwn(next, tag) ? next[tag] : undefined
        next[tag] = expire === undefined || expire <= 0 ? { gone: now } : softened(before, now, expire)
      }
      await this.#cache.set(RECORD, bounded(since, next), { ttl: LIFE_MS })
    })
  }

  #read(isExact = false): Promise<Times> {
    const begin = (): Times => ({ since: this.now(), tags: {} })
    return this.#cache.getOrSet(RECORD, begin, { ttl: LIFE_MS, ...(isExact ? { l1: false } : {}) })
  }
}

function softened(before: TagTime | undefined, now: number, expire: number): TagTime {
  const lapsed = before?.until !== undefined && before.until <= now ? before.at : undefined
  const gone = Math.max(before?.gone ?? 0, lapsed ?? 0) || undefined
  const until = Math.min(now + expire * 1_000, lapsed === undefined ? (before?.until ?? Infinity) : Infinity)
  return { ...(gone === undefined ? {} : { gone }), at: now, until }
}

function bounded(since: number, tags: Record<string, TagTime>): Times {
  const names = Object.keys(tags)
  if (names.length <= MAX_TAGS) return { since, tags }
  const latest = ({ gone = 0, at = 0 }: TagTime) => Math.max(gone, at)
  const sorted = Object.entries(tags).sort(([, a], [, b]) => latest(b) - latest(a))
  const forgotten = sorted[MAX_TAGS / 2]?.[1]
  const floor = Math.max(since, forgotten ? latest(forgotten) + 1 : 0)
  return { since: floor, tags: Object.fromEntries(sorted.slice(0, MAX_TAGS / 2)) }
}
