import type {
  CacheStore,
  Fence,
  FillReply,
  LeaseReply,
  Mark,
  ReadReply,
  ScanBatch,
  StoreCounters,
  StoreInspection,
} from './store.ts'

const NOTHING: StoreCounters = {
  l1Entries: 0,
  l1Bytes: 0,
  l1Evictions: 0,
  corrupt: 0,
  bypassedFills: 0,
  refusedFills: 0,
  journal: 0,
  timeouts: 0,
}

/**
 * The store of a cache that is switched off: it never has anything and takes nothing. Its answer to
 * every request for a lease is the one of a running `mutate`: load, and do not store.
 */
export class OffStore implements CacheStore {
  readonly shared = false
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  serverNow(): number {
    return this.#now()
  }
  peek(): undefined {
    return undefined
  }
  async read(): Promise<ReadReply> {
    return { state: 'miss' }
  }
  async readMany(keys: readonly string[]): Promise<ReadReply[]> {
    return keys.map(() => ({ state: 'miss' }))
  }
  async lease(): Promise<LeaseReply> {
    return { state: 'fenced' }
  }
  async leaseMany(keys: readonly string[]): Promise<LeaseReply[]> {
    return keys.map(() => ({ state: 'fenced' }))
  }
  async renew(): Promise<boolean> {
    return false
  }
  async release(): Promise<void> {}
  async fill(): Promise<FillReply> {
    return { state: 'refused' }
  }
  async fillMany(fills: readonly unknown[]): Promise<FillReply[]> {
    return fills.map(() => ({ state: 'refused' }))
  }
  async set(writes: readonly unknown[]): Promise<'refused'[]> {
    return writes.map(() => 'refused')
  }
  async invalidate(): Promise<void> {}
  async invalidatePattern(): Promise<number> {
    return 0
  }
  async fence(): Promise<Fence> {
    return { lift: async () => {} }
  }
  async mark(): Promise<Mark> {
    return { stamps: [] }
  }
  async touch(): Promise<boolean> {
    return false
  }
  async *scan(): AsyncGenerator<ScanBatch> {}
  async inspect(): Promise<StoreInspection> {
    return {
      tier: 'none',
      entry: undefined,
      invalid: undefined,
      redisKey: undefined,
      bucket: 0,
      leased: false,
    }
  }
  async *tags(): AsyncGenerator<ScanBatch> {}
  async weigh(keys: readonly string[]): Promise<undefined[]> {
    return keys.map(() => undefined)
  }
  counters(): StoreCounters {
    return NOTHING
  }
  async close(): Promise<void> {}
}
