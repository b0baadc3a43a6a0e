import type { Clock } from '../base/clock.ts'
import { compileGlob } from '../base/glob.ts'
import { scanNames } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { Lru } from '../memory/lru.ts'
import {
  type CacheStore,
  type Draft,
  type Entry,
  type EntryWeight,
  type Fence,
  type FillReply,
  type Invalidation,
  LEASE_MS,
  type Lease,
  type LeaseReply,
  type Mark,
  type ReadReply,
  type ScanBatch,
  type StoreCounters,
  type StoreInspection,
} from './store.ts'
import { storedEntry } from './stored-entry.ts'

/** Bounds, clock and randomness of a store in process memory. */
export interface MemoryStoreSetup {
  readonly clock: Clock
  readonly random: Random
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** @default 64 MiB */
  readonly maxBytes?: number | undefined
}

/** What an entry costs beside its body and names: the objects around it. */
const OVERHEAD_BYTES = 200

/** Seq of the last hard and the last soft invalidation of a tag. */
interface TagVersion {
  hard: number
  soft: number
}

interface Slot {
  entry: Entry
  /** Seq at which the entry's lease was granted: before its load began. */
  readonly seq: number
}

interface Held {
  readonly token: string
  readonly seq: number
  until: number
}

/**
 * The cache protocol with one process as the whole world: the same rules as in Redis, without the
 * network. It is also the model that the Redis adapter is tested against, so it prefers being
 * obvious over being clever. A missing tag version means miss, as everywhere.
 */
export class MemoryStore implements CacheStore {
  readonly shared = false
  readonly #clock: Clock
  readonly #random: Random
  readonly #slots: Lru<Slot>
  readonly #tags: Lru<TagVersion>
  readonly #leases = new Map<string, Held>()
  readonly #fencedKeys = new Fenced()
  readonly #fencedTags = new Fenced()
  /** Last invalidation by key, for marks; names pushed out raise the floor below which a mark is void. */
  readonly #touched: Lru<{ readonly seq: number }>
  readonly #origin: number
  #epoch: string
  #seq = 0
  #markFloor = 0
  #refused = 0
  #bypassed = 0

