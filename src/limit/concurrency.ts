import type { Clock, Timer } from '../base/clock.ts'
import { sleep, systemClock } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import { toMs } from '../base/duration.ts'
import { Closed, HoldfastError, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { RedisPort } from '../redis/port.ts'
import { LimitExceeded } from './errors.ts'
import type { OutagePolicy } from './options.ts'
import { MemoryPermitStore, type PermitStore, RedisPermitStore } from './permit-store.ts'
import { units } from './spec.ts'
import { identities, type Subject, SubjectKeys } from './subject.ts'

/** What `createConcurrency` makes a limiter of. */
export interface ConcurrencySettings {
  /** Without it: process memory. */
  redis?: RedisPort | undefined
  /** First part of every key. @default 'app' */
  namespace?: string | undefined
  /** Tells limiters apart. */
  name: string
  /** How many permits of one subject may be held at a time; 0 refuses all. */
  limit: number
  /** After this long without renewal a permit ends: what a crashed holder costs. At least 10 ms. @default '30s' */
  lease?: Duration | undefined
  /** Renew permits by themselves, three times per lease. `false`: call `renew()`, e.g. at each ping of a socket. @default true */
  renew?: boolean | undefined
  /** As for a limiter; `local` counts the permits of this process. @default 'local' */
  onUnavailable?: OutagePolicy | undefined
  /** How long a call may take before `onUnavailable` answers. @default '100ms' */
  deadline?: Duration | undefined
  /** For process memory. @default the system's */
  clock?: Clock | undefined
  /** For ids of permits. @default the system's */
  random?: Random | undefined
}

/** How long to wait for a permit, and whether it renews itself. */
export interface AcquireOptions {
  /** How long to wait for a permit. @default 0 */
  wait?: Duration | undefined
  /** Instead of the limiter's own: of the caller's plan. */
  limit?: number | undefined
  /** Gives up waiting. */
  signal?: AbortSignal | undefined
}

const KNOWN = [
  'redis',
  'namespace',
  'name',
  'limit',
  'lease',
  'renew',
  'onUnavailable',
  'deadline',
  'clock',
  'random',
]
/** While it waits, a caller looks this often, ± a third. */
const LOOK_MS = 50

/**
 * At most so many at once: connections, jobs, exports.
 * @throws InvalidOption, InvalidKey
 */
export function createConcurrency(settings: ConcurrencySettings): ConcurrencyLimiter {
  return new ConcurrencyLimiter(settings)
}

/** At most so many at once per subject, over all processes, each with a lease. */
export class ConcurrencyLimiter {
  readonly name: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #keys: SubjectKeys
  readonly #limit: number
  readonly #lease: number
  readonly #renews: boolean
  readonly #policy: OutagePolicy
  readonly #store: PermitStore
  readonly #local: MemoryPermitStore
  readonly #held = new Set<Permit>()
  #closed = false

  constructor(settings: ConcurrencySettings) {
    refuseUnknown(settings, KNOWN, `concurrency limiter '${String(settings.name).slice(0, 40)}'`)
    const { redis, name } = settings
    this.name = name
    this.#clock = redis?.clock ?? settings.clock ?? systemClock
    this.#random = redis?.random ?? settings.random ?? systemRandom
    this.#keys = new SubjectKeys(settings.namespace ?? 'app', name, undefined)
    this.#limit = units(settings.limit, 'limit', 0)
    this.#lease = Math.round(toMs(settings.lease ?? '30s', 'lease'))
    if (this.#lease < 10) throw new InvalidOption('lease is under 10 ms', "give a time such as '30s'")
    this.#renews = settings.renew ?? true
    this.#policy = settings.onUnavailable ?? 'local'
    if (!['allow', 'deny', 'local'].includes(this.#policy)) {
      throw new InvalidOption('onUnavailable is unknown', "use 'local', 'allow' or 'deny'")
    }
    this.#local = new MemoryPermitStore(this.#clock)
    const deadline = toMs(settings.deadline ?? 100, 'deadline')
    this.#store = redis ? new RedisPermitStore(redis, deadline) : this.#local
  }

  /**
   * A permit, or undefined where all are taken.
   * @throws InvalidKey, InvalidOption
   */
  async tryAcquire(
    subject: Subject,
    options: Pick<AcquireOptions, 'limit'> = {},
  ): Promise<Permit | undefined> {
    const reply = await this.#ask(subject, options.limit)
    return typeof reply === 'number' ? undefined : reply
  }

  /**
   * A permit, waited for up to `wait`.
   * @throws LimitExceeded when none became free in time; the signal's reason when it aborts
   */
  async acquire(subject: Subject, options: AcquireOptions = {}): Promise<Permit> {
    const end = this.#clock.mono() + toMs(options.wait ?? 0, 'wait')
    for (;;) {
      options.signal?.throwIfAborted()
      const reply = await this.#ask(subject, options.limit)
      if (typeof reply !== 'number') return reply
      const left = end - this.#clock.mono()
      if (left <= 0) throw new LimitExceeded({ retryAfter: reply })
      const look = LOOK_MS * (2 / 3 + (this.#random.float() * 2) / 3)
      await sleep(this.#clock, Math.max(1, Math.min(look, left, reply || look)), options.signal)
    }
  }

  /** Most permits of one subject. */
  get limit(): number {
    return this.#limit
  }

  /** Permits of a subject in use now. */
  async count(subject: Subject): Promise<number> {
    return this.#store.count(this.#keyOf(subject))
  }

  /** Gives back every permit of this process. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#held].map((permit) => permit.release().catch(() => false)))
  }

  async #ask(subject: Subject, limit = this.#limit): Promise<Permit | number> {
    if (this.#closed) throw new Closed('this limiter is closed')
    const key = this.#keyOf(subject)
    const id = this.#random.id()
    const most = units(limit, 'limit', 0)
    let store: PermitStore | undefined = this.#store
    let reply: Awaited<ReturnType<PermitStore['acquire']>>
    try {
      reply = await store.acquire(key, id, most, this.#lease)
    } catch (error) {
      if (!(error instanceof HoldfastError) || error instanceof Closed) throw error
      // Unanswered, it may be held all the same: give it back, or its lease will.
      void store.release(key, id).catch(() => false)
      store = this.#policy === 'local' ? this.#local : undefined
      reply = store
        ? await store.acquire(key, id, most, this.#lease)
        : { granted: this.#policy === 'allow', inUse: 0, firstEndsIn: 1_000 }
    }
    if (!reply.granted) return reply.firstEndsIn
    const held = this.#held
    const permit = new Permit(
      this.#clock,
      store,
      key,
      id,
      this.#lease,
      this.#renews,
      store !== this.#store,
      (gone) => {
        held.delete(gone)
      },
    )
    held.add(permit)
    return permit
  }

  #keyOf(subject: Subject): string {
    const who = identities(subject)
    if (who.length > 1) throw new InvalidOption('permits are of one subject', 'acquire one for each')
    return `${this.#keys.keyOf(who[0]!)}:held`
  }
}

/** The right to be one of the few. Give it back with `release()`, or hold it by `await using`. */
export class Permit {
  /** Given while Redis could not be asked: counted in this process only, or not at all. */
  readonly degraded: boolean
  readonly #clock: Clock
  readonly #store: PermitStore | undefined
  readonly #key: string
  readonly #id: string
  readonly #lease: number
  readonly #gone: (permit: Permit) => void
  #timer: Timer | undefined
  #released = false

  constructor(
    clock: Clock,
    store: PermitStore | undefined,
    key: string,
    id: string,
    lease: number,
    renews: boolean,
    degraded: boolean,
    gone: (permit: Permit) => void,
  ) {
    this.#clock = clock
    this.#store = store
    this.#key = key
    this.#id = id
    this.#lease = lease
    this.#gone = gone
    this.degraded = degraded
    if (renews && store) this.#renewLater()
  }

  /**
   * Begins the lease anew. False: it had ended, and somebody else may have the place.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async renew(): Promise<boolean> {
    if (this.#released) return false
    return this.#store ? this.#store.renew(this.#key, this.#id, this.#lease) : true
  }

  /**
   * Gives it back. False: it was back already, or its lease had ended. Twice frees one place.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked; the lease's end frees it then
   */
  async release(): Promise<boolean> {
    if (this.#released) return false
    this.#released = true
    this.#timer?.cancel()
    this.#gone(this)
    return this.#store ? this.#store.release(this.#key, this.#id) : true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => false)
  }

  #renewLater(): void {
    this.#timer = this.#clock.after(this.#lease / 3, () => {
      if (this.#released) return
      // A failed renewal is tried again at the next third; a lost one stays lost.
      this.renew().then(
        (kept) => kept && this.#renewLater(),
        () => this.#renewLater(),
      )
    })
  }
}
