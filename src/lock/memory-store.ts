import type { Clock } from '../base/clock.ts'
import { type NameBatch, scanNames } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { holderName } from './holder.ts'
import type {
  Claimant,
  ClaimOptions,
  ClaimReply,
  Ear,
  ListableLockStore,
  LockState,
  Mode,
  RenewReply,
  Target,
} from './store.ts'

interface Holder {
  readonly mode: Mode
  readonly fence: number
  readonly since: number
  until: number
}

interface Waiter {
  readonly owner: string
  readonly mode: Mode
  readonly ticket: number
  wake: (() => void) | undefined
  told: boolean
}

interface Entry {
  readonly holders: Map<string, Holder>
  readonly queue: Waiter[]
}

/** Locks within one process, by the same rules as in Redis. An entry lives while somebody is in it. */
export class MemoryLockStore implements ListableLockStore {
  readonly shared = false
  readonly clock: Clock
  readonly random: Random
  #entries = new Map<string, Entry>()
  #wakes = new Map<string, () => void>()
  #last = 0
  #self: string
  #owners = 0
  #opened = 0

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
    this.#self = `${random.id()}.`
  }

  opening(): undefined {}

  newOwner(): string {
    return this.#self + (this.#owners++).toString(36)
  }

  async claim({ target, owner }: Claimant, options: ClaimOptions): Promise<ClaimReply> {
    const entry = this.#open(target)
    const now = this.clock.mono()
    const mine = entry.holders.get(owner)
    if (mine) {
      mine.until = now + options.ttlMs
      return { state: 'held', fence: mine.fence }
    }
    if (options.wait && !entry.queue.some((waiter) => waiter.owner === owner)) {
      const ticket = Number(options.ticket) || this.#next()
      const wake = this.#wakes.get(owner)
      entry.queue.push({ owner, mode: target.mode, ticket, wake, told: false })
      entry.queue.sort((a, b) => a.ticket - b.ticket)
    }
    if (settle(entry, target.capacity, owner, target.mode)) {
      const fence = this.#next()
      entry.holders.set(owner, { mode: target.mode, fence, since: now, until: now + options.ttlMs })
      leave(entry, owner)
      settle(entry, target.capacity)
      return { state: 'held', fence }
    }
    const rank = entry.queue.findIndex((waiter) => waiter.owner === owner)
    const ends = [...entry.holders.values()].map((holder) => holder.until)
    return {
      state: 'queued',
      ticket: rank < 0 ? '' : String(entry.queue[rank]!.ticket),
      rank: Math.max(0, rank),
      leaseMs: ends.length ? Math.max(0, Math.min(...ends) - now) : 0,
    }
  }

  async renew({ target, owner }: Claimant, fence: number, ttlMs: number): Promise<RenewReply> {
    const entry = this.#open(target)
    const mine = entry.holders.get(owner)
    if (mine) mine.until = this.clock.mono() + ttlMs
    const others = [...entry.holders.values()].some((holder) => holder.fence > fence)
    this.#sweep(target, entry)
    return mine ? 'held' : others ? 'stolen' : 'vanished'
  }

  async release({ target, owner }: Claimant): Promise<boolean> {
    const entry = this.#open(target)
    const had = entry.holders.delete(owner)
    leave(entry, owner)
    settle(entry, target.capacity)
    this.#sweep(target, entry)
    return had
  }

  listen({ owner }: Claimant, wake: () => void): Ear {
    this.#wakes.set(owner, wake)
    return { ready: true, prepare() {}, close: () => this.#wakes.delete(owner) }
  }

  async inspect(target: Target): Promise<LockState> {
    const entry = this.#open(target)
    const now = this.clock.mono()
    const state = {
      waiting: entry.queue.length,
      holders: [...entry.holders].map(([owner, { fence, mode, until, since }]) => ({
        holder: holderName(owner),
        fence,
        mode,
        leaseMs: Math.round(until - now),
        heldMs: Math.round(now - since),
      })),
    }
    this.#sweep(target, entry)
    return state
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    const isInUse = (name: string): boolean => {
      const entry = this.#entries.get(name)
      if (entry) this.#expire(entry)
      return entry !== undefined && entry.holders.size + entry.queue.length > 0
    }
    return scanNames(() => this.#entries.keys(), `*:${glob}`, isInUse, from)
  }

  async evict(target: Target): Promise<number> {
    const entry = this.#open(target)
    const count = entry.holders.size
    entry.holders.clear()
    settle(entry, count)
    this.#sweep(target, entry)
    return count
  }

  close(): void {
    this.#entries.clear()
    this.#wakes.clear()
  }

  /** Tokens and tickets: the wall clock in µs, and rising whatever that clock does. */
  #next(): number {
    this.#last = Math.max(this.#last + 1, Math.floor(this.clock.wall() * 1_000))
    return this.#last
  }

  #open(target: Target): Entry {
    if (++this.#opened % 1_024 === 0) this.#sweepAll()
    const name = `${target.kind}:${target.id}`
    let entry = this.#entries.get(name)
    if (!entry) {
      entry = { holders: new Map(), queue: [] }
      this.#entries.set(name, entry)
    }
    this.#expire(entry)
    return entry
  }

  #expire(entry: Entry): void {
    const now = this.clock.mono()
    for (const [owner, holder] of entry.holders) if (holder.until <= now) entry.holders.delete(owner)
  }

  /** Leases that ended without anybody asking again must not fill the memory. */
  #sweepAll(): void {
    for (const [name, entry] of this.#entries) {
      this.#expire(entry)
      if (!entry.holders.size && !entry.queue.length) this.#entries.delete(name)
    }
  }

  #sweep(target: Target, entry: Entry): void {
    if (!entry.holders.size && !entry.queue.length) this.#entries.delete(`${target.kind}:${target.id}`)
  }
}

function leave(entry: Entry, owner: string): void {
  const at = entry.queue.findIndex((waiter) => waiter.owner === owner)
  if (at >= 0) entry.queue.splice(at, 1)
}

/** See `settle` in scripts.ts; here nobody dies alone, so a told waiter keeps its place until it leaves. */
function settle(entry: Entry, capacity: number, owner?: string, mode?: Mode): boolean {
  let count = entry.holders.size
  let held: Mode | undefined = entry.holders.values().next().value?.mode
  const room = (wanted: Mode) =>
    wanted === 'p' ? count < capacity : count === 0 || (wanted === 'r' && held === 'r')
  for (const waiter of entry.queue) {
    if (waiter.owner === owner) break
    if (!room(waiter.mode)) return false
    if (!waiter.told) {
      waiter.told = true
      waiter.wake?.()
    }
    count++
    held = waiter.mode
  }
  return mode !== undefined && room(mode)
}
