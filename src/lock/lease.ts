import { LockLost, type LossCause } from './errors.ts'
import { lockEvents } from './events.ts'
import { mayRetry } from './retry.ts'
import type { Claimant, LockStore, RenewReply } from './store.ts'
import { Watchdog } from './watchdog.ts'

/** A release waits this long for an answer; then it goes on trying behind the caller's back. */
const RELEASE_MS = 500

/** A lock that is held. Give it back with `release()`, or declare it with `await using`. */
export class Lease implements AsyncDisposable {
  /**
   * Rises with every holder of this lock, over all processes, restarts and failovers. Write it beside
   * the data and refuse smaller ones: that alone protects against a holder that stood still.
   */
  readonly fencingToken: number
  #store: LockStore
  #claimant: Claimant
  #watchdog: Watchdog
  #abort: AbortController | undefined
  #released: Promise<boolean> | undefined
  #refused = false
  #since: number

  constructor(
    store: LockStore,
    claimant: Claimant,
    grant: { fence: number; sentAt: number; ttlMs: number; renews: boolean },
  ) {
    this.#store = store
    this.#claimant = claimant
    this.fencingToken = grant.fence
    this.#since = grant.sentAt
    this.#watchdog = new Watchdog({
      clock: store.clock,
      ttlMs: grant.ttlMs,
      sentAt: grant.sentAt,
      renews: grant.renews,
      renew: (deadline) => this.#renew(grant, deadline),
      onLost: (cause) => this.#onLost(cause),
    })
  }

  /** Aborts the moment the lock is lost; its reason is the LockLost. Hand it to what you call. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      // Made at the first need: most holders never look, and it is the dearest part of a lease.
      this.#abort = new AbortController()
      const cause = this.lost
      if (cause) this.#abort.abort(new LockLost(cause))
    }
    return this.#abort.signal
  }

  /** Milliseconds for which it is certainly still held. */
  get remaining(): number {
    return this.#released || this.lost ? 0 : this.#watchdog.remaining
  }

  /** Why it was lost; `undefined` while it is held and after an ordinary release. */
  get lost(): LossCause | undefined {
    return this.#watchdog.lost
  }

  /** The server answered the release with: you held nothing. */
  get refused(): boolean {
    return this.#refused
  }

  /**
   * Throws unless the lock is certainly held now. Synchronous and by the clock, so that it is right
   * even where long synchronous work kept the abort signal from firing.
   * @throws LockLost
   */
  assertHeld(): void {
    const cause = this.lost ?? (this.#released ? 'released' : undefined)
    if (cause) throw new LockLost(cause)
  }

  /**
   * Gives it back and wakes who is next. True when it was still ours; never rejects, and may be
   * called any number of times. Without an answer it resolves false after half a second, and goes
   * on trying until the lease ends by itself.
   */
  release(): Promise<boolean> {
    this.#released ??= this.#release()
    return this.#released
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release().then(() => {})
  }

  async #renew(grant: { fence: number; ttlMs: number }, deadline: number): Promise<RenewReply> {
    try {
      return await this.#store.renew(this.#claimant, grant.fence, grant.ttlMs, deadline)
    } catch (error) {
      if (lockEvents.active) lockEvents.publish({ event: 'renewal-failed', kind: this.#claimant.target.kind })
      throw error
    }
  }

  #onLost(cause: LossCause): void {
    this.#abort?.abort(new LockLost(cause))
    if (!lockEvents.active) return
    lockEvents.publish({ event: 'lost', kind: this.#claimant.target.kind, cause, heldMs: this.#heldMs() })
  }

  #heldMs(): number {
    return this.#store.clock.mono() - this.#since
  }

  async #release(): Promise<boolean> {
    const { clock } = this.#store
    if (!this.#watchdog.lost && lockEvents.active) {
      lockEvents.publish({ event: 'released', kind: this.#claimant.target.kind, heldMs: this.#heldMs() })
    }
    const over = clock.mono() + this.#watchdog.remaining
    const lostBefore = this.#watchdog.lost
    // Also when lost: it costs one command and never touches another owner's lease.
    this.#watchdog.stop()
    const done = releaseQuietly(this.#store, this.#claimant, over).then((answer) => {
      this.#refused = answer === false
      return answer === true
    })
    if (lostBefore) return false
    const late = new Promise<boolean>((resolve) => {
      const timer = clock.after(RELEASE_MS, () => resolve(false))
      void done.then(() => timer.cancel())
    })
    return Promise.race([done, late])
  }
}

/**
 * Releases, trying again after a failure until `over` on the monotonic clock: the lease ends then by
 * itself. After an attempt whose outcome is unknown, "nothing held" means that it had got through.
 * `undefined`: no answer.
 */
export async function releaseQuietly(
  store: LockStore,
  claimant: Claimant,
  over: number,
): Promise<boolean | undefined> {
  const { clock } = store
  let unsure = false
  for (;;) {
    try {
      return (await store.release(claimant, RELEASE_MS)) || unsure
    } catch (error) {
      unsure = true
      if (!mayRetry(error)) return undefined
    }
    if (clock.mono() >= over) return undefined
    await new Promise<void>((resolve) => clock.after(100, resolve))
  }
}
