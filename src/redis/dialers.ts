import type { Clock } from '../base/clock.ts'
import { ConfigError, RedisUnavailable } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { formatAddress } from './address.ts'
import type { Dialer, Link, Target } from './link.ts'

/** Opens one link to `target`, or with none to what the source itself names. */
export type Open = (target: Target | undefined, signal: AbortSignal) => Promise<Link>

export function singleDialer(label: string, open: Open, tls = false): Dialer {
  return { topology: 'single', label, tls, dial: open }
}

/**
 * Any node will do to learn the map. The seeds take turns, so that a dead one costs one attempt; a
 * refused one does not even cost that.
 */
export function clusterDialer(seeds: readonly Target[], open: Open, random: Random): Dialer {
  let turn = Math.floor(random.float() * seeds.length)
  return {
    topology: 'cluster',
    label: seeds.map((seed) => formatAddress(seed.host, seed.port)).join(','),
    async dial(target, signal) {
      if (target) return open(target, signal)
      let last: unknown
      for (let i = 0; i < seeds.length && !signal.aborted; i++) {
        try {
          return await open(seeds[turn++ % seeds.length], signal)
        } catch (error) {
          last = error
        }
      }
      throw last
    },
  }
}

export interface SentinelPlan {
  readonly name: string
  readonly sentinels: readonly Target[]
  readonly openSentinel: Open
  readonly openMaster: Open
  readonly clock: Clock
}

/** How long after the first answer the other sentinels may still take, in ms. */
const LATE_SENTINELS = 100

export function sentinelDialer(plan: SentinelPlan): Dialer {
  const seats = plan.sentinels.map((at) => formatAddress(at.host, at.port)).join(',')
  return {
    topology: 'sentinel',
    label: `${plan.name}@${seats}`,
    async dial(target, signal) {
      return plan.openMaster(target ?? (await findMaster(plan, signal)), signal)
    },
  }
}

/**
 * Asks all sentinels at once and takes what most of them say: a single isolated one may still name
 * the old master. Whether it is one is proved on its own connection.
 */
function findMaster(plan: SentinelPlan, signal: AbortSignal): Promise<Target> {
  const { name, sentinels, clock } = plan
  return new Promise((resolve, reject) => {
    const stop = new AbortController()
    const votes = new Map<string, { target: Target; count: number }>()
    let open = sentinels.length
    let unknown = 0
    let last: unknown
    let grace: { cancel(): void } | undefined
    const decide = () => {
      grace?.cancel()
      signal.removeEventListener('abort', onAbort)
      stop.abort(new RedisUnavailable('the master is known already'))
      const best = [...votes.values()].sort((a, b) => b.count - a.count)[0]
      if (best) resolve(best.target)
      else if (unknown > 0) {
        reject(
          new ConfigError(
            `no sentinel knows a master named '${name}'`,
            'give the name that the sentinels monitor (SENTINEL MASTERS lists them)',
          ),
        )
      } else reject(last)
    }
    const onAbort = () => {
      last = signal.reason
      decide()
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    for (const sentinel of sentinels) {
      askSentinel(plan, sentinel, stop.signal)
        .then(
          (target) => {
            if (!target) unknown++
            else {
              const key = formatAddress(target.host, target.port)
              const vote = votes.get(key) ?? { target, count: 0 }
              vote.count++
              votes.set(key, vote)
              grace ??= clock.after(LATE_SENTINELS, decide)
            }
          },
          (error) => {
            last = error
          },
        )
        .then(() => {
          open--
          const agreed = [...votes.values()].some((vote) => vote.count * 2 > sentinels.length)
          if (!stop.signal.aborted && (open === 0 || agreed)) decide()
        })
    }
  })
}

async function askSentinel(plan: SentinelPlan, at: Target, signal: AbortSignal): Promise<Target | undefined> {
  const link = await plan.openSentinel(at, signal)
  const abort = () => link.destroy()
  signal.addEventListener('abort', abort, { once: true })
  try {
    const reply = await link.send(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', plan.name], 'text')
    if (!Array.isArray(reply)) return undefined
    return { host: String(reply[0]), port: Number(reply[1]) }
  } finally {
    signal.removeEventListener('abort', abort)
    link.destroy()
  }
}
