import { HoldfastError, InvalidOption } from '../base/errors.ts'
import { LockLost, type LossCause } from '../lock/errors.ts'
import { mayRetry } from '../lock/retry.ts'
import { Watchdog } from '../lock/watchdog.ts'
import { OnceFailed, OnceSuperseded, OnceUnavailable } from './errors.ts'
import { decodeResult, encodeFailure, encodeResult } from './record.ts'
import { makeStep, type Step } from './step.ts'
import type { Claim, ClaimReply, Ending, OnceStore } from './store.ts'

export interface RunPlan<T> {
  readonly key: string
  readonly claim: Claim
  /** Monotonic time before the send that won. */
  readonly sentAt: number
  readonly won: Extract<ClaimReply, { state: 'won' }>
  readonly isFinal: (error: unknown) => boolean
  readonly maxResultBytes: number
  readonly fn: (step: Step) => T | Promise<T>
}

const ATTEMPT_MS = 500
/** An ending is tried for at least this long, also when the lease is nearly over. */
const MIN_END_MS = 3_000

/** One run that won its key: the routine under a heartbeat, and its ending written down. */
export class Run<T> {
  #store: OnceStore
  #plan: RunPlan<T>
  #abort = new AbortController()
  #watchdog: Watchdog
  #done = new Map<string, string>()
  #used = new Set<string>()
  #superseded = false

  constructor(store: OnceStore, plan: RunPlan<T>) {
    const { claim, sentAt, won } = plan
    this.#store = store
    this.#plan = plan
    for (const [name, value] of won.checkpoints) this.#done.set(name, value)
    this.#watchdog = new Watchdog({
      clock: store.clock,
      ttlMs: claim.leaseMs,
      sentAt,
      renews: true,
      renew: async (deadline) => ((await store.beat(claim, won.grant, deadline)) ? 'held' : 'stolen'),
      onLost: (cause) => this.#lost(cause),
    })
  }

  async execute(): Promise<T> {
    const { fn, won, key } = this.#plan
    const last = won.checkpoints.at(-1)
    const step = makeStep({
      key,
      grant: won.grant,
      before: won.before,
      checkpoint: last && { name: last[0], value: decodeResult(last[1]) },
      signal: this.#abort.signal,
      perform: (name, part) => this.#perform(name, part),
    })
    try {
      let value: T
      try {
        value = await fn(step)
      } catch (error) {
        throw await this.#failed(error)
      }
      await this.#succeeded(value)
      return value
    } finally {
      this.#watchdog.stop()
    }
  }

  async #perform<P>(name: string, fn: () => P | Promise<P>): Promise<P> {
    if (typeof name !== 'string' || name === '' || name.length > 200) {
      throw new InvalidOption('a step has no usable name', 'give each step a text of 1 to 200 characters')
    }
    if (this.#used.has(name)) {
      throw new InvalidOption(
        'two steps of one run have the same name',
        'number them, for example pay:1, pay:2',
      )
    }
    this.#used.add(name)
    const kept = this.#done.get(name)
    // What was stored under this name in this code's earlier run had the type of its `fn`.
    if (kept !== undefined) return decodeResult(kept) as P
    if (this.#superseded) throw new OnceSuperseded()
    const value = await fn()
    const { claim, won, maxResultBytes } = this.#plan
    const text = encodeResult(value, maxResultBytes)
    const recorded = await this.#write((deadline) =>
      this.#store.checkpoint(claim, won.grant, name, text, deadline),
    )
    if (!recorded) throw new OnceSuperseded({ value })
    return value
  }

  async #succeeded(value: T): Promise<void> {
    let result: string | undefined
    try {
      result = encodeResult(value, this.#plan.maxResultBytes)
    } catch {
      // The work is done and must not be done again: recorded as done, without the result.
    }
    let recorded: boolean
    try {
      recorded = await this.#end({ state: 'done', result })
    } catch (error) {
      throw new OnceUnavailable('the run ended well, but that could not be recorded', {
        cause: error,
        outcome: { value },
      })
    }
    if (!recorded) throw new OnceSuperseded({ value })
  }

  /** What the caller gets to see. */
  async #failed(error: unknown): Promise<unknown> {
    const final = this.#isFinal(error)
    const text = encodeFailure(error)
    try {
      await this.#end(final ? { state: 'failed', error: text } : { state: 'retry' })
    } catch {
      // Unrecorded: the lease ends and the crash policy decides. The routine's own error matters more.
    }
    return error
  }

  #isFinal(error: unknown): boolean {
    if (error instanceof HoldfastError && !(error instanceof OnceFailed)) return false
    try {
      return this.#plan.isFinal(error)
    } catch {
      return false
    }
  }

  #end(ending: Ending): Promise<boolean> {
    const { claim, won } = this.#plan
    return this.#write((deadline) => this.#store.end(claim, won.grant, ending, deadline))
  }

  /** Repeats a harmless-to-repeat write until it is answered, while the lease lasts. */
  async #write(send: (deadline: number) => Promise<boolean>): Promise<boolean> {
    const { clock } = this.#store
    const over = clock.mono() + Math.max(MIN_END_MS, this.#watchdog.remaining)
    for (;;) {
      try {
        return await send(ATTEMPT_MS)
      } catch (error) {
        if (!mayRetry(error) || clock.mono() >= over) {
          throw new OnceUnavailable('Redis did not confirm the record of the run', { cause: error })
        }
      }
      await new Promise<void>((resolve) => clock.after(100, resolve))
    }
  }

  #lost(cause: LossCause): void {
    this.#superseded = cause === 'stolen'
    this.#abort.abort(this.#superseded ? new OnceSuperseded() : new LockLost(cause))
  }
}
