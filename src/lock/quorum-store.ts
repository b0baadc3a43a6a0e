import type { Clock, Timer } from '../base/clock.ts'
import { RedisUnavailable } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { releaseQuietly } from './lease.ts'
import type { RedisLockStore } from './redis-store.ts'
import type {
  Claimant,
  ClaimOptions,
  ClaimReply,
  Ear,
  LockState,
  LockStore,
  RenewReply,
  Target,
} from './store.ts'
import { ayes, failures, firstError, gather, type Vote } from './votes.ts'

/** The name under which the servers know a claimant now, and those that may know of it. */
interface Attempt {
  readonly claimant: Claimant
  readonly asked: ReadonlySet<RedisLockStore>
}

/** There are no places in a line; but who was refused by a majority waits, and bears an outage meanwhile. */
const WAITS = 'waits'

/** Ends an attempt that nobody was let in by within this time, so that the next one finds room. */
const GIVE_BACK_MS = 200

/**
 * One lock over several independent servers: held where a majority of them granted it (Redlock,
 * redis.io/docs/latest/develop/clients/patterns/distributed-locks). Two rounds of one command to
 * each server, at the same time: the claim, and then the greatest token of the majority is told to
 * the majority, so that every later majority, which has a server in common with it, gives a greater
 * one. A round is over when its outcome is certain, not when the last server has answered.
 */
export class QuorumLockStore implements LockStore {
  readonly shared = true
  readonly clock: Clock
  readonly random: Random
  readonly #stores: readonly RedisLockStore[]
  readonly #majority: number
  /** So many may fail. */
  readonly #spare: number
  readonly #attempts = new WeakMap<Claimant, Attempt>()
  #count = 0

  constructor(stores: readonly RedisLockStore[]) {
    this.#stores = stores
    this.clock = stores[0]!.clock
    this.random = stores[0]!.random
    this.#majority = Math.floor(stores.length / 2) + 1
    this.#spare = stores.length - this.#majority
  }

