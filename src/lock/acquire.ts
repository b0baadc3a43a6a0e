import type { Clock } from '../base/clock.ts'
import { HoldfastError } from '../base/errors.ts'
import { LockTimeout, LockUnavailable } from './errors.ts'
import { lockEvents } from './events.ts'
import { Lease, releaseQuietly } from './lease.ts'
import { Nap } from './nap.ts'
import { mayRetry } from './retry.ts'
import type { Claimant, ClaimReply, Ear, LockStore, Target } from './store.ts'
import { safetyMargin } from './watchdog.ts'

export interface AcquireRequest {
  readonly ttlMs: number
  readonly waitMs: number
  readonly renews: boolean
  /** How long Redis may be away before a claim that is not in the queue yet is refused. */
  readonly patienceMs: number
  readonly signal: AbortSignal | undefined
}

/** One attempt to reach Redis may take this long. */
const ATTEMPT_MS = 500
/** Who waits and hears nothing looks again this often: at the head of the queue, and at most. */
const HEAD_POLL_MS = 1_000
const MAX_POLL_MS = 3_000
/** Without a working push line. */
const DEAF_POLL_MS = 150

/**
 * Takes the lock or waits for it in line. Who waits is in the queue before it sleeps, is woken when
 * it is its turn, and looks by itself when the holder's lease should have ended, so neither a lost
 * message nor a dead holder nor a dead neighbour makes it wait for ever.
 * @throws LockTimeout, LockUnavailable, or the reason of `signal`
 */
export async function acquire(store: LockStore, target: Target, request: AcquireRequest): Promise<Lease> {
  request.signal?.throwIfAborted()
  const claimant: Claimant = { target, owner: store.newOwner() }
  const attempt = new Attempt(store, claimant, request)
  const started = store.clock.mono()
  try {
    const lease = await attempt.run()
    if (lockEvents.active) {
      lockEvents.publish({ event: 'acquired', kind: target.kind, waitedMs: store.clock.mono() - started })
    }
    return lease
  } catch (error) {
    if (lockEvents.active) {
      const reason =
        error instanceof LockTimeout
          ? 'timeout'
          : error instanceof LockUnavailable
            ? 'unavailable'
            : 'aborted'
      lockEvents.publish({
        event: 'refused',
        kind: target.kind,
        reason,
        waitedMs: store.clock.mono() - started,
      })
    }
    // Leaves the queue, and gives back what may have been won by an attempt without an answer.
    if (attempt.leftTraces) void releaseQuietly(store, claimant, store.clock.mono() + request.ttlMs)
    throw error
  } finally {
    attempt.ear?.close()
    if (attempt.hasWaited && lockEvents.active) lockEvents.publish({ event: 'unqueued', kind: target.kind })
  }
}

class Attempt {
  ear: Ear | undefined
  /** Whether Redis may know of us. */
  leftTraces = false
  /** Whether it told that it waits. */
  hasWaited = false
  #store: LockStore
  #claimant: Claimant
  #request: AcquireRequest
  #clock: Clock
  #started: number
  #nap: Nap
  #ticket = ''
  #leaseMs = 0

  constructor(store: LockStore, claimant: Claimant, request: AcquireRequest) {
    this.#store = store
    this.#claimant = claimant
    this.#request = request
    this.#clock = store.clock
    this.#started = store.clock.mono()
    this.#nap = new Nap(store.clock, request.signal)
  }

  async run(): Promise<Lease> {
    const { waitMs, patienceMs, ttlMs, signal } = this.#request
    const opening = this.#store.opening()
    if (opening) await this.#nap.until(opening)
    const openedAt = this.#clock.mono()
    if (waitMs > 0) this.ear = this.#store.listen(this.#claimant, () => this.#nap.end())
    for (;;) {
      const sentAt = this.#clock.mono()
      const left = this.#started + waitMs - sentAt
      if (left <= 0 && sentAt !== this.#started && this.#ticket !== '') throw this.#timeout()
      let reply: ClaimReply
      try {
        reply = await this.#claim(left > 0)
      } catch (error) {
        this.leftTraces = true
        const end = this.#ticket === '' ? openedAt + patienceMs : this.#started + waitMs
        if (!mayRetry(error) || this.#clock.mono() >= end) throw unavailable(error)
        await this.#nap.sleep(20 + this.#store.random.float() * 60)
        continue
      }
      this.leftTraces ||= reply.state === 'held' || left > 0
      signal?.throwIfAborted()
      if (reply.state === 'held') {
        // Its answer took so long that the lease may be over: not ours, and given back.
        if (this.#clock.mono() < sentAt + ttlMs - safetyMargin(ttlMs)) {
          return new Lease(this.#store, this.#claimant, {
            fence: reply.fence,
            sentAt,
            ttlMs,
            renews: this.#request.renews,
          })
        }
        throw new LockUnavailable('Redis granted the lock, but its answer came after the lease had ended')
      }
      this.#leaseMs = reply.leaseMs
      if (left <= 0) throw this.#timeout()
      this.#ticket = reply.ticket
      this.#tellWait()
      if (this.ear && !this.ear.ready) this.ear.prepare()
      await this.#nap.sleep(Math.min(this.#pollMs(reply.rank), this.#started + waitMs - this.#clock.mono()))
    }
  }

  #tellWait(): void {
    if (this.hasWaited || !lockEvents.active) return
    this.hasWaited = true
    lockEvents.publish({ event: 'queued', kind: this.#claimant.target.kind })
  }

  #claim(wait: boolean): Promise<ClaimReply> {
    this.#nap.rearm()
    const deadline = Math.min(ATTEMPT_MS, this.#request.ttlMs)
    const { ttlMs } = this.#request
    return this.#store.claim(this.#claimant, { ttlMs, wait, ticket: this.#ticket, deadline })
  }

  #pollMs(rank: number): number {
    if (!this.ear?.ready)
      return Math.min(DEAF_POLL_MS * (0.7 + this.#store.random.float() * 0.6), this.#leaseMs + 5)
    if (rank === 0) return Math.min(HEAD_POLL_MS, Math.max(20, this.#leaseMs + 5))
    return Math.min(MAX_POLL_MS, HEAD_POLL_MS + rank * 100)
  }

  #timeout(): LockTimeout {
    return new LockTimeout(this.#clock.mono() - this.#started, this.#leaseMs)
  }
}

function unavailable(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code === 'CLOSED') return error
  return new LockUnavailable('Redis did not give an answer about the lock', { cause: error })
}