  constructor(setup: MemoryStoreSetup) {
    const maxEntries = setup.maxEntries ?? 10_000
    this.#clock = setup.clock
    this.#random = setup.random
    this.#origin = setup.clock.wall() - setup.clock.mono()
    this.#epoch = setup.random.id()
    this.#slots = new Lru<Slot>({ maxEntries, maxBytes: setup.maxBytes ?? 64 * 1024 * 1024 })
    this.#tags = new Lru<TagVersion>({ maxEntries: maxEntries * 4, maxBytes: Number.MAX_SAFE_INTEGER })
    this.#touched = new Lru({
      maxEntries,
      maxBytes: Number.MAX_SAFE_INTEGER,
      onDispose: (mark, _, reason) => {
        if (reason === 'evict' && mark.seq > this.#markFloor) this.#markFloor = mark.seq
      },
    })
  }

  serverNow(): number {
    return this.#origin + this.#clock.mono()
  }

  peek(key: string): Entry | undefined {
    const slot = this.#slots.get(key)
    return slot === undefined ? undefined : this.#valid(key, slot)
  }

  read(key: string, tags: readonly string[]): Promise<ReadReply> {
    return Promise.resolve(this.#read(key, tags))
  }

  readMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<ReadReply[]> {
    return Promise.resolve(keys.map((key, i) => this.#read(key, tags[i]!)))
  }

  lease(key: string, tags: readonly string[], options?: { force?: boolean }): Promise<LeaseReply> {
    return Promise.resolve(this.#lease(key, tags, options?.force === true))
  }

  leaseMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<LeaseReply[]> {
    return Promise.resolve(keys.map((key, i) => this.#lease(key, tags[i]!, false)))
  }

  renew(lease: Lease): Promise<boolean> {
    const held = this.#held(lease)
    if (held) held.until = this.#clock.mono() + LEASE_MS
    return Promise.resolve(held !== undefined)
  }

  release(lease: Lease): Promise<void> {
    if (this.#held(lease)) this.#leases.delete(lease.key)
    return Promise.resolve()
  }

  fill(lease: Lease, draft: Draft): Promise<FillReply> {
    return Promise.resolve(this.#fill(lease, draft))
  }

  fillMany(fills: readonly { lease: Lease; draft: Draft }[]): Promise<FillReply[]> {
    return Promise.resolve(fills.map(({ lease, draft }) => this.#fill(lease, draft)))
  }

  set(
    writes: readonly { key: string; draft: Draft }[],
    options: { mark?: Mark | undefined },
  ): Promise<('stored' | 'refused' | 'bypassed')[]> {
    const mark = options.mark?.stamps[0]
    const allowed = writes.map(
      ({ key, draft }) =>
        mark === undefined ||
        (mark.epoch === this.#epoch &&
          mark.seq >= this.#markFloor &&
          (this.#touched.peek(key)?.seq ?? 0) <= mark.seq &&
          this.#tagsAllow(draft.tags, mark.seq)),
    )
    const seq = ++this.#seq
    return Promise.resolve(
      writes.map(({ key, draft }, i) => {
        this.#invalidateKey(key, false)
        if (!allowed[i] || this.#isFenced(key, draft.tags)) return 'refused'
        for (const tag of draft.tags) this.#registerTag(tag)
        return this.#store(key, draft, seq) ? 'stored' : 'bypassed'
      }),
    )
  }

  invalidate(what: Invalidation): Promise<void> {
    const seq = ++this.#seq
    if (what.all) this.#invalidateAll(what.soft === true)
    for (const key of what.keys ?? []) this.#invalidateKey(key, what.soft === true)
    for (const tag of what.tags ?? []) {
      const version = this.#tags.get(tag)
      if (what.soft) {
        if (version) version.soft = seq
      } else this.#tags.delete(tag)
    }
    return Promise.resolve()
  }

  invalidatePattern(glob: string, options: { dryRun: boolean; soft: boolean }): Promise<number> {
    const matches = compileGlob(glob)
    const found = [...this.#slots.keys()].filter((key) => matches(key) && this.#slotEntry(key) !== undefined)
    if (!options.dryRun) {
      this.#markFloor = ++this.#seq
      for (const key of found) this.#invalidateKey(key, options.soft)
      for (const key of this.#leases.keys()) if (matches(key)) this.#leases.delete(key)
    }
    return Promise.resolve(found.length)
  }

  async fence(what: { keys: readonly string[]; tags: readonly string[] }, ms: number): Promise<Fence> {
    const token = this.#random.id()
    const until = this.#clock.mono() + ms
    for (const key of what.keys) this.#fencedKeys.add(key, token, until)
    for (const tag of what.tags) this.#fencedTags.add(tag, token, until)
    // Nothing stored or leased before the fence survives it, so its mere expiry needs no second step.
    await this.invalidate(what)
    return {
      lift: () => {
        for (const key of what.keys) this.#fencedKeys.remove(key, token)
        for (const tag of what.tags) this.#fencedTags.remove(tag, token)
        return this.invalidate(what)
      },
    }
  }

  mark(): Promise<Mark> {
    return Promise.resolve({ stamps: [{ epoch: this.#epoch, seq: this.#seq }] })
  }

  touch(key: string, ttlMs: number, staleMs: number): Promise<boolean> {
    const slot = this.#slots.get(key)
    const entry = slot && this.#valid(key, slot)
    if (!slot || !entry) return Promise.resolve(false)
    const now = this.serverNow()
    slot.entry = { ...entry, freshUntil: now + ttlMs, staleUntil: now + ttlMs + staleMs }
    return Promise.resolve(true)
  }

  scan(glob: string, from?: string): AsyncIterable<ScanBatch> {
    const isThere = (key: string): boolean => this.#slotEntry(key) !== undefined
    return scanNames(() => this.#slots.keys(), glob, isThere, from)
  }

  inspect(key: string): Promise<StoreInspection> {
    const slot = this.#slots.peek(key)
    return Promise.resolve({
      tier: slot ? 'memory' : 'none',
      entry: slot && this.#asServed(slot),
      invalid: slot && this.#invalidity(key, slot),
      redisKey: undefined,
      bucket: 0,
      leased: this.#isLeased(key, []),
      version: slot && String(slot.seq),
      tagVersions: new Map(slot?.entry.tags.map((tag) => [tag, this.#versionOf(tag)])),
    })
  }

  tags(glob: string, from?: string): AsyncIterable<ScanBatch> {
    return scanNames(
      () => this.#tags.keys(),
      glob,
      () => true,
      from,
    )
  }

  weigh(keys: readonly string[]): Promise<readonly (EntryWeight | undefined)[]> {
    const now = this.serverNow()
    const weights = keys.map((key): EntryWeight | undefined => {
      const entry = this.#slotEntry(key)
      if (!entry) return undefined
      const { size, freshUntil, staleUntil, tags } = entry
      return { bytes: size, freshMs: Math.max(0, freshUntil - now), staleMs: staleUntil - now, tags }
    })
    return Promise.resolve(weights)
  }

  counters(): StoreCounters {
    return {
      l1Entries: this.#slots.size,
      l1Bytes: this.#slots.bytes,
      l1Evictions: this.#slots.evictions,
      corrupt: 0,
      bypassedFills: this.#bypassed,
      refusedFills: this.#refused,
      journal: 0,
      timeouts: 0,
    }
  }

  close(): Promise<void> {
    this.#slots.clear()
    this.#tags.clear()
    this.#leases.clear()
    return Promise.resolve()
  }

  #read(key: string, tags: readonly string[]): ReadReply {
    const entry = this.peek(key)
    if (entry === undefined || !carries(entry, tags)) return { state: 'miss' }
    return { state: 'found', entry }
  }

  #lease(key: string, tags: readonly string[], force: boolean): LeaseReply {
    if (this.#isFenced(key, tags)) return { state: 'fenced' }
    const present = this.#read(key, tags)
    const entry = present.state === 'found' ? present.entry : undefined
    if (!force && entry && entry.freshUntil > this.serverNow()) return { state: 'found', entry }
    if (this.#isLeased(key, tags)) return { state: 'busy', stale: entry }
    for (const tag of tags) this.#registerTag(tag)
    const token = this.#random.id()
    this.#dropLapsed()
    this.#leases.set(key, { token, seq: this.#seq, until: this.#clock.mono() + LEASE_MS })
    const stamp = { epoch: this.#epoch, seq: this.#seq }
    return { state: 'granted', lease: { key, token, stamp }, stale: entry }
  }

  #fill(lease: Lease, draft: Draft): FillReply {
    const { seq, epoch } = lease.stamp
    const held = this.#held(lease)
    if (held) this.#leases.delete(lease.key)
    const allowed =
      held !== undefined &&
      epoch === this.#epoch &&
      !this.#isFenced(lease.key, draft.tags) &&
      this.#tagsAllow(draft.tags, seq)
    if (!allowed) {
      this.#refused++
      return { state: 'refused' }
    }
    for (const tag of draft.tags) this.#registerTag(tag)
    const entry = this.#store(lease.key, draft, seq)
    return entry
      ? { state: 'stored', entry }
      : { state: 'bypassed', cause: new Error('larger than the memory bound') }
  }

  #store(key: string, draft: Draft, seq: number): Entry | undefined {
    const now = this.serverNow()
    const size = OVERHEAD_BYTES + 2 * key.length + bodyBytes(draft.body) + draft.tags.length * 16
    const entry = storedEntry(key, draft, now, size)
    this.#slots.set(key, { entry, seq }, size)
    if (this.#slots.peek(key)?.entry === entry) return entry
    this.#bypassed++
    return undefined
  }

  #slotEntry(key: string): Entry | undefined {
    const slot = this.#slots.peek(key)
    return slot && this.#valid(key, slot)
  }

  /** The entry as it may be served now, or undefined; what can never be served again is dropped. */
  #valid(key: string, slot: Slot): Entry | undefined {
    const { entry } = slot
    if (this.#fencedKeys.size > 0 || this.#fencedTags.size > 0) {
      if (this.#isFenced(key, entry.tags)) return undefined
    }
    if (this.serverNow() >= entry.staleUntil) {
      this.#slots.delete(key)
      return undefined
    }
    if (entry.tags.length === 0) return entry
    for (const tag of entry.tags) {
      const version = this.#tags.get(tag)
      if (version === undefined || version.hard > slot.seq) {
        this.#slots.delete(key)
        return undefined
      }
      if (version.soft > slot.seq && slot.entry.freshUntil !== 0)
        slot.entry = { ...slot.entry, freshUntil: 0 }
    }
    return slot.entry
  }

  /** With what an invalidation left of it: a soft one of a tag is applied when the entry is next looked at. */
  #asServed({ entry, seq }: Slot): Entry {
    const isSoft = entry.tags.some((tag) => (this.#tags.peek(tag)?.soft ?? 0) > seq)
    return isSoft ? { ...entry, freshUntil: 0 } : entry
  }

  #versionOf(tag: string): string | undefined {
    const version = this.#tags.peek(tag)
    return version && `${version.hard}:${version.soft}`
  }

  #invalidity(key: string, slot: Slot): string | undefined {
    if (this.#isFenced(key, slot.entry.tags)) return 'fence'
    if (slot.entry.staleUntil <= this.serverNow()) return 'expired'
    const tagged = slot.entry.tags.some((tag) => {
      const version = this.#tags.peek(tag)
      return version === undefined || version.hard > slot.seq
    })
    return tagged ? 'tag' : undefined
  }

  #invalidateKey(key: string, soft: boolean): void {
    this.#leases.delete(key)
    this.#touch(key, this.#seq)
    const slot = this.#slots.peek(key)
    if (!slot) return
    if (soft) slot.entry = { ...slot.entry, freshUntil: 0 }
    else this.#slots.delete(key)
  }

  #invalidateAll(soft: boolean): void {
    this.#leases.clear()
    this.#markFloor = this.#seq
    if (soft) {
      for (const key of this.#slots.keys()) this.#invalidateKey(key, true)
      return
    }
    this.#epoch = this.#random.id()
    this.#slots.clear()
    this.#tags.clear()
  }

  #registerTag(tag: string): void {
    if (this.#tags.get(tag) === undefined) this.#tags.set(tag, { hard: this.#seq, soft: 0 }, 1)
  }

  #tagAllows(tag: string, seq: number): boolean {
    const version = this.#tags.get(tag)
    return version !== undefined && version.hard <= seq && version.soft <= seq
  }

  /** A tag that is unknown here may have been invalidated: right only if nothing at all moved since. */
  #tagsAllow(tags: readonly string[], seq: number): boolean {
    return tags.every((tag) => this.#tagAllows(tag, seq) || (!this.#tags.peek(tag) && this.#seq === seq))
  }

  #touch(key: string, seq: number): void {
    this.#touched.set(key, { seq }, 1)
  }

  #held(lease: Lease): Held | undefined {
    const held = this.#leases.get(lease.key)
    if (held?.token !== lease.token) return undefined
    return held.until > this.#clock.mono() ? held : undefined
  }

  /** A lease whose tags were invalidated after its grant can fill nothing: it blocks nobody. */
  #isLeased(key: string, tags: readonly string[]): boolean {
    const held = this.#leases.get(key)
    if (held === undefined || held.until <= this.#clock.mono()) return false
    return tags.every((tag) => this.#tagAllows(tag, held.seq))
  }

  #isFenced(key: string, tags: readonly string[]): boolean {
    const now = this.#clock.mono()
    return this.#fencedKeys.has(key, now) || tags.some((tag) => this.#fencedTags.has(tag, now))
  }

  #dropLapsed(): void {
    if (this.#leases.size < 10_000) return
    const now = this.#clock.mono()
    for (const [key, held] of this.#leases) if (held.until <= now) this.#leases.delete(key)
  }
}

/** Names under one or more fences, each until it is lifted or its time is over. */
class Fenced {
  readonly #names = new Map<string, Map<string, number>>()

  get size(): number {
    return this.#names.size
  }

  add(name: string, token: string, until: number): void {
    const fences = this.#names.get(name) ?? new Map<string, number>()
    this.#names.set(name, fences.set(token, until))
  }

  remove(name: string, token: string): void {
    const fences = this.#names.get(name)
    if (fences?.delete(token) && fences.size === 0) this.#names.delete(name)
  }

  has(name: string, now: number): boolean {
    const fences = this.#names.get(name)
    if (fences === undefined) return false
    for (const [token, until] of fences) if (until <= now) this.remove(name, token)
    return fences.size > 0
  }
}

function carries(entry: Entry, tags: readonly string[]): boolean {
  for (const tag of tags) if (!entry.tags.includes(tag)) return false
  return true
}

const bodyBytes = (body: string | Buffer): number =>
  typeof body === 'string' ? 2 * body.length : body.length
