import type { Clock } from './base/clock.ts'
import { type Duration, toMs } from './base/duration.ts'
import { InvalidOption } from './base/errors.ts'
import type { Logger } from './base/logger.ts'
import { refuseUnknown } from './base/options.ts'
import type { Random } from './base/random.ts'
import type { EncryptionSetup } from './cache/encrypt.ts'
import type { CacheOptions, L1Options } from './cache/options.ts'
import type { StoreDeadlines } from './cache/redis-store/settings.ts'
import type { LimitSettings } from './limit/limits.ts'
import { compileAll } from './limit/policy.ts'
import type { RedisSource } from './redis/connect.ts'

/** Options of `holdfast()`. */
export interface HoldfastOptions {
  /**
   * A URL, or one per role: `cache` holds what may be evicted, `data` what may not. Without it
   * everything lives in the memory of this process.
   */
  redis?: RedisSource | RedisRoles | undefined
  /** The prefix that keeps applications on one server apart. @default 'app' */
  namespace?: string | undefined
  /** What the cache does unless a call says otherwise, and its copies in process memory. */
  cache?: CacheSettings | undefined
  /** Limits by name, and the switch for all of them. */
  limits?: LimitSettings | undefined
  /** Keys for entries marked `sensitive`. */
  encryption?: EncryptionSetup | undefined
  /** pino, winston and `console` fit. @default silent */
  logger?: Logger | undefined
  /** How long calls of the cache wait for Redis. */
  deadlines?: Deadlines | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
  /** For simulation. @default the system's */
  random?: Random | undefined
}

/** How long a call waits for Redis before it goes on without. */
export interface Deadlines {
  /** To connect, log in and prove the server's role. @default 600 ms */
  connect?: Duration | undefined
  /** Reads. @default 100 ms */
  read?: Duration | undefined
  /** Writes of loaded values. @default 500 ms */
  write?: Duration | undefined
  /** Until an invalidation is given up as NotAcknowledged. @default 1 s */
  invalidate?: Duration | undefined
}

/** One server, or cluster, per role. */
export interface RedisRoles {
  /** May evict (allkeys-*): cache entries. */
  cache: RedisSource
  /** Must not evict (noeviction): everything else. */
  data: RedisSource
}

/** The cache of an instance: what its calls do unless they say otherwise. */
export interface CacheSettings {
  /** False: every call goes to its loader and nothing is stored. @default true */
  enabled?: boolean | undefined
  /** For entries whose call and namespace do not say otherwise. */
  defaults?: CacheOptions | undefined
  /** The same for the entries of one namespace, by its name. */
  namespaces?: Readonly<Record<string, CacheOptions>> | undefined
  /** The copies in process memory; false keeps none. */
  l1?: L1Options | false | undefined
  /** Slots over which entries are spread. @default 1, in a cluster 16 */
  buckets?: number | undefined
}

export const ROLES = ['cache', 'data'] as const

const OPTION_NAMES = [
  'redis',
  'namespace',
  'cache',
  'limits',
  'encryption',
  'logger',
  'deadlines',
  'clock',
  'random',
]
const DEADLINE_NAMES = ['connect', 'read', 'write', 'invalidate']
const LIMIT_NAMES = ['enabled', 'categories']
const CACHE_NAMES = ['enabled', 'defaults', 'namespaces', 'l1', 'buckets']

/** @throws InvalidOption, with the nearest known name, for a word that is none, and for limits that cannot work */
export function refuseUnknownOptions(options: HoldfastOptions): void {
  refuseUnknown(options, OPTION_NAMES, 'holdfast()')
  refuseUnknown(options.cache ?? {}, CACHE_NAMES, 'cache')
  refuseUnknown(options.limits ?? {}, LIMIT_NAMES, 'limits')
  for (const limits of Object.values(options.limits?.categories ?? {})) compileAll(limits)
  refuseUnknown(options.deadlines ?? {}, DEADLINE_NAMES, 'deadlines')
}

export function rolesOf(redis: HoldfastOptions['redis']): RedisRoles | undefined {
  if (redis === undefined) return undefined
  if (typeof redis === 'object' && redis !== null && ('cache' in redis || 'data' in redis)) {
    const roles = redis as Partial<RedisRoles>
    refuseUnknown(roles, ROLES, 'redis')
    if (roles.cache === undefined || roles.data === undefined) {
      throw new InvalidOption(
        'redis names one role only',
        'give both, { cache, data }, or one source for both',
      )
    }
    return { cache: roles.cache, data: roles.data }
  }
  const source = redis as RedisSource
  return { cache: source, data: source }
}

export function storeDeadlines(given: Deadlines = {}): Partial<StoreDeadlines> {
  const { read, write, invalidate } = given
  return {
    ...(read === undefined ? {} : { read: toMs(read, 'deadlines.read') }),
    ...(write === undefined ? {} : { write: toMs(write, 'deadlines.write') }),
    ...(invalidate === undefined ? {} : { invalidate: toMs(invalidate, 'deadlines.invalidate') }),
  }
}