  opening(): Promise<void> | undefined {
    const openings = this.#stores.map((store) => store.opening())
    if (openings.filter((one) => one === undefined).length >= this.#majority) return undefined
    const enough = (votes: readonly Vote<void>[]) => ayes(votes, () => true) >= this.#majority
    return gather(
      openings.map((one) => one ?? Promise.resolve()),
      enough,
    ).then(() => {})
  }

  newOwner(): string {
    return this.#stores[0]!.newOwner()
  }

  async claim(outer: Claimant, options: ClaimOptions): Promise<ClaimReply> {
    // Each attempt has a name of its own: what is still under way of an earlier one, a late release
    // above all, must not touch this one.
    const claimant = { target: outer.target, owner: `${outer.owner}.${(this.#count++).toString(36)}` }
    const asked = new Set(this.#stores)
    this.#attempts.set(outer, { claimant, asked })
    const sentAt = this.clock.mono()
    const claims = this.#stores.map((store) =>
      store.claim(claimant, { ...options, wait: false, ticket: '' }).catch((error: unknown) => {
        if (error instanceof RedisUnavailable) asked.delete(store) // nothing was sent
        throw error
      }),
    )
    const votes = await gather(claims, (so) => this.#settled(so, isHeld))
    let cause = failures(votes) > this.#spare ? firstError(votes) : undefined
    if (ayes(votes, isHeld) >= this.#majority) {
      const noted = await this.#agree(claimant, votes, options.deadline)
      if (noted.fence !== undefined) return { state: 'held', fence: noted.fence }
      cause = noted.cause
    }
    await this.#giveBack(claimant, claims, asked, sentAt + options.ttlMs)
    // Whoever cannot ask a majority knows nothing: an outage, not somebody else's lock.
    if (cause !== undefined) throw cause
    return { state: 'queued', ticket: WAITS, rank: 0, leaseMs: this.#roomIn(votes) }
  }

  async renew(outer: Claimant, fence: number, ttlMs: number, deadline: number): Promise<RenewReply> {
    const { claimant } = this.#attempts.get(outer)!
    const votes = await gather(
      this.#stores.map((store) => store.renew(claimant, fence, ttlMs, deadline)),
      (so) => this.#settled(so, (reply) => reply === 'held'),
    )
    if (ayes(votes, (reply) => reply === 'held') >= this.#majority) return 'held'
    const denied = ayes(votes, (reply) => reply !== 'held')
    if (denied <= this.#spare) throw firstError(votes)
    return ayes(votes, (reply) => reply === 'stolen') > 0 ? 'stolen' : 'vanished'
  }

  async release(outer: Claimant, deadline: number): Promise<boolean> {
    const attempt = this.#attempts.get(outer)
    if (!attempt) return false
    const { claimant, asked } = attempt
    // One attempt at each: what is left at a minority is no majority, and ends with its lease.
    const votes = await gather(
      this.#stores.map((store) =>
        asked.has(store) ? store.release(claimant, deadline) : Promise.resolve(false),
      ),
      (so) => this.#settled(so, isTrue),
    )
    if (ayes(votes, isTrue) >= this.#majority) return true
    if (ayes(votes, (had) => !had) > this.#spare) return false
    throw firstError(votes)
  }

  /** There is no line over several servers: each would have its own order. Who waits asks again. */
  listen(): Ear {
    return { ready: false, prepare() {}, close() {} }
  }

  /** Those whom a majority knows, with the shortest of their leases there. */
  async inspect(target: Target, deadline: number): Promise<LockState> {
    const votes = await gather(
      this.#stores.map((store) => store.inspect(target, deadline)),
      () => false,
    )
    const states = votes.flatMap((vote) => (vote && 'value' in vote ? [vote.value] : []))
    if (states.length < this.#majority) throw firstError(votes)
    const known = new Map<number, LockState['holders'][number][]>()
    for (const holder of states.flatMap((state) => state.holders)) {
      known.set(holder.fence, [...(known.get(holder.fence) ?? []), holder])
    }
    const holders = [...known.values()]
      .filter((same) => same.length >= this.#majority)
      .map((same) => ({ ...same[0]!, leaseMs: Math.min(...same.map((one) => one.leaseMs)) }))
    return { holders, waiting: 0 }
  }

  close(): void {
    for (const store of this.#stores) store.close()
  }

  /** Whether a majority said yes, or none can any more. */
  #settled<T>(votes: readonly Vote<T>[], is: (value: T) => boolean): boolean {
    const yes = ayes(votes, is)
    const no = ayes(votes, (value) => !is(value)) + failures(votes)
    return yes >= this.#majority || no > this.#spare
  }

  /** Tells the granting servers the greatest of their tokens; agreed when a majority took note. */
  async #agree(
    claimant: Claimant,
    votes: readonly Vote<ClaimReply>[],
    deadline: number,
  ): Promise<{ fence?: number; cause?: unknown }> {
    const granted = votes.flatMap((vote, index) =>
      vote && 'value' in vote && vote.value.state === 'held'
        ? [{ store: this.#stores[index]!, fence: vote.value.fence }]
        : [],
    )
    const fence = Math.max(...granted.map((one) => one.fence))
    const noted = await gather(
      granted.map(({ store }) => store.raise(claimant, fence, deadline)),
      (so) => ayes(so, isTrue) >= this.#majority,
    )
    return ayes(noted, isTrue) >= this.#majority ? { fence } : { cause: firstError(noted) }
  }

  /** Behind each claim, so that no release overtakes its own claim; goes on by itself where a server hangs. */
  async #giveBack(
    claimant: Claimant,
    claims: readonly Promise<ClaimReply>[],
    asked: ReadonlySet<RedisLockStore>,
    over: number,
  ): Promise<void> {
    const back = claims.map(async (claim, index) => {
      const store = this.#stores[index]!
      await claim.catch(() => {})
      if (asked.has(store)) await releaseQuietly(store, claimant, over)
    })
    let timer: Timer | undefined
    const patience = new Promise<void>((resolve) => {
      timer = this.clock.after(GIVE_BACK_MS, resolve)
    })
    await Promise.race([Promise.all(back), patience])
    timer?.cancel()
  }

  /** When so many of the present leases end that a majority is free, if nobody renews them. */
  #roomIn(votes: readonly Vote<ClaimReply>[]): number {
    const leases = votes
      .map((vote) => {
        if (!vote || 'error' in vote) return Number.POSITIVE_INFINITY
        return vote.value.state === 'queued' ? vote.value.leaseMs : 0
      })
      .sort((a, b) => a - b)
    const room = leases[this.#majority - 1]!
    return Number.isFinite(room) ? room : 0
  }
}

const isHeld = (reply: ClaimReply): boolean => reply.state === 'held'

const isTrue = (yes: boolean): boolean => yes
