import { Lru } from '../../memory/lru.ts'
import { type Entry, FLAG_NO_L1, type Stamp } from '../store.ts'
import { type Bucket, keyName, tagName } from './bucket.ts'

/** One per tag that some copy here carries: invalidating a tag is one assignment, not a walk. */
interface TagCell {
  readonly name: string
  /** Epoch of the last invalidation noted here; seqs of other epochs cannot be compared with it. */
  epoch: string
  hard: number
  soft: number
  /** Local order of the last hard one: decides where epochs differ. */
  order: number
  copies: number
}

interface Copy {
  entry: Entry
  readonly bucket: Bucket
  readonly flushes: number
  readonly epoch: string
  /** The bucket's seq at the moment the value was read or stored: it includes all up to here. */
  readonly seq: number
  /** Local order of its arrival. */
  readonly order: number
  readonly cells: readonly TagCell[]
}

/** Where and when a value was seen; captured before the command that saw it was sent. */
export interface Sighting {
  readonly bucket: Bucket
  readonly flushes: number
  readonly epoch: string
  readonly seq: number
}

export interface Names {
  readonly keys: readonly string[]
  readonly tags: readonly string[]
}

const NO_CELLS: readonly TagCell[] = []

/**
 * L1: entries in process memory that are provably as fresh as Redis. A copy enters only if no
 * invalidation of its names passed since it was read, and is served only while the bucket's
 * message stream is trusted.
 */
export class LocalCopies {
  readonly #lru: Lru<Copy>
  readonly #cells = new Map<string, TagCell>()
  #order = 0

  constructor(maxEntries: number, maxBytes: number) {
    this.#lru = new Lru<Copy>({ maxEntries, maxBytes, onDispose: (copy) => this.#release(copy) })
  }

  get size(): number {
    return this.#lru.size
  }

  get bytes(): number {
    return this.#lru.bytes
  }

  get evictions(): number {
    return this.#lru.evictions
  }

  /** `mono` is the monotonic now, `now` the same moment in the store's time base. */
  peek(key: string, mono: number, now: number): Entry | undefined {
    const copy = this.#lru.get(key)
    if (copy === undefined || !copy.bucket.isTrusted(mono)) return undefined
    if (copy.flushes !== copy.bucket.flushes || copy.epoch !== copy.bucket.epoch) return undefined
    if (copy.cells.length > 0 && !this.#heedTags(key, copy)) return undefined
    if (copy.entry.staleUntil <= now) {
      this.#lru.delete(key)
      return undefined
    }
    return copy.entry
  }

  /** Not provably current any more, but never known to be invalid: for stale-if-error alone. */
  leftover(key: string, now: number): Entry | undefined {
    const copy = this.#lru.get(key)
    if (copy === undefined || !this.#heedTags(key, copy) || copy.entry.staleUntil <= now) return undefined
    return copy.entry
  }

  /** Keeps a copy if it is certain to include every invalidation so far. */
  offer(key: string, entry: Entry, seen: Sighting): void {
    const { bucket } = seen
    if (seen.flushes !== bucket.flushes || seen.epoch !== bucket.epoch) return
    if (entry.flags.includes(FLAG_NO_L1)) return
    if (bucket.journal.size > 0 && bucket.journal.blocks(key, entry.tags)) return
    const names = [keyName(key), ...entry.tags.map(tagName)]
    if (!bucket.isCurrent(names, seen.seq)) return
    const present = this.#lru.peek(key)
    if (present && present.flushes === seen.flushes && present.seq > seen.seq) return
    const cells = entry.tags.length === 0 ? NO_CELLS : entry.tags.map((tag) => this.#cell(bucket, tag))
    for (const cell of cells) cell.copies++
    const { flushes, epoch, seq } = seen
    this.#lru.set(key, { entry, bucket, flushes, epoch, seq, order: ++this.#order, cells }, entry.size)
  }

  /** Applies an invalidation that committed at `at`: own reply and message alike, in any order. */
  invalidate(bucket: Bucket, names: Names, soft: boolean, at: Stamp): void {
    for (const key of names.keys) {
      const copy = this.#lru.peek(key)
      if (copy === undefined || (copy.epoch === at.epoch && copy.seq >= at.seq)) continue
      if (soft) copy.entry = softened(copy.entry)
      else this.#lru.delete(key)
    }
    for (const tag of names.tags) {
      const cell = this.#cells.get(cellName(bucket, tag))
      if (cell === undefined) continue
      if (cell.epoch !== at.epoch) {
        cell.epoch = at.epoch
        cell.hard = 0
        cell.soft = 0
      }
      if (soft) cell.soft = Math.max(cell.soft, at.seq)
      else {
        cell.hard = Math.max(cell.hard, at.seq)
        cell.order = ++this.#order
      }
    }
  }

  /**
   * Takes away what an unconfirmed invalidation names. Its place in the bucket's history is not
   * known, so local order decides: every copy that is here now goes.
   */
  discard(bucket: Bucket, names: Names): void {
    for (const key of names.keys) this.#lru.delete(key)
    for (const tag of names.tags) {
      const cell = this.#cells.get(cellName(bucket, tag))
      if (cell === undefined) continue
      cell.epoch = ''
      cell.hard = 0
      cell.soft = 0
      cell.order = ++this.#order
    }
  }

  /** Drops every copy of this bucket whose key matches, whatever its age. */
  dropMatching(bucket: Bucket, matches: (key: string) => boolean): void {
    for (const key of this.#lru.keys()) {
      if (this.#lru.peek(key)?.bucket === bucket && matches(key)) this.#lru.delete(key)
    }
  }

  /** Drops every copy of this bucket: it was cleared. */
  drop(bucket: Bucket): void {
    this.dropMatching(bucket, () => true)
  }

  /** A load was granted because nothing fresh is there for its caller: then nor is this copy. */
  dropFresh(key: string, now: number): void {
    const copy = this.#lru.peek(key)
    if (copy !== undefined && copy.entry.freshUntil > now) this.#lru.delete(key)
  }

  clear(): void {
    this.#lru.clear()
  }

  /** False when a tag was invalidated hard since the copy was made; softens it on a soft one. */
  #heedTags(key: string, copy: Copy): boolean {
    for (const cell of copy.cells) {
      const comparable = cell.epoch === copy.epoch
      if (comparable ? cell.hard > copy.seq : cell.order > copy.order) {
        this.#lru.delete(key)
        return false
      }
      if (comparable && cell.soft > copy.seq && copy.entry.freshUntil !== 0) copy.entry = softened(copy.entry)
    }
    return true
  }

  #cell(bucket: Bucket, tag: string): TagCell {
    const name = cellName(bucket, tag)
    let cell = this.#cells.get(name)
    if (cell === undefined) {
      cell = { name, epoch: '', hard: 0, soft: 0, order: 0, copies: 0 }
      this.#cells.set(name, cell)
    }
    return cell
  }

  #release(copy: Copy): void {
    for (const cell of copy.cells) {
      if (--cell.copies === 0) this.#cells.delete(cell.name)
    }
  }
}

const cellName = (bucket: Bucket, tag: string): string => `${bucket.layout.bucket}:${tag}`

/** Expired, not invalid: it stays as a stale value. */
function softened(entry: Entry): Entry {
  return { ...entry, freshUntil: 0 }
}
