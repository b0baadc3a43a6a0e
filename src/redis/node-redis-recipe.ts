import { ConfigError } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { addressMap } from './address-map.ts'
import { clusterDialer, type Open, sentinelDialer, singleDialer } from './dialers.ts'
import { type CreateNodeRedis, loadNodeRedis } from './library.ts'
import type { Dialer, Target } from './link.ts'
import { type NodeRedisClient, type NodeRedisOptions, openNodeRedis } from './node-redis.ts'
import { readServer } from './options.ts'
import { LONGEST_HANDSHAKE, type RedisSettings } from './settings.ts'

/** A client, cluster or sentinel of node-redis, as far as we look at it. */
export interface NodeRedisSource {
  duplicate?(overrides?: object): unknown
}

/**
 * A dialer in the image of the user's node-redis client. The client itself is only read: it may be
 * unconnected, and it is never used, changed or closed.
 */
export function nodeRedisDialer(source: NodeRedisSource, settings: RedisSettings): Dialer {
  const options = optionsOf(source)
  if (Array.isArray(options.rootNodes)) return clusterOf(options, settings)
  if (Array.isArray(options.sentinelRootNodes)) return sentinelOf(options, settings)
  return singleOf(source, options, settings)
}

function singleOf(source: NodeRedisSource, options: NodeRedisOptions, settings: RedisSettings): Dialer {
  const socket = options.socket ?? {}
  const path = typeof socket.path === 'string' ? socket.path : undefined
  const home = { host: String(socket.host ?? 'localhost'), port: Number(socket.port ?? 6379) }
  const label = path ?? formatAddress(home.host, home.port)
  // `duplicate` keeps the user's own copy and version of the library.
  const create = (given: NodeRedisOptions) => source.duplicate?.(given) as NodeRedisClient
  return singleDialer(label, (target, signal) => {
    const to = target ?? home
    const base = path ? options : { ...options, socket: { ...socket, ...to } }
    return openNodeRedis(
      create,
      base,
      path ?? formatAddress(to.host, to.port),
      settings.handshakeMs * LONGEST_HANDSHAKE,
      signal,
    )
  })
}

function clusterOf(options: NodeRedisOptions, settings: RedisSettings): Dialer {
  const roots = (options.rootNodes as NodeRedisOptions[]).map((root) => resolveUrl(root))
  const defaults = (options.defaults ?? {}) as NodeRedisOptions
  const [first = {}] = roots
  const base = { ...first, ...defaults, RESP: options.RESP, socket: { ...first.socket, ...defaults.socket } }
  return clusterDialer(
    roots.map(targetOf),
    openWith(base, addressMap(options.nodeAddressMap), settings),
    settings.random,
  )
}

function sentinelOf(options: NodeRedisOptions, settings: RedisSettings): Dialer {
  const node = resolveUrl((options.nodeClientOptions ?? {}) as NodeRedisOptions)
  const sentinel = resolveUrl((options.sentinelClientOptions ?? {}) as NodeRedisOptions)
  const map = addressMap(options.nodeAddressMap)
  return sentinelDialer({
    name: String(options.name),
    sentinels: options.sentinelRootNodes as Target[],
    openSentinel: openWith({ ...sentinel, RESP: options.RESP, database: 0 }, (target) => target, settings),
    openMaster: openWith({ ...node, RESP: options.RESP }, map, settings),
    clock: settings.clock,
  })
}

/** Cluster and sentinel hold no factory of single clients, so the library is loaded for it. */
function openWith(base: NodeRedisOptions, map: (target: Target) => Target, settings: RedisSettings): Open {
  return async (target, signal) => {
    const create: CreateNodeRedis | undefined = await loadNodeRedis()
    if (!create) throw new ConfigError('the package redis is not installed where Holdfast is', 'npm i redis')
    const announced = target ?? targetOf(base)
    const to = map(announced)
    const socket = { ...base.socket, host: to.host, port: to.port }
    const address = formatAddress(announced.host, announced.port)
    return openNodeRedis(
      create,
      { ...base, socket },
      address,
      settings.handshakeMs * LONGEST_HANDSHAKE,
      signal,
    )
  }
}

function targetOf(options: NodeRedisOptions): Target {
  return { host: String(options.socket?.host ?? 'localhost'), port: Number(options.socket?.port ?? 6379) }
}

/** Root nodes and node options may say where and who in one URL. */
function resolveUrl(options: NodeRedisOptions): NodeRedisOptions {
  if (typeof options.url !== 'string') return options
  const { at, username, password, db, tls } = readServer(options.url, 'the url of the client', 6379)
  const login = username || password ? { username, password } : {}
  const { url: _, ...rest } = options
  return { ...login, database: db, ...rest, socket: { ...rest.socket, ...at, ...(tls ? { tls: true } : {}) } }
}

/**
 * The options a client was made with. They are private in cluster and sentinel, but `duplicate()`
 * hands them to `new (Object.getPrototypeOf(this).constructor)(options)`: called on a stand-in that
 * inherits from the client, it constructs our recorder instead. Nothing connects, nothing changes.
 */
function optionsOf(source: NodeRedisSource): NodeRedisOptions {
  let seen: NodeRedisOptions | undefined
  class Recorder {
    constructor(options: NodeRedisOptions) {
      seen = options
    }
  }
  const parent = Object.create(source, { constructor: { value: Recorder } }) as NodeRedisSource
  source.duplicate?.call(Object.create(parent))
  if (seen) return seen
  throw new ConfigError(
    'the options of this node-redis client cannot be read (a sentinel client before redis 6 hides them)',
    "pass redis: { name: 'mymaster', sentinels: ['host:26379'] } or a URL instead of the client",
  )
}
