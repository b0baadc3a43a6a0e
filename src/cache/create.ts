import { type Clock, systemClock } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { encodePart, NAMESPACE_SEPARATOR } from '../base/key.ts'
import type { Logger } from '../base/logger.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { RedisPort } from '../redis/port.ts'
import { Cache } from './cache.ts'
import { Codec } from './codec.ts'
import { Core } from './core.ts'
import { type EncryptionSetup, KeyRing } from './encrypt.ts'
import { MemoryStore } from './memory-store.ts'
import { OffStore } from './off-store.ts'
import type { CacheOptions, L1Options } from './options.ts'
import { createRedisStore } from './redis-store/redis-store.ts'
import type { StoreDeadlines } from './redis-store/settings.ts'
import type { CacheStore } from './store.ts'

/** What a cache that is used alone is made of: `createCache(setup)`. */
export interface CacheSetup {
  /** False: nothing is stored, every call loads. @default true */
  enabled?: boolean | undefined
  /** Share entries through Redis. Without it they live in process memory. */
  redis?: RedisPort | undefined
  /** First part of every Redis key. @default 'default' */
  namespace?: string | undefined
  /** Process memory in front of Redis; `false` = none, every read asks Redis. */
  l1?: L1Options | false | undefined
  /** Options for every call, unless the call or the namespace says otherwise. */
  defaults?: CacheOptions | undefined
  /** Options by namespace, nested ones written `users/admins`. */
  namespaces?: Readonly<Record<string, CacheOptions>> | undefined
  /** Keys for entries that are `sensitive`. */
  encryption?: EncryptionSetup | undefined
  /** Gets one debug line per operation. @default none */
  logger?: Logger | undefined
  /** Background refreshes at the same time; above it stale values are served without one. @default 64 */
  maxBackgroundLoads?: number | undefined
  /** Loads at the same time while the store is down. @default 256 */
  maxOutageLoads?: number | undefined
  /** Slots that a namespace is spread over. @default 1 on a single node, 16 in Cluster */
  buckets?: number | undefined
  /** How long calls wait for Redis, in ms. */
  deadlines?: Partial<StoreDeadlines> | undefined
  /** For simulation. Default the connection's, else the system's. */
  clock?: Clock | undefined
  /** For simulation. Default the connection's, else the system's. */
  random?: Random | undefined
  /** In place of the store that the options above would make: for tests and own backends. */
  store?: CacheStore | undefined
}

const SETUP_NAMES = [
  'enabled',
  'redis',
  'namespace',
  'l1',
  'defaults',
  'namespaces',
  'encryption',
  'logger',
  'maxBackgroundLoads',
  'maxOutageLoads',
  'buckets',
  'deadlines',
  'clock',
  'random',
  'store',
] as const satisfies readonly (keyof CacheSetup)[]

/**
 * Makes a cache: over Redis where `redis` is given, else in process memory.
 * @throws InvalidOption, ConfigError
 */
export function createCache(setup: CacheSetup = {}): Cache {
  refuseUnknown(setup, SETUP_NAMES, 'createCache()')
  const clock = setup.clock ?? setup.redis?.clock ?? systemClock
  const random = setup.random ?? setup.redis?.random ?? systemRandom
  const namespace = setup.namespace ?? 'default'
  const ring = setup.encryption && new KeyRing(setup.encryption, random)
  const l1 = checkL1(setup.l1)
  const core = new Core({
    store: setup.store ?? createStore(setup, namespace, clock, random),
    codec: new Codec(ring, namespace),
    clock,
    random,
    logger: setup.logger,
    frozen: l1 !== false && (l1.share ?? 'frozen') === 'frozen',
    maxBackgroundLoads: count(setup.maxBackgroundLoads ?? 64, 'maxBackgroundLoads'),
    maxOutageLoads: count(setup.maxOutageLoads ?? 256, 'maxOutageLoads'),
  })
  const presets = new Map<string, CacheOptions>()
  for (const [path, options] of Object.entries(setup.namespaces ?? {})) {
    const parts = path.split('/').map((part) => encodePart(part, 'namespace'))
    presets.set(parts.join(NAMESPACE_SEPARATOR), options)
  }
  const root = new Cache({ core, path: [], options: setup.defaults ?? {}, presets, family: new Map() })
  // Made at once, so that a wrong option among them shows at start and not at first use.
  for (const path of Object.keys(setup.namespaces ?? {})) {
    path.split('/').reduce((cache, part) => cache.namespace(part), root)
  }
  return root
}

function createStore(setup: CacheSetup, namespace: string, clock: Clock, random: Random): CacheStore {
  const { redis: port, l1 = {}, logger, buckets, deadlines } = setup
  if (setup.enabled === false) return new OffStore(() => clock.wall())
  if (port !== undefined)
    return createRedisStore({ port, namespace, l1: l1 ?? {}, clock, random, logger, buckets, deadlines })
  const bounds = l1 === false ? {} : { maxEntries: l1.maxEntries, maxBytes: l1.maxBytes }
  return new MemoryStore({ clock, random, ...bounds })
}

function checkL1(l1: L1Options | false = {}): L1Options | false {
  if (l1 === false) return false
  refuseUnknown(l1, ['maxEntries', 'maxBytes', 'share'], 'l1')
  if (l1.maxEntries !== undefined) count(l1.maxEntries, 'l1.maxEntries')
  if (l1.maxBytes !== undefined) count(l1.maxBytes, 'l1.maxBytes')
  if (l1.share !== undefined && l1.share !== 'frozen' && l1.share !== 'copy') {
    throw new InvalidOption('l1.share is not one that is known', `use 'frozen' or 'copy'`)
  }
  return l1
}

function count(value: number, name: string): number {
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidOption(`${name} is not a positive integer`, 'give 1 or more')
}
