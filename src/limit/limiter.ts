import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { toMs } from '../base/duration.ts'
import { Closed, HoldfastError, InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Decision } from './decision.ts'
import { decisionOf, unasked } from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import { limitDegradedEvents, limitEvents } from './events.ts'
import { MemoryLimitStore } from './memory-store.ts'
import type { ConsumeOptions, LimiterSettings, OutagePolicy, RefundOptions } from './options.ts'
import type { Policy } from './policy.ts'
import { share } from './policy.ts'
import { PolicyBook } from './policy-book.ts'
import { RedisLimitStore } from './redis-store.ts'
import { units } from './spec.ts'
import type { LimitStore, Outcome, Part, Verb } from './store.ts'
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
const OUTAGE_POLICIES: readonly OutagePolicy[] = ['allow', 'deny', 'local']
const MAX_CACHE = 1_000_000

/**
 * A limiter: one name, its limits, counters in Redis or in process memory.
 * @throws InvalidOption, InvalidKey for names, limits or options that cannot work
 */
export function createLimiter(settings: LimiterSettings): Limiter {
  return new Limiter(settings)
}

export class Limiter {
  readonly name: string
  readonly #namespace: string
  readonly #clock: Clock
  readonly #store: LimitStore
  readonly #local: MemoryLimitStore
  readonly #shares = new WeakMap<Policy, { instances: number; policy: Policy }>()
  readonly #book: PolicyBook
  readonly #keys: SubjectKeys
  readonly #tally: Tally | undefined
  readonly #denied: DenyCache | undefined
  readonly #hears: () => boolean
  readonly #stopListening: (() => void) | undefined
  readonly #onUnavailable: OutagePolicy
  readonly #deadline: number
  readonly #instances: () => number
  readonly #enforce: boolean
  readonly #enabled: boolean
  #reliefs = 0
  #insured = false
  #closed = false

  constructor(settings: LimiterSettings) {
    const { redis, namespace = 'app', name, instances = 1, onUnavailable = 'local' } = settings
    refuseUnknown(settings, KNOWN, `limiter '${String(name).slice(0, 40)}'`)
    if (!OUTAGE_POLICIES.includes(onUnavailable)) {
      throw new InvalidOption('onUnavailable is unknown', "use 'local', 'allow' or 'deny'")
    }
    this.name = name
    this.#namespace = namespace
    this.#clock = redis?.clock ?? settings.clock ?? systemClock
    this.#keys = new SubjectKeys(namespace, name, settings.colocate)
    this.#book = new PolicyBook(settings.limits, settings.algorithm)
    this.#local = new MemoryLimitStore(this.#clock)
    this.#onUnavailable = onUnavailable
    this.#deadline = toMs(settings.deadline ?? 100, 'deadline')
    if (this.#deadline < 1) throw new InvalidOption('deadline is under 1 ms', "give a time such as '100ms'")
    this.#instances = typeof instances === 'function' ? instances : () => instances
    units(this.#instances(), 'instances', 1)
    this.#enforce = settings.enforce ?? true
    this.#enabled = settings.enabled ?? true
    const cache = Math.min(MAX_CACHE, units(settings.denyCache ?? 10_000, 'denyCache', 0))
    if (settings.report ?? true) this.#tally = new Tally(this.#clock, redis, this.#keys.prefix)
    this.#hears = () => true
    if (!redis) {
      this.#store = this.#local
      return
    }
    const hears = cache > 0 && this.#enforce && this.#enabled
    const store = new RedisLimitStore(redis, hears ? this.#keys.channel : '')
    this.#store = store
    if (!hears) return
    const denied = new DenyCache(this.#clock, cache)
    this.#denied = denied
    this.#hears = () => store.hearsRelief
    this.#stopListening = store.onRelief((key) => {
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
   * Refuses everything of a subject for a time, in every process; 0 lifts the block.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async block(subject: Subject, duration: Parameters<typeof toMs>[0]): Promise<void> {
    await this.#command('block', this.#ask(subject, {}), Math.ceil(toMs(duration, 'duration')), 0)
  }

  /**
   * Forgets what a subject used, and its block.
   * @throws RedisUnavailable, RedisTimeout when Redis could not be asked
   */
  async reset(subject: Subject): Promise<void> {
    await this.#command('reset', this.#ask(subject, {}), 0, 0)
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

  async #decide(verb: 'consume' | 'peek', { parts, kinds, cost }: Ask): Promise<Decision> {
    const enforce = this.#enforce || verb === 'peek'
    let outcome: Outcome
    try {
      outcome = await this.#store.apply({ verb, parts, cost, at: 0, deadline: this.#deadline })
    } catch (error) {
      return this.#withoutRedis(error, verb, parts, kinds, cost, enforce)
    }
    if (this.#insured && this.#store.shared) {
      this.#insured = false
      this.#local.clear()
    }
    return decisionOf(parts, kinds, outcome, { cost, degraded: false, enforce })
  }

  #withoutRedis(
    error: unknown,
    verb: 'consume' | 'peek',
    parts: readonly Part[],
    kinds: readonly string[],
    cost: number,
    enforce: boolean,
  ): Decision {
    if (!(error instanceof HoldfastError) || error instanceof Closed) throw error
    const degraded = this.#onUnavailable
    if (limitDegradedEvents.active) {
      limitDegradedEvents.publish({
        namespace: this.#namespace,
        limiter: this.name,
        policy: degraded,
        cause: error.code,
      })
    }
    const circumstances = { cost, degraded, enforce }
    if (degraded !== 'local') return unasked(parts, kinds, degraded === 'allow', circumstances)
    this.#insured = true
    const own = parts.map((part) => ({ ...part, policy: this.#shareOf(part.policy) }))
    const outcome = this.#local.applyNow({ verb, parts: own, cost, at: 0, deadline: 0 })
    return decisionOf(own, kinds, outcome, circumstances)
  }

  #shareOf(policy: Policy): Policy {
    const instances = Math.max(1, Math.floor(this.#instances()) || 1)
    const known = this.#shares.get(policy)
    if (known?.instances === instances) return known.policy
    const part = share(policy, instances)
    this.#shares.set(policy, { instances, policy: part })
    return part
  }

  async #command(verb: Verb, { parts }: Ask, cost: number, at: number): Promise<void> {
    if (!this.#enabled) return
    if (verb !== 'penalty') {
      this.#reliefs++
      for (const part of parts) this.#denied?.forget(part.key)
    }
    const operation = { verb, parts, cost, at, deadline: this.#deadline }
    if (this.#insured) this.#local.applyNow(operation)
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

/** One call: whom it concerns, where their counters are, what it costs. */
class Ask {
  readonly who: readonly Identity[]
  readonly parts: readonly Part[]
  readonly cost: number

  constructor(who: readonly Identity[], parts: readonly Part[], cost: number) {
    this.who = who
    this.parts = parts
    this.cost = cost
  }

  get kinds(): readonly string[] {
    return this.who.map((one) => one.kind)
  }

  id(): string {
    return this.parts.length === 1 ? this.parts[0]!.key : this.parts.map((part) => part.key).join('\n')
  }

  layout(): string {
    return this.parts.length === 1
      ? this.parts[0]!.policy.wire
      : this.parts.map((part) => part.policy.wire).join()
  }
}

function refusedIdentity(decision: Decision, who: readonly Identity[]): string {
  const kind = decision.limits[decision.binding]?.kind
  return (who.find((one) => one.kind === kind) ?? who[0]!).label
}
