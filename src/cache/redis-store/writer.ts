import { TickBatch } from '../../base/tick-batch.ts'
import type { Arg } from '../../redis/link.ts'
import type { RedisNode } from '../../redis/port.ts'
import type { Draft, Entry, FillReply, Lease, LeaseReply } from '../store.ts'
import { LEASE_MS } from '../store.ts'
import { storedEntry } from '../stored-entry.ts'
import type { Bucket } from './bucket.ts'
import { wireTag } from './layout.ts'
import type { LocalCopies } from './local-copies.ts'
import type { MemoryGuard } from './memory-guard.ts'
import type { Reader } from './reader.ts'
import { FILL, HOLD, LEASE } from './scripts.ts'
import type { StoreDeadlines } from './settings.ts'
import type { StoreTime } from './store-time.ts'
import type { Tally } from './tally.ts'
import { headerRest, isBinary, parseHeader, toEntry } from './wire.ts'

interface LeaseRequest {
  readonly key: string
  readonly tags: readonly string[]
  readonly force: boolean
}

interface FillRequest {
  readonly lease: Lease
  readonly draft: Draft
}

/** `again`: the entry has tags that the caller did not name; reading it teaches them. */
type LeaseVerdict = LeaseReply | { readonly state: 'again' }

/** Requests per script run: keeps the server's pause under a few milliseconds. */
const MAX_BATCH = 64

/** The miss path: leases and fills, those of one tick and bucket in one script call. */
export class Writer {
  readonly #copies: LocalCopies | undefined
  readonly #reader: Reader
  readonly #guard: MemoryGuard
  readonly #time: StoreTime
  readonly #tally: Tally
  readonly #deadlines: StoreDeadlines
  readonly #newId: () => string
  readonly #leases = new Map<Bucket, TickBatch<LeaseRequest, LeaseVerdict>>()
  readonly #fills = new Map<Bucket, TickBatch<FillRequest, FillReply>>()
  readonly #filling = new Set<Promise<FillReply>>()

  constructor(parts: {
    copies: LocalCopies | undefined
    reader: Reader
    guard: MemoryGuard
    time: StoreTime
    tally: Tally
    deadlines: StoreDeadlines
    newId: () => string
  }) {
    this.#copies = parts.copies
    this.#reader = parts.reader
    this.#guard = parts.guard
    this.#time = parts.time
    this.#tally = parts.tally
    this.#deadlines = parts.deadlines
    this.#newId = parts.newId
  }

