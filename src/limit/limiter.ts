import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { Closed, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { Ask } from './ask.ts'
import type { Decision } from './decision.ts'
import { decisionOf, unasked } from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import { limitEvents } from './events.ts'
import { Insurance } from './insurance.ts'
import { MemoryLimitStore } from './memory-store.ts'
import type { ConsumeOptions, LimiterSettings, RefundOptions } from './options.ts'
import { PolicyBook } from './policy-book.ts'
import { redisLimitStore } from './redis-store.ts'
import { type Algorithm, units } from './spec.ts'
import type { LimitStore, Outcome, Verb } from './store.ts'
import type { Subject } from './subject.ts'
import { type Identity, identities, SubjectKeys } from './subject.ts'
import type { LimitCounts, LimitReport } from './tally.ts'
import { Tally } from './tally.ts'

const KNOWN = [
  'redis',
  'namespace',
  'name',
  'limits',
  'clock',
  'algorithm',
  'onUnavailable',
  'deadline',
  'instances',
  'enforce',
  'enabled',
  'denyCache',
  'report',
  'colocate',
]
const MAX_CACHE = 1_000_000

/**
 * A limiter: one name, its limits, counters in Redis or in process memory.
 * @throws InvalidOption, InvalidKey for names, limits or options that cannot work
 */
export function createLimiter(settings: LimiterSettings): Limiter {
  return new Limiter(settings)
}

/** What `Limiter.describe` says. */
export interface LimiterDescription {
  /** `20/1m`, or `user: 20/1m` where limits go by kind of subject. */
  readonly limits: readonly string[]
  readonly algorithms: readonly Algorithm[]
  /** False: shadow mode. */
  readonly enforce: boolean
  readonly enabled: boolean
}

/** Asks, counts and answers in one round trip, for one set of limits. */
export class Limiter {
  readonly name: string
  readonly #namespace: string
  readonly #clock: Clock
  readonly #store: LimitStore
  readonly #insurance: Insurance
  readonly #book: PolicyBook
  readonly #keys: SubjectKeys
  readonly #tally: Tally | undefined
  readonly #denied: DenyCache | undefined
  readonly #hears: () => boolean
  readonly #stopListening: (() => void) | undefined
  readonly #deadline: number
  readonly #enforce: boolean
  readonly #enabled: boolean
  #reliefs = 0
  #closed = false

  constructor(settings: LimiterSettings) {
    const { redis, namespace = 'app', name, instances = 1, onUnavailable = 'local' } = settings
    refuseUnknown(settings, KNOWN, `limiter '${String(name).slice(0, 40)}'`)
    this.name = name
    this.#namespace = namespace
    this.#clock = redis?.clock ?? settings.clock ?? systemClock
    this.#keys = new SubjectKeys(namespace, name, settings.colocate)
    this.#book = new PolicyBook(settings.limits, settings.algorithm)
    this.#insurance = new Insurance(this.#clock, namespace, name, onUnavailable, instances)
    this.#deadline = toMs(settings.deadline ?? 100, 'deadline')
    if (this.#deadline < 1) throw new InvalidOption('deadline is under 1 ms', "give a time such as '100ms'")
    this.#enforce = settings.enforce ?? true
    this.#enabled = settings.enabled ?? true
    const cache = Math.min(MAX_CACHE, units(settings.denyCache ?? 10_000, 'denyCache', 0))
    if (settings.report ?? true) this.#tally = new Tally(this.#clock, redis, this.#keys.prefix)
    this.#hears = () => true
    if (!redis) {
      this.#store = new MemoryLimitStore(this.#clock)
      return
    }
    const store = redisLimitStore(redis, this.#keys.channel)
    this.#store = store
    if (cache === 0 || !this.#enforce || !this.#enabled) return
    const denied = new DenyCache(this.#clock, cache)
    this.#denied = denied
    this.#hears = () => store.hearsRelief
    this.#stopListening = store.onRelief((key) => {
      if (key !== undefined && !key.startsWith(this.#keys.prefix)) return
      this.#reliefs++
      denied.forget(key)
    })
  }

  /**
   * Takes `cost` units if every limit of every subject admits it, else nothing at all. One round
   * trip, shared with the other checks of the same tick; none if an earlier refusal still holds.
   * @throws InvalidKey, InvalidOption for a subject, cost or limits that cannot work; never because of Redis
   */
  async consume(subject: Subject, options: ConsumeOptions = {}): Promise<Decision> {
    const ask = this.#ask(subject, options)
    const { parts, who, kinds, cost } = ask
    const circumstances = { cost, degraded: false as const, enforce: this.#enforce }
    if (!this.#enabled) return unasked(parts, kinds, true, circumstances)
    const denied = this.#denied?.size ? this.#denied : undefined
    const id = this.#denied ? ask.id() : ''
    const layout = this.#denied ? ask.layout() : ''
    if (denied && this.#hears()) {
      const known = denied.find(id, layout, cost)
      if (known) return this.#counted(known, who)
    }
    const reliefs = this.#reliefs
    const since = this.#clock.mono()
    const decision = await this.#decide('consume', ask)
    if (this.#denied && !decision.allowed && decision.degraded === false && reliefs === this.#reliefs) {
      this.#denied.remember(
        id,
        layout,
        parts.map((part) => part.key),
        decision,
        since,
      )
    }
    return this.#counted(decision, who)
  }

  /** What `consume` would answer, without taking anything. */
  async peek(subject: Subject, options: ConsumeOptions = {}): Promise<Decision> {
    const ask = this.#ask(subject, options)
    if (!this.#enabled) {
      return unasked(ask.parts, ask.kinds, true, { cost: ask.cost, degraded: false, enforce: true })
    }
    return this.#decide('peek', ask)
  }

  /**
   * Gives units back, never beyond the limit.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async refund(subject: Subject, options: RefundOptions = {}): Promise<void> {
    const cost = options.cost ?? options.of?.cost ?? 1
    const ask = this.#ask(subject, { cost, limits: options.limits })
    if (options.of && !(options.of.allowed && !options.of.wouldDeny)) return
    await this.#command('refund', ask, cost, options.of?.at ?? 0)
  }

  /**
   * Takes units even beyond the limit: for what turned out dearer than it was charged.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async penalty(subject: Subject, options: ConsumeOptions = {}): Promise<void> {
    const ask = this.#ask(subject, options)
    await this.#command('penalty', ask, ask.cost, 0)
  }

  /**
   * Refuses everything of a subject for a time, in every process; 0 lifts the block. With
   * `extend`, a block that ends later stays as it is.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async block(
    subject: Subject,
    duration: Duration,
    options: { extend?: boolean | undefined } = {},
  ): Promise<void> {
    const ms = Math.ceil(toMs(duration, 'duration'))
    await this.#command('block', this.#ask(subject, {}), ms, options.extend ? 1 : 0)
  }

  /**
   * Forgets what a subject used, and its block.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async reset(subject: Subject): Promise<void> {
    await this.#command('reset', this.#ask(subject, {}), 0, 0)
  }

  /** What it is: its own limits as text, how they count, whether it refuses and counts at all. */
  describe(): LimiterDescription {
    return { ...this.#book.describe(), enforce: this.#enforce, enabled: this.#enabled }
  }

  /** Decisions of this process since the limiter was made. */
  counts(): LimitCounts {
    return { ...(this.#tally?.counts ?? { allowed: 0, denied: 0, shadow: 0, degraded: 0, cached: 0 }) }
  }

  /**
   * The last hour, and the identities refused most; of all processes where Redis is used.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async report(options: { top?: number | undefined } = {}): Promise<LimitReport> {
    const empty = { allowed: 0, denied: 0, shadow: 0, minutes: [], top: [] }
    return this.#tally ? this.#tally.report(units(options.top ?? 20, 'top', 1)) : empty
  }

  /** Sends the last figures and stops listening. The Redis connection stays: it belongs to its owner. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#stopListening?.()
    await this.#tally?.flush()
  }

  #ask(subject: Subject, options: ConsumeOptions): Ask {
    if (this.#closed) throw new Closed('this limiter is closed')
    const cost = options.cost === undefined ? 1 : units(options.cost, 'cost', 1)
    const who = identities(subject)
    const policyFor = this.#book.reader(options.limits)
    return new Ask(who, this.#keys.parts(who, policyFor), cost)
  }

  async #decide(verb: 'consume' | 'peek', ask: Ask): Promise<Decision> {
    const { parts, kinds, cost } = ask
    const enforce = this.#enforce || verb === 'peek'
    let outcome: Outcome
    try {
      outcome = await this.#store.apply({ verb, parts, cost, at: 0, deadline: this.#deadline })
    } catch (error) {
      return this.#insurance.decide(error, verb, ask, enforce)
    }
    if (this.#store.shared) this.#insurance.lapse()
    return decisionOf(parts, kinds, outcome, { cost, degraded: false, enforce })
  }

  async #command(verb: Verb, { parts }: Ask, cost: number, at: number): Promise<void> {
    if (!this.#enabled) return
    if (verb !== 'penalty') {
      this.#reliefs++
      for (const part of parts) this.#denied?.forget(part.key)
    }
    const operation = { verb, parts, cost, at, deadline: this.#deadline }
    this.#insurance.follow(operation)
    await this.#store.apply(operation)
    this.#reliefs++
    for (const part of parts) this.#denied?.forget(part.key)
  }

  #counted(decision: Decision, who: readonly Identity[]): Decision {
    const outcome = decision.wouldDeny ? 'shadow' : decision.allowed ? 'allowed' : 'denied'
    const { degraded, cached } = decision
    const tally = this.#tally
    if (tally) {
      if (degraded !== false) tally.counts.degraded++
      if (cached) tally.counts.cached++
      tally.add(outcome, () => refusedIdentity(decision, who))
    }
    if (limitEvents.active) {
      limitEvents.publish({ namespace: this.#namespace, limiter: this.name, outcome, degraded, cached })
    }
    return decision
  }
}

function refusedIdentity(decision: Decision, who: readonly Identity[]): string {
  const kind = decision.limits[decision.binding]?.kind
  return (who.find((one) => one.kind === kind) ?? who[0]!).label
}
