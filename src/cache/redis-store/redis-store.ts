import type { Clock } from '../../base/clock.ts'
import { NotAcknowledged } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { GateContext, RedisNode, RedisPort } from '../../redis/port.ts'
import type { L1Options } from '../options.ts'
import type {
  CacheStore,
  Draft,
  Entry,
  EntryWeight,
  Fence,
  FillReply,
  Invalidation,
  Lease,
  LeaseReply,
  Mark,
  ReadReply,
  ScanBatch,
  Stamp,
  StoreCounters,
  StoreInspection,
  Wait,
} from '../store.ts'
import { LEASE_MS } from '../store.ts'
import { Bucket } from './bucket.ts'
import { Coherence } from './coherence.ts'
import { inspectKey } from './inspect.ts'
import { Invalidator } from './invalidator.ts'
import { bucketOf, createLayout } from './layout.ts'
import { LocalCopies } from './local-copies.ts'
import { MemoryGuard } from './memory-guard.ts'
import { Reader } from './reader.ts'
import { RecentNames, type ScanPlace, scanKeys, scanTags } from './scan.ts'
import { MARK } from './scripts.ts'
import { CLUSTER_BUCKETS, DEADLINES, START_PATIENCE_MS, type StoreDeadlines } from './settings.ts'
import { StoreTime } from './store-time.ts'
import { Tally } from './tally.ts'
import { weighKey } from './weigh.ts'
import { Writer } from './writer.ts'

export interface RedisStoreOptions {
  readonly port: RedisPort
  readonly namespace: string
  readonly l1: L1Options | false
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger | undefined
  /** Slots the namespace is spread over. @default 1, in Cluster 16; the same in every process */
  readonly buckets?: number | undefined
  readonly deadlines?: Partial<StoreDeadlines> | undefined
}

const L1_ENTRIES = 10_000
const L1_BYTES = 64 * 1024 * 1024

/** The cache's entries in Redis, with provably fresh copies in process memory. */
export function createRedisStore(options: RedisStoreOptions): CacheStore {
  return new RedisStore(options)
}

class RedisStore implements CacheStore {
  readonly shared = true
  readonly #port: RedisPort
  readonly #namespace: string
  readonly #random: Random
  readonly #clock: Clock
  readonly #deadlines: StoreDeadlines
  readonly #buckets: readonly Bucket[]
  readonly #copies: LocalCopies | undefined
  readonly #time: StoreTime
  readonly #tally = new Tally()
  readonly #coherence: Coherence
  readonly #reader: Reader
  readonly #writer: Writer
  readonly #invalidator: Invalidator
  /** The node each bucket was last followed on. */
  readonly #homes = new Map<Bucket, RedisNode>()
  readonly #attached = new Map<RedisNode, () => void>()
  readonly #offTopology: () => void
  /** Until the first connection stands, failed, or took too long. */
  #starting: Promise<void> | undefined

