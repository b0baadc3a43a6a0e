/**
 * The port between what locks mean to a caller (waiting, renewal, deadlines: above) and the place
 * where their state lives (below): process memory or Redis. Both adapters pass one contract suite.
 */
import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'

/**
 * What a holder needs of the others. `p`: one of `capacity` permits (a mutex has one).
 * `r`: shared with other readers. `w`: alone.
 */
export type Mode = 'p' | 'r' | 'w'

/** One thing to lock, and how. */
export interface Target {
  readonly kind: 'lock' | 'semaphore' | 'rwlock'
  /** The validated, encoded name. */
  readonly id: string
  readonly mode: Mode
  /** Permits in all; 1 for everything but a semaphore. */
  readonly capacity: number
}

/** One claim from its first attempt to its release. */
export interface Claimant {
  readonly target: Target
  /** Unguessable and never used again: what makes a retried acquire or release harmless. */
  readonly owner: string
}

export interface ClaimOptions {
  readonly ttlMs: number
  /** Stay in the queue when it is held. */
  readonly wait: boolean
  /** The place in the queue from an earlier answer; keeps it although the queue was lost. */
  readonly ticket: string
  /** Milliseconds for this attempt; afterwards it must have no effect. */
  readonly deadline: number
}

export type ClaimReply =
  | { readonly state: 'held'; readonly fence: number }
  | {
      readonly state: 'queued'
      readonly ticket: string
      /** How many wait before. */
      readonly rank: number
      /** When the first of the present leases ends, in ms from now. */
      readonly leaseMs: number
    }

export type RenewReply = 'held' | 'stolen' | 'vanished'

export interface Ear {
  /** Whether a wake-up would arrive. While false, poll. */
  readonly ready: boolean
  /** Begins to make it ready, at the first need; calls `wake` when it is, as something may have passed. */
  prepare(): void
  close(): void
}

/** Who holds a lock and how many wait, at the moment of asking. */
export interface LockState {
  readonly holders: readonly {
    /** Digest of its secret: tells holders apart, opens nothing. */
    readonly holder: string
    readonly fence: number
    readonly mode: Mode
    /** ms until the lease ends unless renewed. */
    readonly leaseMs: number
    readonly heldMs: number
  }[]
  readonly waiting: number
}

export interface LockStore {
  readonly shared: boolean
  readonly clock: Clock
  readonly random: Random
  /** At the start of a process: settles when Redis is connected, or not to be waited for. Else `undefined`. */
  opening(): Promise<void> | undefined
  /** A name that nobody else can have or guess. */
  newOwner(): string
  /** One attempt. Rejects with RedisUnavailable, RedisTimeout or RedisReplyError. */
  claim(claimant: Claimant, options: ClaimOptions): Promise<ClaimReply>
  renew(claimant: Claimant, fence: number, ttlMs: number, deadline: number): Promise<RenewReply>
  /** Gives back what is held, leaves the queue, wakes who is next. False: it held nothing. */
  release(claimant: Claimant, deadline: number): Promise<boolean>
  /** Calls `wake` when it is this claimant's turn, or when the line was broken and one should look. */
  listen(claimant: Claimant, wake: () => void): Ear
  inspect(target: Target, deadline: number): Promise<LockState>
  close(): void
}

/** A store that can be looked over, by people: every other call names what it is about. */
export interface ListableLockStore extends LockStore {
  /** `<kind>:<id>` of what is held or waited for, by glob over ids; perhaps some that ended a moment ago. */
  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch>
  /** Takes away every lease on a target and tells who is next. Answers how many there were. */
  evict(target: Target, deadline: number): Promise<number>
}
