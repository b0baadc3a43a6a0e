/**
 * The port between the cache's behaviour (loads, stale, timeouts, codecs: above) and the place
 * where entries live (below): process memory, or Redis with an L1. Both adapters pass one contract
 * suite. Keys and tags here are validated full names; bodies are encoded.
 */
import type { NameBatch } from '../base/name-scan.ts'

/** Life of a lease without renewal, ms. The load layer renews at a third of it. */
export const LEASE_MS = 2_000

/** Letter in `Draft.flags`: this entry is never kept in an L1. */
export const FLAG_NO_L1 = 'n'

/** Position in a bucket's history: a unique epoch, and the number of invalidations in it. */
export interface Stamp {
  readonly epoch: string
  readonly seq: number
}

/** An encoded value: text where the codec gives text, bytes where it compresses or encrypts. */
export type Body = string | Buffer

/** What is to be stored. Lives are relative, so that the server's clock alone places them. */
export interface Draft {
  readonly body: Body
  /** Codec letters, see codec.ts; empty = plain JSON. */
  readonly flags: string
  readonly tags: readonly string[]
  /** Fresh for this many ms from now. */
  readonly ttlMs: number
  /** Then kept as stale for this many ms more. */
  readonly staleMs: number
  /** How long the loader took; feeds probabilistic early refresh. */
  readonly loadMs: number
  /** Opaque validator of the source, handed back to the loader as `ctx.stale.etag`. */
  readonly etag: string | undefined
}

/** One stored value. Times are in server ms, comparable with `CacheStore.serverNow()`. */
export interface Entry {
  readonly key: string
  readonly flags: string
  readonly tags: readonly string[]
  readonly storedAt: number
  /** 0 once soft-expired. */
  readonly freshUntil: number
  readonly staleUntil: number
  readonly loadMs: number
  readonly etag: string | undefined
  /** Encoded form; dropped once `memo` is set on an entry shared by several callers. */
  body: Body | undefined
  /** Decoded (and, where shared, deep-frozen) value: set by the cache after the first decode. */
  memo: { readonly value: unknown } | undefined
  /** Bytes charged to the memory bound. */
  readonly size: number
}

export type ReadReply =
  /** Valid under every rule at the time of the read; fresh or stale by `freshUntil`. */
  | { readonly state: 'found'; readonly entry: Entry }
  | { readonly state: 'miss' }
  /** The store could not be asked, or may not be (journalled name). Load, but expect no fill. */
  | { readonly state: 'down'; readonly cause: Error; readonly leftover: Entry | undefined }

/** A right to fill one key with a value whose load begins after the grant. */
export interface Lease {
  readonly key: string
  readonly token: string
  readonly stamp: Stamp
}

export type LeaseReply =
  | { readonly state: 'granted'; readonly lease: Lease; readonly stale: Entry | undefined }
  /** Somebody filled it meanwhile: found fresh. */
  | { readonly state: 'found'; readonly entry: Entry }
  /** Another flight, perhaps in another process, holds the lease. */
  | { readonly state: 'busy'; readonly stale: Entry | undefined }
  /** A `mutate` runs over the key or a tag: load if you must, nothing will be stored. */
  | { readonly state: 'fenced' }
  | { readonly state: 'down'; readonly cause: Error; readonly leftover: Entry | undefined }

/** `refused`: the lease or a tag moved during the load. `bypassed`: not stored, counted (OOM, down). */
export type FillReply =
  | { readonly state: 'stored'; readonly entry: Entry }
  | { readonly state: 'refused' }
  | { readonly state: 'bypassed'; readonly cause: Error }

/** What to invalidate; several kinds in one go are one atomic step per bucket. */
export interface Invalidation {
  readonly keys?: readonly string[]
  readonly tags?: readonly string[]
  /** Every entry of the instance's namespace. */
  readonly all?: boolean
  /** Keep values as stale (`expire`) instead of dropping them (`delete`). */
  readonly soft?: boolean
}

/** `all`: every live process confirmed or its trust lapsed. `commit`: Redis committed. */
export type Wait = 'all' | 'commit'

/** Opaque position for a safe write-through: see `Cache.mark`. */
export interface Mark {
  readonly stamps: readonly Stamp[]
}

export interface Fence {
  /** Ends the fence and invalidates hard, in one step. */
  lift(wait: Wait): Promise<void>
}

