import type { Timer } from '../base/clock.ts'
import { InvalidValue, LoadFailed, LoadTimeout } from '../base/errors.ts'
import { type Encoded, TooLarge } from './codec.ts'
import { createContext, Plan, type StaleValue } from './context.ts'
import type { Core, Scope } from './core.ts'
import { BAD, open } from './entry.ts'
import type { Flight, Verdict } from './flight.ts'
import type { Holder } from './holder.ts'
import type { LoadContext, Loader } from './options.ts'
import type { Settings } from './settings.ts'
import { loads } from './stats.ts'
import { type Draft, type Entry, type FillReply, LEASE_MS, type Lease } from './store.ts'

/** A load as it is ordered by the caller who found nothing. */
export interface Job {
  readonly scope: Scope
  readonly key: string
  readonly name: string
  readonly loader: Loader<unknown>
  readonly settings: Settings
  readonly stale: Entry | undefined
  /** Load although a fresh entry is there: it is due for refresh, or could not be read. */
  readonly force: boolean
  /** The store was found down: do not ask it for a lease. */
  readonly down: boolean
}

/** The right to load: with a lease, or without one and why. */
export type Grant =
  | { readonly by: 'lease'; readonly lease: Lease; readonly stale: Entry | undefined }
  | { readonly by: 'outage' | 'fence' | 'patience' }

export interface Fill {
  readonly lease: Lease
  readonly draft: Draft
}

/** A load that has not settled after this many hard timeouts is given up. */
const LIFE_IN_HARD_TIMEOUTS = 2

/**
 * One call of a loader, from the grant to the verdict: keeps the lease alive, turns the result into
 * what callers get and what is stored, and sees that nobody joins once the fill is on its way.
 */
export class RunningLoad {
  readonly #flight: Flight
  readonly #job: Job
  readonly #grant: Grant
  readonly #core: Core
  readonly #plan = new Plan()
  readonly #life: Timer
  #renewal: Timer | undefined
  #stale: StaleValue | undefined
  #ttlMs: number | undefined
  #began = 0
  #holder: Holder | undefined

  constructor(flight: Flight, job: Job, grant: Grant) {
    this.#flight = flight
    this.#job = job
    this.#grant = grant
    this.#core = job.scope.core
    if (grant.by === 'lease') this.#keepAlive(grant.lease)
    this.#life = this.#core.clock.after(job.settings.hardMs * LIFE_IN_HARD_TIMEOUTS, () => this.#giveUp())
  }

