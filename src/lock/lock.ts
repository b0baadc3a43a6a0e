import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { acquire } from './acquire.ts'
import { LockLost, LockTimeout } from './errors.ts'
import type { Lease } from './lease.ts'
import type { LockState, LockStore, Target } from './store.ts'

/** How long a lock lives without its holder, and how long to wait for it. */
export interface LockOptions {
  /**
   * How long the lock outlives a holder that died, and how long a holder cut off from Redis goes on
   * believing. Renewed at each third while held. From 100 ms to one day. @default '30s'
   */
  ttl?: Duration | undefined
  /** How long to wait in line. 0 = one attempt. @default '10s' */
  wait?: Duration | undefined
  /** Renew while held. `false`: held for one ttl at most. @default true */
  renew?: boolean | undefined
  /** Gives up waiting. Does not end a lock that is held. */
  signal?: AbortSignal | undefined
  /** How long Redis may be away before a claim that is not in line yet is refused. @default '1s' */
  patience?: Duration | undefined
}

/** The same for `run`, and what becomes of a result when the lock was lost meanwhile. */
export interface RunOptions extends LockOptions {
  /**
   * When the lock was lost and the routine returned a value all the same: `throw` a LockLost that
   * carries it as `outcome.value`, or `return` it. An error of the routine itself always wins.
   * @default 'throw'
   */
  onLost?: 'throw' | 'return' | undefined
}

const ACQUIRE_OPTIONS = ['ttl', 'wait', 'renew', 'signal', 'patience']
const RUN_OPTIONS = [...ACQUIRE_OPTIONS, 'onLost']
const MIN_TTL_MS = 100
const MAX_TTL_MS = 86_400_000
const INSPECT_MS = 1_000

/** One named lock, or one side of a read-write lock, or a semaphore. Costs nothing until used. */
export class Lock {
  #store: LockStore
  #target: Target
  #defaults: RunOptions

  constructor(store: LockStore, target: Target, defaults: RunOptions, where: string) {
    refuseUnknown(defaults, RUN_OPTIONS, where)
    this.#store = store
    this.#target = target
    this.#defaults = defaults
    this.#settings({})
  }

  /**
   * Runs `fn` while holding the lock and gives it back afterwards, whatever happens. What `fn` returns
   * is never thrown away: if the lock was lost meanwhile, the LockLost carries it (see `onLost`).
   * @throws LockTimeout, LockUnavailable before `fn` began; LockLost; whatever `fn` throws
   */
  async run<T>(fn: (lease: Lease) => T | Promise<T>, options: RunOptions = {}): Promise<T> {
    refuseUnknown(options, RUN_OPTIONS, 'run()')
    const lease = await acquire(this.#store, this.#target, this.#settings(options))
    let value: T
    try {
      value = await fn(lease)
    } catch (error) {
      await lease.release()
      throw error
    }
    const known = lease.lost
    const sure = lease.remaining
    const ours = await lease.release()
    // Not ours at the server although our own time was not over: it was deleted under our feet.
    // Without an answer our own time decides, as it does for everybody else.
    const lost = known ?? (!ours && sure > 0 && lease.refused ? 'vanished' : undefined)
    if (lost && (options.onLost ?? this.#defaults.onLost) !== 'return') throw new LockLost(lost, { value })
    return value
  }

  /**
   * Takes the lock, waiting in line for it. Release it, or declare it with `await using`.
   * @throws LockTimeout, LockUnavailable, the reason of `signal`
   */
  async acquire(options: LockOptions = {}): Promise<Lease> {
    refuseUnknown(options, ACQUIRE_OPTIONS, 'acquire()')
    return acquire(this.#store, this.#target, this.#settings(options))
  }

  /**
   * One attempt: `undefined` when others hold it or wait for it.
   * @throws LockUnavailable
   */
  async tryAcquire(options: Omit<LockOptions, 'wait'> = {}): Promise<Lease | undefined> {
    try {
      return await this.acquire({ ...options, wait: 0 })
    } catch (error) {
      if (error instanceof LockTimeout) return undefined
      throw error
    }
  }

  /** Who holds it and how many wait; for people, not for decisions. */
  async inspect(): Promise<LockState> {
    await this.#store.opening()
    return this.#store.inspect(this.#target, INSPECT_MS)
  }

  #settings(options: LockOptions) {
    const base = this.#defaults
    const ttlMs = Math.floor(toMs(options.ttl ?? base.ttl ?? '30s', 'ttl'))
    if (ttlMs < MIN_TTL_MS || ttlMs > MAX_TTL_MS) {
      throw new InvalidOption(
        `ttl is ${ttlMs} ms`,
        'give 100 ms to one day; a held lock is renewed, so it need not cover the work',
      )
    }
    return {
      ttlMs,
      waitMs: toMs(options.wait ?? base.wait ?? '10s', 'wait'),
      renews: options.renew ?? base.renew ?? true,
      patienceMs: toMs(options.patience ?? base.patience ?? '1s', 'patience'),
      signal: options.signal ?? base.signal,
    }
  }
}