export interface StoreInspection {
  readonly tier: 'memory' | 'l1' | 'redis' | 'none'
  readonly entry: Entry | undefined
  /** Why an entry that is there would not be served: 'tag' | 'epoch' | 'expired' | 'incarnation'. */
  readonly invalid: string | undefined
  readonly redisKey: string | undefined
  readonly bucket: number
  readonly leased: boolean
  /** Place of the entry in the bucket's history of invalidations. */
  readonly version?: string | undefined
  /** `hard:soft`: the places of each tag's last invalidations; undefined where none is kept. */
  readonly tagVersions?: ReadonlyMap<string, string | undefined> | undefined
}

/** An entry as a survey sees it: no value. */
export interface EntryWeight {
  readonly bytes: number
  /** How long it stays fresh, and how long it may be served stale at all, ms. */
  readonly freshMs: number
  readonly staleMs: number
  readonly tags: readonly string[]
}

/** Names that a store found in one step of a walk. */
export type ScanBatch = NameBatch

/** What the cache asks of its store: process memory or Redis, by one contract. */
export interface CacheStore {
  readonly shared: boolean
  /** Now, in ms of the clock that entries are dated by. */
  serverNow(): number
  /** From process memory alone, synchronous; only what is provably valid now. May be stale by time. */
  peek(key: string): Entry | undefined
  /**
   * One validated read; concurrent reads of one tick travel together. `tags` are those the caller
   * would store under: an entry that lacks one of them is a miss.
   */
  read(key: string, tags: readonly string[]): Promise<ReadReply>
  /** The same for many keys, in their order. */
  readMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<ReadReply[]>
  /** Grants the right to fill, or says why not. `force` takes it although a fresh entry is there. */
  lease(key: string, tags: readonly string[], options?: { force?: boolean }): Promise<LeaseReply>
  /** The same for many keys, in their order. */
  leaseMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<LeaseReply[]>
  /** Keeps a lease alive during a long load. False = lost; the load may go on, its fill will be refused. */
  renew(lease: Lease): Promise<boolean>
  /** Gives a lease back unused (loader failed or skipped), so that others need not wait. Never rejects. */
  release(lease: Lease): Promise<void>
  /** Stores what was loaded under a lease, or says why not. */
  fill(lease: Lease, draft: Draft): Promise<FillReply>
  /** The same for many leases, in their order. */
  fillMany(fills: readonly { lease: Lease; draft: Draft }[]): Promise<FillReply[]>
  /**
   * Invalidate and store in one step. With `mark`: only if nothing touched the key since the mark,
   * else it invalidates alone and answers 'refused'. Rejects with NotAcknowledged when unsure.
   */
  set(
    writes: readonly { key: string; draft: Draft }[],
    options: { wait: Wait; mark?: Mark | undefined },
  ): Promise<('stored' | 'refused' | 'bypassed')[]>
  /** Rejects with NotAcknowledged when the server did not confirm in time; it is then journalled. */
  invalidate(what: Invalidation, wait: Wait): Promise<void>
  /** Invalidates every key that matches; returns how many were there. `dryRun` only counts. */
  invalidatePattern(glob: string, options: { wait: Wait; dryRun: boolean; soft: boolean }): Promise<number>
  /** No hit, no lease and no fill for these names until lifted, or for `ms` if this process dies. */
  fence(what: { keys: readonly string[]; tags: readonly string[] }, ms: number): Promise<Fence>
  /** Where the history of the names stands now: for writes that must not overtake an invalidation. */
  mark(): Promise<Mark>
  /** Extends or shortens the life of a present entry without touching its value. False = absent. */
  touch(key: string, ttlMs: number, staleMs: number): Promise<boolean>
  /** Key names in no order, each at most a few times; bounded work per step. */
  scan(glob: string, from?: string): AsyncIterable<ScanBatch>
  /** What is known of a key. Never counts as a look-up. */
  inspect(key: string): Promise<StoreInspection>
  /** Full names of tags whose versions are kept, by glob; a tag may come more than once. */
  tags(glob: string, from?: string): AsyncIterable<ScanBatch>
  /** Size, life and tags of entries without their bodies; undefined for what is not there. For some hundred keys. */
  weigh(keys: readonly string[]): Promise<readonly (EntryWeight | undefined)[]>
  /** Counts since creation: what the layer above cannot see. */
  counters(): StoreCounters
  /** Ends what was begun; the store is not used again. */
  close(): Promise<void>
}

/** What a store counted since it was made. */
export interface StoreCounters {
  readonly l1Entries: number
  readonly l1Bytes: number
  readonly l1Evictions: number
  /** Entries whose header could not be read; `CacheStats.corrupt` counts bodies. Each is one miss. */
  readonly corrupt: number
  readonly bypassedFills: number
  readonly refusedFills: number
  readonly journal: number
  readonly timeouts: number
}
