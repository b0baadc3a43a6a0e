import { decodeName, encodePart } from '../base/key.ts'
import { namePage, pageRequest } from '../base/page.ts'
import { firstConnection } from '../redis/first-connection.ts'
import { scanNodes } from '../redis/name-scan.ts'
import { ConcurrencyLimiter } from './concurrency.ts'
import type { Limiter, LimiterDescription } from './limiter.ts'
import type { LimitPlace, LimitRegistry } from './limits.ts'
import { Outbound } from './outbound.ts'
import { compile } from './policy.ts'
import { redisLimitStore } from './redis-store.ts'
import { identities, SubjectKeys, subjectOf } from './subject.ts'
import { type LimitCounts, type LimitReport, Tally } from './tally.ts'

/** One limiter, asked for in this process or, where Redis is used, in another. */
export interface LimiterListing {
  readonly name: string
  /** Undefined: of another process, so its limits are not known here. */
  readonly limiter: Limiter | undefined
  readonly kind: 'limiter' | 'outbound' | 'concurrency'
  readonly description: LimiterDescription | undefined
  /** Of this process. */
  readonly counts: LimitCounts | undefined
  /** The last hour; undefined for `concurrency`, and while Redis does not answer. */
  readonly report: LimitReport | undefined
}

const SCAN_MS = 2_000
const MOST = 200
const RESET_MS = 2_000

/** The limiters of an instance, for people. */
export class LimitDirectory {
  readonly #registry: LimitRegistry
  readonly #place: LimitPlace

  constructor(registry: LimitRegistry, place: LimitPlace) {
    this.#registry = registry
    this.#place = place
  }

  /** At most 200, by name. Never rejects: what Redis does not tell is left out. @param top of refused identities */
  async list(top: number): Promise<readonly LimiterListing[]> {
    const own = this.#registry
      .made()
      .slice(0, MOST)
      .map((made) => ownListing(made, top))
    const names = new Set(this.#registry.made().map(nameOf))
    const others = (await this.#shared().catch(() => [])).filter((name) => !names.has(name))
    const foreign = others.slice(0, MOST - own.length).map((name) => this.#foreign(name, top))
    return (await Promise.all([...own, ...foreign])).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** A limiter of this process. */
  find(name: string): Limiter | undefined {
    for (const made of this.#registry.made()) {
      if (!(made instanceof ConcurrencyLimiter) && nameOf(made) === name) return limiterOf(made)
    }
    return undefined
  }

  /**
   * Forgets what a subject used, and its block, whoever made the limiter; every process hears of it.
   * False: in process memory there is no such limiter.
   * @throws InvalidKey, RedisUnavailable, RedisTimeout
   */
  async reset(name: string, label: string): Promise<boolean> {
    const subject = subjectOf(label)
    const known = this.find(name)
    if (known) {
      await known.reset(subject)
      return true
    }
    const { redis, namespace } = this.#place
    if (!redis) return false
    const keys = new SubjectKeys(namespace, name, undefined)
    // What is forgotten is the whole state of the subject, whatever limits made it.
    const parts = keys.parts(identities(subject), () => compile('1/second'))
    const store = redisLimitStore(redis, keys.channel)
    await store.apply({ verb: 'reset', parts, cost: 0, at: 0, deadline: RESET_MS })
    return true
  }

  /** Names that other processes report about: those used in the last hour. */
  async #shared(): Promise<readonly string[]> {
    const { redis, namespace, clock } = this.#place
    if (!redis) return []
    await firstConnection(redis)
    const prefix = `hf:${encodePart(namespace, 'namespace')}:rl:`
    const pick = (key: string): string | undefined =>
      key.endsWith(':{%stats}') ? decodeName(key.slice(prefix.length, -':{%stats}'.length)) : undefined
    const scan = (from: string | undefined) =>
      scanNodes(redis.nodes(), `${prefix}*:{%stats}`, SCAN_MS, pick, from)
    const { names } = await namePage(scan, pageRequest(clock, { limit: MOST, budget: '2s' }))
    return [...new Set(names)]
  }

  async #foreign(name: string, top: number): Promise<LimiterListing> {
    const { redis, namespace, clock } = this.#place
    const tally = new Tally(clock, redis, new SubjectKeys(namespace, name, undefined).prefix)
    const report = await tally.report(top).catch(() => undefined)
    return { name, limiter: undefined, kind: 'limiter', description: undefined, counts: undefined, report }
  }
}

type Made = ReturnType<LimitRegistry['made']>[number]

const limiterOf = (made: Limiter | Outbound): Limiter => (made instanceof Outbound ? made.limiter : made)

const nameOf = (made: Made): string => (made instanceof Outbound ? made.limiter.name : made.name)

async function ownListing(made: Made, top: number): Promise<LimiterListing> {
  const name = nameOf(made)
  if (made instanceof ConcurrencyLimiter) {
    const limits = [`${made.limit} at once`]
    const description = { limits, algorithms: [], enforce: true, enabled: true }
    return {
      name,
      limiter: undefined,
      kind: 'concurrency',
      description,
      counts: undefined,
      report: undefined,
    }
  }
  const limiter = limiterOf(made)
  return {
    name,
    limiter,
    kind: made instanceof Outbound ? 'outbound' : 'limiter',
    description: limiter.describe(),
    counts: limiter.counts(),
    report: await limiter.report({ top }).catch(() => undefined),
  }
}
