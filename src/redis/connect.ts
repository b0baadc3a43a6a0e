import { ConfigError } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { createPort } from './create-port.ts'
import { clusterDialer, sentinelDialer, singleDialer } from './dialers.ts'
import { type IoredisSource, ioredisDialer } from './ioredis-recipe.ts'
import { libraryOpen } from './library.ts'
import type { Dialer } from './link.ts'
import { type NodeRedisSource, nodeRedisDialer } from './node-redis-recipe.ts'
import { type RedisOptions, readOptions } from './options.ts'
import type { RedisPort } from './port.ts'
import { LONGEST_HANDSHAKE, type RedisSettings, withDefaults } from './settings.ts'

/** A client of node-redis (client, cluster, sentinel) or ioredis (Redis, Cluster). */
export interface RedisClientLike {
  on(...args: never[]): unknown
}

/** A URL, options, or a client that you already have. */
export type RedisSource = string | RedisOptions | RedisClientLike

/**
 * The entrance: a supervised Redis. Returns at once; connecting goes on in the background, so a
 * server that is down is seen by `ready()`, `health()` and the calls, never here. A client that is
 * passed is only a recipe: Holdfast opens its own connections and leaves that one alone.
 * @throws ConfigError, InvalidOption when the source cannot work, before anything is sent
 */
export function connectRedis(source: RedisSource, settings: Partial<RedisSettings> = {}): RedisPort {
  return createPort(dialerFor(source, withDefaults(settings)), settings)
}

export function dialerFor(source: RedisSource, settings: RedisSettings): Dialer {
  if (typeof source === 'string') return planned({ url: source }, settings)
  if (typeof source !== 'object' || source === null) {
    throw new ConfigError(
      'redis is neither a URL, nor options, nor a client',
      "write redis: 'redis://localhost:6379'",
    )
  }
  // ioredis first: it has sendCommand too, but only it has defineCommand.
  if (has(source, 'defineCommand')) return ioredisDialer(source as IoredisSource, settings)
  if (has(source, 'withCommandOptions') && !('totalClients' in source)) {
    return nodeRedisDialer(source as NodeRedisSource, settings)
  }
  if ('totalClients' in source) {
    throw new ConfigError(
      'redis is a pool of node-redis, which cannot subscribe',
      'pass the client that the pool was made of',
    )
  }
  if (has(source, 'on')) {
    throw new ConfigError(
      'redis is a client of a library that Holdfast does not know',
      'pass a client of redis 5.10+ or ioredis 5.4+, or a URL',
    )
  }
  return planned(source as RedisOptions, settings)
}

function planned(options: RedisOptions, settings: RedisSettings): Dialer {
  const plan = readOptions(options)
  const { library, access } = plan
  // The library's own limit is only the outer one: each attempt brings its own.
  const handshakeMs = settings.handshakeMs * LONGEST_HANDSHAKE
  if (plan.kind === 'cluster') {
    return clusterDialer(plan.seeds, libraryOpen(library, access, undefined, handshakeMs), settings.random)
  }
  if (plan.kind === 'sentinel') {
    return sentinelDialer({
      name: plan.name,
      sentinels: plan.sentinels,
      openSentinel: libraryOpen(library, plan.sentinelAccess, undefined, handshakeMs),
      openMaster: libraryOpen(library, access, undefined, handshakeMs),
      clock: settings.clock,
    })
  }
  const label = access.path ?? formatAddress(plan.at.host, plan.at.port)
  return singleDialer(label, libraryOpen(library, access, plan.at, handshakeMs), Boolean(access.tls))
}

function has(source: object, method: string): boolean {
  return method in source && typeof (source as Record<string, unknown>)[method] === 'function'
}