  constructor(options: RedisStoreOptions) {
    const { port, namespace, l1 } = options
    this.#port = port
    this.#namespace = namespace
    this.#random = options.random
    this.#clock = options.clock
    this.#deadlines = { ...DEADLINES, ...options.deadlines }
    this.#time = new StoreTime(options.clock)
    this.#copies = l1 ? new LocalCopies(l1.maxEntries ?? L1_ENTRIES, l1.maxBytes ?? L1_BYTES) : undefined
    this.#coherence = new Coherence(port, this.#copies)
    this.#reader = new Reader(this.#copies, this.#time, this.#tally, this.#deadlines)
    const newId = (): string => this.#random.id()
    const parts = { time: this.#time, tally: this.#tally, deadlines: this.#deadlines, newId }
    const guard = new MemoryGuard(this.#time, this.#deadlines.write)
    this.#writer = new Writer({ ...parts, copies: this.#copies, reader: this.#reader, guard })
    this.#invalidator = new Invalidator({ ...parts, coherence: this.#coherence, guard })
    const count = options.buckets ?? (port.topology === 'cluster' ? CLUSTER_BUCKETS : 1)
    this.#buckets = Array.from({ length: count }, (_, b) => new Bucket(port, createLayout(namespace, b)))
    this.#offTopology = port.onTopology(() => this.#settleIn())
    this.#settleIn()
    this.#starting = port
      .ready(START_PATIENCE_MS)
      .catch(() => undefined)
      .then(() => {
        this.#starting = undefined
      })
  }

  /** Follows each bucket on the node that owns it now; puts the journal before any other traffic. */
  #settleIn(): void {
    const present = new Set<RedisNode>()
    for (const bucket of this.#buckets) {
      const { node } = bucket
      present.add(node)
      if (!this.#attached.has(node)) {
        this.#attached.set(node, node.attach({ gate: (context) => this.#replayOn(node, context) }))
      }
      if (this.#homes.get(bucket) === node) continue
      this.#homes.set(bucket, node)
      this.#coherence.watch(bucket)
    }
    for (const [node, detach] of this.#attached) {
      if (present.has(node)) continue
      detach()
      this.#attached.delete(node)
    }
  }

  async #replayOn(node: RedisNode, context: GateContext): Promise<void> {
    const here = this.#buckets.filter((bucket) => bucket.node === node)
    await Promise.all(here.map((bucket) => this.#invalidator.replay(bucket, context)))
  }

  #bucket(key: string): Bucket {
    return this.#buckets[bucketOf(key, this.#buckets.length)]!
  }

  serverNow(): number {
    return this.#time.now()
  }

  peek(key: string): Entry | undefined {
    if (this.#copies === undefined) return undefined
    const mono = this.#clock.mono()
    return this.#copies.peek(key, mono, this.#time.at(mono))
  }

  read(key: string, tags: readonly string[]): Promise<ReadReply> {
    if (this.#starting) return this.#starting.then(() => this.read(key, tags))
    const bucket = this.#bucket(key)
    return Promise.resolve(this.#barred(bucket, key, tags) ?? this.#reader.read(bucket, key, tags))
  }

  readMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<ReadReply[]> {
    return Promise.all(keys.map((key, i) => this.read(key, tags[i] ?? [])))
  }

  lease(key: string, tags: readonly string[], options?: { force?: boolean }): Promise<LeaseReply> {
    if (this.#starting) return this.#starting.then(() => this.lease(key, tags, options))
    const bucket = this.#bucket(key)
    const barred = this.#barred(bucket, key, tags)
    return Promise.resolve(barred ?? this.#writer.lease(bucket, key, tags, options?.force ?? false))
  }

  leaseMany(keys: readonly string[], tags: readonly (readonly string[])[]): Promise<LeaseReply[]> {
    return Promise.all(keys.map((key, i) => this.lease(key, tags[i] ?? [])))
  }

  /** While an invalidation of the name waits for replay, the server is not believed about it. */
  #barred(
    bucket: Bucket,
    key: string,
    tags: readonly string[],
  ): { state: 'down'; cause: Error; leftover: undefined } | undefined {
    if (bucket.journal.size === 0 || !bucket.journal.blocks(key, tags)) return undefined
    return { state: 'down', cause: this.#tally.journalled(), leftover: undefined }
  }

  async renew(lease: Lease): Promise<boolean> {
    try {
      return await this.#writer.hold(this.#bucket(lease.key), lease, LEASE_MS)
    } catch (error) {
      this.#tally.failed(error)
      return false
    }
  }

  async release(lease: Lease): Promise<void> {
    try {
      await this.#writer.hold(this.#bucket(lease.key), lease, 0)
    } catch (error) {
      // It lapses by itself after LEASE_MS.
      this.#tally.failed(error)
    }
  }

  fill(lease: Lease, draft: Draft): Promise<FillReply> {
    return this.#writer.fill(this.#bucket(lease.key), lease, draft)
  }

  fillMany(fills: readonly { lease: Lease; draft: Draft }[]): Promise<FillReply[]> {
    return Promise.all(fills.map(({ lease, draft }) => this.fill(lease, draft)))
  }

  async set(
    writes: readonly { key: string; draft: Draft }[],
    options: { wait: Wait; mark?: Mark | undefined },
  ): Promise<('stored' | 'refused' | 'bypassed')[]> {
    const verdicts = new Map<string, 'stored' | 'refused' | 'bypassed'>()
    const parts = this.#byBucket(writes, (write) => write.key).map(async ([bucket, mine]) => {
      const answers = await this.#invalidator.set(bucket, mine, options)
      mine.forEach((write, i) => {
        verdicts.set(write.key, answers[i]!)
      })
    })
    await allOrFirstFailure(parts)
    return writes.map((write) => verdicts.get(write.key)!)
  }

  async invalidate(what: Invalidation, wait: Wait): Promise<void> {
    const { keys = [], tags = [], all = false, soft = false } = what
    if (all) {
      const step = { mode: 'clear', keys: [], tags: [] } as const
      await allOrFirstFailure(this.#buckets.map((bucket) => this.#invalidator.run(bucket, step, wait)))
      return
    }
    await this.#step(keys, tags, soft ? 'soft' : 'hard', wait)
  }

  async #step(
    keys: readonly string[],
    tags: readonly string[],
    mode: 'hard' | 'soft' | 'fence' | 'lift',
    wait: Wait,
    fence?: { token: string; ms: number },
  ): Promise<void> {
    const byBucket = new Map(this.#byBucket(keys, (key) => key))
    // A tag has a version in every bucket that uses it; the answer waits for all of them.
    const touched = tags.length > 0 ? this.#buckets : [...byBucket.keys()]
    const steps = touched.map((bucket) => {
      const step = { mode, keys: byBucket.get(bucket) ?? [], tags, ...(fence ? { fence } : {}) }
      return this.#invalidator.run(bucket, step, wait)
    })
    await allOrFirstFailure(steps)
  }

  async invalidatePattern(
    glob: string,
    options: { wait: Wait; dryRun: boolean; soft: boolean },
  ): Promise<number> {
    const { wait, dryRun, soft } = options
    if (!dryRun) {
      // First void every running load and local copy that could match, then look for entries: what
      // is stored after this step was loaded after it.
      const step = { mode: 'pattern', keys: [], tags: [], pattern: glob } as const
      await allOrFirstFailure(this.#buckets.map((bucket) => this.#invalidator.run(bucket, step, 'commit')))
    }
    const seen = new RecentNames()
    let count = 0
    try {
      for await (const { keys } of this.scan(glob)) {
        const fresh = keys.filter((key) => seen.isNew(key))
        count += fresh.length
        if (!dryRun && fresh.length > 0) await this.#step(fresh, [], soft ? 'soft' : 'hard', 'commit')
      }
      if (!dryRun && wait === 'all') {
        // Messages are ordered: whoever confirms this empty one has heeded those before it.
        const empty = { mode: 'soft', keys: [], tags: [] } as const
        await allOrFirstFailure(this.#buckets.map((bucket) => this.#invalidator.run(bucket, empty, 'all')))
      }
    } catch (error) {
      if (dryRun || error instanceof NotAcknowledged) throw error
      throw new NotAcknowledged('the scan for the pattern broke off', { cause: error })
    }
    return count
  }

  async fence(what: { keys: readonly string[]; tags: readonly string[] }, ms: number): Promise<Fence> {
    const fence = { token: this.#random.id(), ms }
    await this.#step(what.keys, what.tags, 'fence', 'commit', fence)
    return { lift: (wait) => this.#step(what.keys, what.tags, 'lift', wait, fence) }
  }

  async mark(): Promise<Mark> {
    const stamps = this.#buckets.map(async ({ layout, node }): Promise<Stamp> => {
      const options = { deadline: this.#deadlines.read }
      const reply = await node.eval(MARK, [layout.word], [node.incarnation, this.#random.id()], options)
      const [epoch, seq] = reply as [string, string]
      return { epoch, seq: Number(seq) }
    })
    return { stamps: await Promise.all(stamps) }
  }

  async touch(key: string, ttlMs: number, staleMs: number): Promise<boolean> {
    const bucket = this.#bucket(key)
    const read = await this.#reader.read(bucket, key, [])
    if (read.state === 'down') throw read.cause
    if (read.state === 'miss') return false
    return this.#invalidator.touch(bucket, key, read.entry.tags, ttlMs, staleMs)
  }

  scan(glob: string, from?: string): AsyncIterable<ScanBatch> {
    return scanKeys(this.#everywhere(), glob, from)
  }

  tags(glob: string, from?: string): AsyncIterable<ScanBatch> {
    return scanTags(this.#everywhere(), glob, from)
  }

  weigh(keys: readonly string[]): Promise<readonly (EntryWeight | undefined)[]> {
    const deadline = this.#deadlines.invalidate
    return Promise.all(keys.map((key) => weighKey(this.#bucket(key), key, this.#time, deadline)))
  }

  #everywhere(): ScanPlace {
    const layouts = this.#buckets.map((bucket) => bucket.layout)
    const [namespace, deadline] = [this.#namespace, this.#deadlines.invalidate]
    return { nodes: this.#port.nodes(), layouts, namespace, deadline }
  }

  async inspect(key: string): Promise<StoreInspection> {
    const found = await inspectKey(this.#bucket(key), key, this.#time, this.#deadlines.write)
    return this.peek(key) && found.invalid === undefined ? { ...found, tier: 'l1' } : found
  }

  counters(): StoreCounters {
    return {
      l1Entries: this.#copies?.size ?? 0,
      l1Bytes: this.#copies?.bytes ?? 0,
      l1Evictions: this.#copies?.evictions ?? 0,
      corrupt: this.#tally.corrupt,
      bypassedFills: this.#tally.bypassedFills,
      refusedFills: this.#tally.refusedFills,
      journal: this.#buckets.reduce((sum, bucket) => sum + bucket.journal.size, 0),
      timeouts: this.#tally.timeouts,
    }
  }

  async close(): Promise<void> {
    this.#offTopology()
    await this.#writer.settled()
    this.#invalidator.close()
    await this.#coherence.close()
    for (const detach of this.#attached.values()) detach()
    this.#attached.clear()
    this.#copies?.clear()
  }

  #byBucket<Item>(items: readonly Item[], keyOf: (item: Item) => string): [Bucket, Item[]][] {
    const groups = new Map<Bucket, Item[]>()
    for (const item of items) {
      const bucket = this.#bucket(keyOf(item))
      const group = groups.get(bucket)
      if (group) group.push(item)
      else groups.set(bucket, [item])
    }
    return [...groups]
  }
}

/** Waits for all, so that none is left running, then reports the first failure. */
async function allOrFirstFailure(steps: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(steps)) {
    if (result.status === 'rejected') throw result.reason
  }
}
