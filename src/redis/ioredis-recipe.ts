import { ConfigError } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { addressMap } from './address-map.ts'
import { clusterDialer, type Open, sentinelDialer, singleDialer } from './dialers.ts'
import { type IoredisClient, type IoredisOptions, openIoredis } from './ioredis.ts'
import { type CreateIoredis, loadIoredis } from './library.ts'
import type { Dialer, Target } from './link.ts'
import { readServer } from './options.ts'
import { LONGEST_HANDSHAKE, type RedisSettings } from './settings.ts'

/** A Redis or Cluster of ioredis, as far as we look at it. */
export interface IoredisSource {
  readonly options: object
  readonly isCluster?: boolean
  duplicate(...overrides: never[]): unknown
}

/**
 * A dialer in the image of the user's ioredis client. The client itself is only read: it may be
 * unconnected (lazyConnect), and it is never used, changed or closed.
 */
export function ioredisDialer(source: IoredisSource, settings: RedisSettings): Dialer {
  const options = source.options as IoredisOptions
  if (source.isCluster) return clusterOf(source, options, settings)
  // `duplicate` keeps the user's own copy and version of the library.
  const duplicate = source.duplicate as (overrides: IoredisOptions) => IoredisClient
  const create: CreateIoredis = (given) => duplicate.call(source, given)
  if (Array.isArray(options.sentinels) && options.sentinels.length > 0)
    return sentinelOf(create, options, settings)
  const path = typeof options.path === 'string' ? options.path : undefined
  const home = { host: String(options.host ?? 'localhost'), port: Number(options.port ?? 6379) }
  return singleDialer(path ?? formatAddress(home.host, home.port), (target, signal) => {
    const to = target ?? home
    const place = path ? {} : to
    return openIoredis(
      create,
      place,
      path ?? formatAddress(to.host, to.port),
      settings.handshakeMs * LONGEST_HANDSHAKE,
      signal,
    )
  })
}

function sentinelOf(create: CreateIoredis, options: IoredisOptions, settings: RedisSettings): Dialer {
  const alone = { sentinels: null, name: null }
  const map = addressMap(options.natMap)
  const overTls = options.enableTLSForSentinelMode === true
  const open =
    (base: IoredisOptions, mapped: (target: Target) => Target): Open =>
    (target = { host: 'localhost', port: 6379 }, signal) =>
      openIoredis(
        create,
        { ...alone, ...base, ...mapped(target) },
        formatAddress(target.host, target.port),
        settings.handshakeMs * LONGEST_HANDSHAKE,
        signal,
      )
  return sentinelDialer({
    name: String(options.name),
    sentinels: (options.sentinels as Partial<Target>[]).map((at) => ({
      host: at.host ?? 'localhost',
      port: at.port ?? 26379,
    })),
    openSentinel: open(
      {
        username: options.sentinelUsername ?? null,
        password: options.sentinelPassword ?? null,
        db: 0,
        tls: overTls ? (options.sentinelTLS ?? options.tls) : undefined,
      },
      (target) => target,
    ),
    openMaster: open({}, map),
    clock: settings.clock,
  })
}

function clusterOf(source: IoredisSource, options: IoredisOptions, settings: RedisSettings): Dialer {
  const starts = 'startupNodes' in source && Array.isArray(source.startupNodes) ? source.startupNodes : []
  const seeds = starts.map(readStart)
  const [first] = seeds
  if (!first) {
    throw new ConfigError(
      'this ioredis cluster client has no startup nodes',
      'give Holdfast { cluster: [urls] } instead',
    )
  }
  const base = { ...first.login, ...(options.redisOptions as IoredisOptions | undefined) }
  const map = addressMap(options.natMap)
  return clusterDialer(
    seeds.map((seed) => seed.at),
    async (target = first.at, signal) => {
      const create = await loadIoredis()
      if (!create)
        throw new ConfigError('the package ioredis is not installed where Holdfast is', 'npm i ioredis')
      const given = { ...base, ...map(target) }
      return openIoredis(
        create,
        given,
        formatAddress(target.host, target.port),
        settings.handshakeMs * LONGEST_HANDSHAKE,
        signal,
      )
    },
    settings.random,
  )
}

/** ioredis takes `{ host, port, … }`, a port, or a URL as a startup node. */
function readStart(start: unknown): { at: Target; login: IoredisOptions } {
  if (typeof start === 'number') return { at: { host: '127.0.0.1', port: start }, login: {} }
  if (typeof start === 'string') {
    const { at, username, password, tls } = readServer(start, 'a startup node of the cluster', 6379)
    return { at, login: { ...(password ? { username, password } : {}), ...(tls ? { tls: {} } : {}) } }
  }
  const { host = '127.0.0.1', port = 6379, ...login } = start as { host?: string; port?: number | string }
  return { at: { host, port: Number(port) }, login }
}
