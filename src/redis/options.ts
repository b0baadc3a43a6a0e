import type { ConnectionOptions } from 'node:tls'
import { ConfigError } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { Target } from './link.ts'
import { readRedisUrl } from './url.ts'

/**
 * Where Redis is, for those who have no client yet. Give `url`, or `host` and `port`, or `path`, or
 * `cluster`, or `sentinels` and `name`.
 */
export interface RedisOptions {
  /** `redis://[user][:password]@host[:port][/db]`; `rediss://` is TLS. */
  readonly url?: string | undefined
  /** Host name or address, with `port`. Default 'localhost'. */
  readonly host?: string | undefined
  /** Default 6379 (26379 for sentinels). */
  readonly port?: number | undefined
  /** Unix socket instead of host and port. */
  readonly path?: string | undefined
  /** User of the ACL; without it the default user. */
  readonly username?: string | undefined
  /** Password of that user. */
  readonly password?: string | undefined
  /** Database number. Default 0, the only one in a cluster. */
  readonly db?: number | undefined
  /** `true`, or the options of `tls.connect` (`ca`, `cert`, `key`, `servername` …). */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** URLs of some nodes of a cluster; the others are found. */
  readonly cluster?: readonly string[] | undefined
  /** `host:port` or URL of the sentinels. */
  readonly sentinels?: readonly string[] | undefined
  /** The name under which the sentinels monitor the master. */
  readonly name?: string | undefined
  /** User for the sentinels, where they have their own. */
  readonly sentinelUsername?: string | undefined
  /** Password for the sentinels, where they have their own. */
  readonly sentinelPassword?: string | undefined
  /** Which installed library to use. Default: `redis`, else `ioredis`. */
  readonly library?: 'redis' | 'ioredis' | undefined
}

/** How to log in to a server, wherever it is. */
export interface Access {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
  readonly tls: ConnectionOptions | undefined
  readonly path: string | undefined
}

export type Plan = { readonly library: 'redis' | 'ioredis' | undefined; readonly access: Access } & (
  | { readonly kind: 'single'; readonly at: Target }
  | { readonly kind: 'cluster'; readonly seeds: readonly Target[] }
  | {
      readonly kind: 'sentinel'
      readonly name: string
      readonly sentinels: readonly Target[]
      readonly sentinelAccess: Access
    }
)

const KNOWN = [
  'url', 'host', 'port', 'path', 'username', 'password', 'db', 'tls',
  'cluster', 'sentinels', 'name', 'sentinelUsername', 'sentinelPassword', 'library',
] // biome-ignore format: a list of names reads better in rows

/**
 * Checks the options and brings every spelling into one shape.
 * @throws ConfigError, InvalidOption; never with a password in the text
 */
export function readOptions(options: RedisOptions): Plan {
  refuseUnknown(options, KNOWN, 'redis')
  const ways = (['url', 'host', 'path', 'cluster', 'sentinels'] as const).filter(
    (way) => options[way] !== undefined,
  )
  if (ways.length !== 1) {
    throw new ConfigError(
      ways.length === 0
        ? 'redis does not say where the server is'
        : `redis has both ${ways.slice(0, 2).join(' and ')}`,
      'give exactly one of url, host, path, cluster or sentinels',
    )
  }
  if (options.library !== undefined && options.library !== 'redis' && options.library !== 'ioredis') {
    throw new ConfigError('redis.library is not a library that Holdfast knows', "write 'redis' or 'ioredis'")
  }
  const library = options.library
  if (options.cluster) {
    const seeds = options.cluster.map((url) => readServer(url, 'redis.cluster', 6379))
    const first = needSome(seeds, 'redis.cluster')
    const access = accessOf(options, first)
    if (access.db !== 0)
      throw new ConfigError(
        `database ${access.db} in a cluster`,
        'a cluster has only database 0: leave it out',
      )
    return { kind: 'cluster', library, access, seeds: seeds.map((seed) => seed.at) }
  }
  if (options.sentinels) {
    if (!options.name) {
      throw new ConfigError(
        'redis.sentinels without redis.name',
        'name the master as the sentinels do, for example mymaster',
      )
    }
    const sentinels = options.sentinels.map((url) =>
      readServer(url.includes('://') ? url : `redis://${url}`, 'redis.sentinels', 26379),
    )
    const first = needSome(sentinels, 'redis.sentinels')
    const access = accessOf(options, undefined)
    return {
      kind: 'sentinel',
      library,
      name: options.name,
      sentinels: sentinels.map((sentinel) => sentinel.at),
      access,
      sentinelAccess: {
        username: options.sentinelUsername ?? first.username,
        password: options.sentinelPassword ?? first.password,
        db: 0,
        tls: first.tls ? (access.tls ?? {}) : undefined,
        path: undefined,
      },
    }
  }
  const server = options.url === undefined ? undefined : readServer(options.url, 'redis.url', 6379)
  const at = server?.at ?? { host: options.host ?? 'localhost', port: readPort(options.port ?? 6379) }
  return { kind: 'single', library, access: accessOf(options, server), at }
}

interface Server {
  readonly at: Target
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number | undefined
  readonly tls: boolean
}

export function readServer(given: string, name: string, defaultPort: number): Server {
  if (typeof given !== 'string') throw new ConfigError(`${name} is not text`, 'write redis://host:port')
  const url = new URL(readRedisUrl(given, name))
  return {
    at: { host: url.hostname.replace(/^\[|\]$/g, ''), port: readPort(Number(url.port || defaultPort)) },
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || undefined,
    db: url.pathname.length > 1 ? Number(url.pathname.slice(1)) : undefined,
    tls: url.protocol === 'rediss:',
  }
}

function accessOf(options: RedisOptions, server: Server | undefined): Access {
  const db = options.db ?? server?.db ?? 0
  if (!Number.isInteger(db) || db < 0)
    throw new ConfigError('redis.db is no database number', 'give 0, 1, 2 …')
  if (options.tls === false && server?.tls) {
    throw new ConfigError(
      'redis.tls is false but the URL begins with rediss://',
      'say the same in both places',
    )
  }
  return {
    username: options.username ?? server?.username,
    password: options.password ?? server?.password,
    db,
    tls: typeof options.tls === 'object' ? options.tls : options.tls || server?.tls ? {} : undefined,
    path: options.path,
  }
}

function needSome(servers: readonly Server[], name: string): Server {
  const [first] = servers
  if (!first) throw new ConfigError(`${name} is empty`, 'name at least one server')
  return first
}

function readPort(port: number): number {
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new ConfigError(
    'the port of redis is no port number',
    'give 1 to 65535; Redis listens on 6379 by default',
  )
}