  /** Marks the load as begun: who comes from now on needs the verdict. */
  async begin(): Promise<LoadContext<unknown>> {
    const { scope, settings, stale } = this.#job
    const older = (this.#grant.by === 'lease' ? this.#grant.stale : undefined) ?? stale
    if (older !== undefined) {
      const value = await open(scope, older, settings, () => BAD)
      if (value !== BAD) this.#stale = { entry: older, value }
    }
    this.#began = this.#core.clock.mono()
    this.#flight.started = true
    scope.counters.loads++
    const now = this.#core.store.serverNow()
    return createContext(this.#flight, this.#job.key, scope.prefix, this.#stale, now, this.#plan)
  }

  /**
   * Hands the value to the callers. Returns what is to be sent to the store in the same run of
   * microtasks, then `finish` is called with the answer; undefined when nothing is to be stored.
   * @throws InvalidValue when it cannot be stored or does not match its schema: then call `fail`
   */
  async settle(value: unknown): Promise<Fill | undefined> {
    const loadMs = this.#core.clock.mono() - this.#began
    const encoded = await this.#pack(value)
    this.#stop()
    this.#core.endHoldOff(this.#job.name)
    // From here on nobody may join: the caller sends the fill before anything else can run.
    leaveMap(this.#core, this.#flight)
    this.#flight.land(this.#holder ? { kind: 'value', holder: this.#holder } : { kind: 'raw', value })
    const draft = encoded && !this.#plan.skipped ? this.#draft(encoded, value, loadMs) : undefined
    if (this.#grant.by === 'lease' && draft !== undefined) return { lease: this.#grant.lease, draft }
    if (this.#grant.by === 'lease') void this.#core.store.release(this.#grant.lease)
    if (this.#grant.by === 'outage') this.#job.scope.counters.bypassed++
    this.#decide(this.#grant.by === 'outage' ? 'bypassed' : 'unstored')
    return undefined
  }

  finish(reply: FillReply): void {
    if (reply.state === 'bypassed') this.#job.scope.counters.bypassed++
    if (reply.state === 'stored' && this.#holder?.memo !== undefined && reply.entry.memo === undefined) {
      // Later readers share the very object that the first callers have.
      reply.entry.memo = this.#holder.memo
      reply.entry.body = this.#holder.body
    }
    this.#decide(reply.state)
  }

  fail(thrown: unknown): void {
    const error = thrown || new LoadFailed('the loader rejected with nothing', { cause: thrown })
    const { scope, name, settings } = this.#job
    scope.counters.loadErrors++
    this.#stop()
    if (this.#stale !== undefined) this.#core.holdOff(name, settings.backoffMs)
    leaveMap(this.#core, this.#flight)
    if (this.#grant.by === 'lease') void this.#core.store.release(this.#grant.lease)
    this.#flight.land({ kind: 'error', error })
    this.#flight.decide('unstored')
    this.#announce(error, 'failed')
  }

  /** Undefined: it can be handed out but not stored. */
  async #pack(value: unknown): Promise<Encoded | undefined> {
    const { scope, name, settings: s } = this.#job
    const { codec, frozen } = this.#core
    await codec.prepare(s.codec, '')
    const kept = this.#plan.kept && this.#stale?.value === value ? this.#stale?.entry : undefined
    let encoded: Encoded
    try {
      encoded =
        kept?.body !== undefined ? { body: kept.body, flags: kept.flags } : codec.encode(name, value, s)
    } catch (error) {
      if (!(this.#plan.skipped || error instanceof TooLarge)) throw error
      if (!this.#plan.skipped) scope.counters.bypassed++
      return undefined
    }
    const holder: Holder = { key: name, flags: encoded.flags, body: encoded.body, memo: undefined }
    if (frozen || s.schema !== undefined) {
      // Read back at once, so that a first caller and a later hit see the same, schema included.
      if ((await open(scope, holder, s, () => BAD)) === BAD) {
        throw new InvalidValue('the loaded value does not match its schema', 'mend the loader or the schema')
      }
    }
    this.#holder = holder
    return encoded
  }

  /** Undefined when its life is 0. */
  #draft(encoded: Encoded, value: unknown, loadMs: number): Draft | undefined {
    const { settings: s } = this.#job
    const plan = this.#plan
    const isNegative = value === undefined || value === null
    const ttl = plan.ttlMs ?? (isNegative ? (s.negativeTtlMs ?? s.ttlMs) : s.ttlMs)
    const ttlMs = Math.round(s.jitter > 0 ? ttl * (1 - s.jitter * this.#core.random.float()) : ttl)
    if (ttlMs === 0) return undefined
    this.#ttlMs = ttlMs
    const kept = plan.kept ? this.#stale?.entry : undefined
    const tags = new Set([...s.tags, ...plan.tags, ...(kept?.tags ?? [])])
    return {
      body: encoded.body,
      flags: encoded.flags,
      tags: tags.size === s.tags.length ? s.tags : [...tags],
      ttlMs,
      staleMs: plan.staleMs ?? s.staleMs,
      loadMs,
      etag: plan.etagGiven ? plan.etag : kept?.etag,
    }
  }

  #decide(verdict: Verdict): void {
    this.#flight.decide(verdict)
    this.#announce(undefined, verdict)
  }

  #announce(error: unknown, fill: Verdict | 'failed'): void {
    if (!loads.active) return
    const { scope, key } = this.#job
    const ms = this.#core.clock.mono() - this.#began
    const { background } = this.#flight
    loads.publish({ namespace: scope.path, key, ms, error, background, fill, ttlMs: this.#ttlMs })
  }

  /** A lost lease only means a refused fill, so the outcome of a renewal does not matter here. */
  #keepAlive(lease: Lease): void {
    this.#renewal = this.#core.clock.after(LEASE_MS / 3, () => {
      this.#core.store.renew(lease).catch(() => false)
      this.#keepAlive(lease)
    })
  }

  /** Who still waits starts over; the loader may return some day, but nobody will listen. */
  #giveUp(): void {
    this.#stop()
    leaveMap(this.#core, this.#flight)
    this.#flight.abort(new LoadTimeout('the loader did not settle within twice the hard timeout'))
    this.#flight.land({ kind: 'idle' })
    this.#flight.decide('unstored')
    if (this.#grant.by === 'lease') void this.#core.store.release(this.#grant.lease)
  }

  #stop(): void {
    this.#renewal?.cancel()
    this.#life.cancel()
  }
}

export function leaveMap(core: Core, flight: Flight): void {
  if (core.flights.get(flight.name) === flight) core.flights.delete(flight.name)
}

/** A store that fails to answer a fill has not stored. */
export function bypassed(cause: unknown): FillReply {
  return {
    state: 'bypassed',
    cause: cause instanceof Error ? cause : new Error('the fill failed', { cause }),
  }
}
