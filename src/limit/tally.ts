import type { Clock, Timer } from '../base/clock.ts'
import type { RedisPort } from '../redis/port.ts'
import { DeniedTop } from './denied-top.ts'
import { TALLY, TALLY_READ } from './tally-script.ts'

/** Decisions counted since the limiter was made, in this process. */
export interface LimitCounts {
  allowed: number
  denied: number
  /** Admitted in shadow mode that would have been refused. */
  shadow: number
  /** Decided by the outage policy. */
  degraded: number
  /** Refused from memory, without a round trip. */
  cached: number
}

/** The last hour, of all processes where Redis is used. Up to a second behind. */
export interface LimitReport {
  readonly allowed: number
  readonly denied: number
  readonly shadow: number
  /** Oldest first; `at` is the start of the minute in ms since 1970. Minutes without a call are left out. */
  readonly minutes: readonly { at: number; allowed: number; denied: number; shadow: number }[]
  /**
   * Identities refused most, approximately, e.g. `user:42`. `lastAt`: when this process last refused it,
   * ms since 1970.
   */
  readonly top: readonly { identity: string; denied: number; lastAt?: number }[]
}

type Minute = { at: number; allowed: number; denied: number; shadow: number }

const TOP_SIZE = 100
const FLUSH_MS = 1_000
const FLUSH_DEADLINE_MS = 2_000
const MINUTE_MS = 60_000
const KEPT_MINUTES = 60

/**
 * Counts decisions beside the request path: additions in memory, and with Redis one script call a
 * second and process at most, whose failure only costs the figures of that second.
 */
export class Tally {
  readonly counts: LimitCounts = { allowed: 0, denied: 0, shadow: 0, degraded: 0, cached: 0 }
  readonly #clock: Clock
  readonly #redis: RedisPort | undefined
  readonly #keys: readonly [string, string]
  readonly #top = new DeniedTop(TOP_SIZE)
  /** Those refused last come last. */
  readonly #lastAt = new Map<string, number>()
  #fresh = { allowed: 0, denied: 0, shadow: 0 }
  #minutes: Minute[] = []
  #timer: Timer | undefined

  constructor(clock: Clock, redis: RedisPort | undefined, prefix: string) {
    this.#clock = clock
    this.#redis = redis
    // No subject is encoded to a name that begins with "%s".
    this.#keys = [`${prefix}{%stats}`, `${prefix}{%stats}:top`]
  }

  add(outcome: 'allowed' | 'denied' | 'shadow', identity: () => string): void {
    this.counts[outcome]++
    if (outcome !== 'allowed') this.#refused(identity())
    if (this.#redis) this.#fresh[outcome]++
    else this.#minute()[outcome]++
    if (this.#redis && !this.#timer) this.#timer = this.#clock.after(FLUSH_MS, () => void this.flush())
  }

  /** Sends what is not sent yet. Never rejects. */
  async flush(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    const { allowed, denied, shadow } = this.#fresh
    if (!this.#redis || allowed + denied + shadow === 0) return
    this.#fresh = { allowed: 0, denied: 0, shadow: 0 }
    const top = this.#top.drain()
    const args = [allowed, denied, shadow, TOP_SIZE, ...top.flat()].map(String)
    const node = this.#redis.nodeFor(this.#keys[0])
    await node.eval(TALLY, this.#keys, args, { deadline: FLUSH_DEADLINE_MS }).catch(() => undefined)
  }

  /** @throws RedisUnavailable, RedisTimeout */
  async report(top: number): Promise<LimitReport> {
    if (!this.#redis) return summed(this.#minutes, this.#dated(this.#top.top(top)))
    await this.flush()
    const node = this.#redis.nodeFor(this.#keys[0])
    const reply = await node.eval(TALLY_READ, this.#keys, [String(top)], { deadline: FLUSH_DEADLINE_MS })
    const [fields, ranking, minute] = reply as [string[], string[], number]
    const minutes = new Map<number, Minute>()
    for (let i = 0; i < fields.length; i += 2) {
      const [at, name] = fields[i]!.split(' ') as [string, 'allowed' | 'denied' | 'shadow']
      if (Number(at) <= minute - KEPT_MINUTES) continue
      const entry = minutes.get(Number(at)) ?? {
        at: Number(at) * MINUTE_MS,
        allowed: 0,
        denied: 0,
        shadow: 0,
      }
      entry[name] = Number(fields[i + 1])
      minutes.set(Number(at), entry)
    }
    const ranked = []
    for (let i = 0; i < ranking.length; i += 2) {
      ranked.push({ identity: ranking[i]!, denied: Number(ranking[i + 1]) })
    }
    return summed(
      [...minutes.values()].sort((a, b) => a.at - b.at),
      this.#dated(ranked),
    )
  }

  #refused(identity: string): void {
    this.#top.add(identity)
    this.#lastAt.delete(identity)
    this.#lastAt.set(identity, this.#clock.wall())
    if (this.#lastAt.size > TOP_SIZE * 2) this.#lastAt.delete(this.#lastAt.keys().next().value!)
  }

  #dated(top: LimitReport['top']): LimitReport['top'] {
    return top.map((one) => {
      const lastAt = this.#lastAt.get(one.identity)
      return lastAt === undefined ? one : { ...one, lastAt }
    })
  }

  #minute(): Minute {
    const at = Math.floor(this.#clock.wall() / MINUTE_MS) * MINUTE_MS
    const last = this.#minutes.at(-1)
    if (last && last.at >= at) return last
    const minute = { at, allowed: 0, denied: 0, shadow: 0 }
    this.#minutes = [...this.#minutes.filter((one) => one.at > at - KEPT_MINUTES * MINUTE_MS), minute]
    return minute
  }
}

function summed(minutes: readonly Minute[], top: LimitReport['top']): LimitReport {
  const sum = (name: 'allowed' | 'denied' | 'shadow') => minutes.reduce((all, one) => all + one[name], 0)
  return { allowed: sum('allowed'), denied: sum('denied'), shadow: sum('shadow'), minutes, top }
}