  async lease(bucket: Bucket, key: string, tags: readonly string[], force: boolean): Promise<LeaseReply> {
    // With the tags learned from its header, or an entry that one of them voided would stand in the way.
    let known = this.#reader.tagsToAsk(key, tags)
    for (let round = 0; round < 3; round++) {
      const verdict = await batchOf(this.#leases, bucket, this.#time, (requests) =>
        this.#askLeases(bucket, requests),
      ).add({ key, tags: known, force })
      if (verdict.state !== 'again') return verdict
      const read = await this.#reader.read(bucket, key, tags)
      known = this.#reader.tagsToAsk(key, tags)
      if (read.state === 'down') return read
      if (read.state === 'found' && read.entry.freshUntil > this.#time.now()) return read
    }
    // Filled under ever new tags while we ask: take part as one who waits.
    return { state: 'busy', stale: undefined }
  }

  async fill(bucket: Bucket, lease: Lease, draft: Draft): Promise<FillReply> {
    if (this.#guard.isTight(bucket.node)) {
      this.hold(bucket, lease, 0).catch((error) => this.#tally.failed(error))
      return { state: 'bypassed', cause: this.#tally.bypassed('OOM kept free for what must not be lost') }
    }
    const batch = batchOf(this.#fills, bucket, this.#time, (requests) => this.#askFills(bucket, requests))
    const reply = batch.add({ lease, draft })
    this.#filling.add(reply)
    try {
      return await reply
    } finally {
      this.#filling.delete(reply)
    }
  }

  /** Resolves when the fills on their way have been answered or given up: nobody waits for them otherwise. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#filling)
  }

  /** Keeps the lease for another `LEASE_MS`, or with 0 gives it back. */
  async hold(bucket: Bucket, lease: Lease, ms: number): Promise<boolean> {
    const held = `${lease.token}:${lease.stamp.epoch}:${lease.stamp.seq}`
    const keys = [bucket.layout.lease(lease.key)]
    const reply = await bucket.node.eval(HOLD, keys, [held, String(ms)], { deadline: this.#deadlines.write })
    return reply === 1
  }

  async #askLeases(bucket: Bucket, requests: readonly LeaseRequest[]): Promise<LeaseVerdict[]> {
    const forced = requests.filter((request) => request.force)
    if (forced.length > 0 && forced.length < requests.length) {
      const rest = requests.filter((request) => !request.force)
      const [a, b] = await Promise.all([this.#askLeases(bucket, forced), this.#askLeases(bucket, rest)])
      return requests.map((request) => (request.force ? a.shift()! : b.shift()!))
    }
    const { layout, node } = bucket
    const deadline = this.#deadlines.read
    const keys: string[] = [layout.word]
    const tokens: string[] = []
    const args: Arg[] = [node.incarnation, this.#newId(), lateAfter(node, deadline), String(LEASE_MS)]
    args.push(forced.length > 0 ? '1' : '0', String(requests.length))
    for (const { key, tags } of requests) {
      keys.push(layout.entry(key), layout.lease(key), layout.fenceOfKey(key))
      const token = this.#newId()
      tokens.push(token)
      args.push(token, String(tags.length))
      for (const tag of tags) {
        keys.push(layout.tag(tag), layout.fenceOfTag(tag))
        args.push(wireTag(tag))
      }
    }
    try {
      const replies = (await node.eval(LEASE, keys, args, { deadline })) as unknown[][]
      const shift = this.#time.shift(node)
      const now = this.#time.now()
      return requests.map(({ key, force }, i) => {
        const verdict = this.#leaseVerdict(key, tokens[i]!, replies[i]!, shift)
        if (verdict.state === 'granted' && !force) this.#copies?.dropFresh(key, now)
        return verdict
      })
    } catch (error) {
      const cause = this.#tally.failed(error)
      return requests.map(({ key }) => ({ state: 'down', cause, leftover: this.#reader.leftover(key) }))
    }
  }

  #leaseVerdict(key: string, token: string, reply: readonly unknown[], shift: number): LeaseVerdict {
    const [kind, first, second, third] = reply as [string, string?, string?, string?]
    switch (kind) {
      case 'G': {
        const stamp = { epoch: first!, seq: Number(second) }
        return { state: 'granted', lease: { key, token, stamp }, stale: entryOf(key, third, shift, true) }
      }
      case 'F': {
        const entry = entryOf(key, first, shift, false)
        return entry ? { state: 'found', entry } : { state: 'again' }
      }
      case 'B':
        return { state: 'busy', stale: entryOf(key, first, shift, true) }
      case 'X':
        return { state: 'fenced' }
      case 'R':
        return { state: 'again' }
      default:
        return {
          state: 'down',
          cause: this.#tally.bypassed(first ?? 'an unknown answer'),
          leftover: undefined,
        }
    }
  }

  async #askFills(bucket: Bucket, requests: readonly FillRequest[]): Promise<FillReply[]> {
    const { layout, node, flushes } = bucket
    const keys: string[] = [layout.word]
    const args: Arg[] = [node.incarnation, this.#newId(), String(requests.length)]
    for (const { lease, draft } of requests) {
      keys.push(layout.entry(lease.key), layout.lease(lease.key), layout.fenceOfKey(lease.key))
      for (const tag of draft.tags) keys.push(layout.tag(tag), layout.fenceOfTag(tag))
      args.push(lease.token, lease.stamp.epoch, String(lease.stamp.seq), ttl(draft), ms(draft.staleMs))
      args.push(headerRest(draft), draft.body, String(draft.tags.length))
    }
    try {
      const replies = (await node.eval(FILL, keys, args, { deadline: this.#deadlines.write })) as unknown[][]
      const shift = this.#time.shift(node)
      return requests.map(({ lease, draft }, i) => {
        const [kind, seq, now] = replies[i] as [string, string?, string?]
        if (kind === 'S') {
          const size = lease.key.length + Buffer.byteLength(draft.body) + 64
          const entry = storedEntry(lease.key, draft, Number(now) + shift, size)
          this.#copies?.offer(lease.key, entry, {
            bucket,
            flushes,
            epoch: lease.stamp.epoch,
            seq: Number(seq),
          })
          return { state: 'stored', entry }
        }
        if (kind === 'X') {
          this.#tally.refusedFills++
          return { state: 'refused' }
        }
        return { state: 'bypassed', cause: this.#tally.bypassed(seq ?? 'an unknown answer') }
      })
    } catch (error) {
      return requests.map(() => ({ state: 'bypassed', cause: this.#tally.bypassed(error) }))
    }
  }
}

function batchOf<Request, Answer>(
  batches: Map<Bucket, TickBatch<Request, Answer>>,
  bucket: Bucket,
  time: StoreTime,
  send: (requests: readonly Request[]) => Promise<readonly Answer[]>,
): TickBatch<Request, Answer> {
  let batch = batches.get(bucket)
  if (batch === undefined) {
    batch = new TickBatch(time.clock, MAX_BATCH, send)
    batches.set(bucket, batch)
  }
  return batch
}

/** Server time after which a script must not take effect any more. */
export function lateAfter(node: RedisNode, deadline: number): string {
  return String(Math.ceil(node.serverNow() + deadline))
}

/** Redis takes whole milliseconds, and no life of zero. */
export const ms = (duration: number): string => String(Math.round(duration))
export const ttl = (draft: Draft): string => ms(Math.max(1, draft.ttlMs))

/** Bytes were read as text here, so a binary body is of no use: it has to be read again. */
function entryOf(
  key: string,
  raw: string | null | undefined,
  shift: number,
  stale: boolean,
): Entry | undefined {
  if (!raw) return undefined
  const header = parseHeader(raw)
  return header === undefined || isBinary(header.flags) ? undefined : toEntry(key, raw, header, shift, stale)
}
