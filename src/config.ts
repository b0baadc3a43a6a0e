import { type Env, EnvReader } from './base/env-reader.ts'
import { ConfigError } from './base/errors.ts'
import type { CacheOptions } from './cache/options.ts'
import { limitCategories } from './limit/categories.ts'
import type { LimitList } from './limit/policy.ts'
import type { HoldfastOptions } from './options.ts'
import type { RedisOptions } from './redis/options.ts'
import { maskUrl, readRedisUrl, redisUrl } from './redis/url.ts'

/** What the environment came to. */
export interface EnvConfig {
  /** For `holdfast(options)`. Holds the password: do not log it, log `target`. */
  options: HoldfastOptions
  /** What the cache talks to, password masked; `'process memory'` without Redis. */
  target: string
  /** Contradictions that were decided, one sentence each. Never a password. */
  warnings: string[]
  /** Which variable decided each setting, e.g. `{ redis: 'REDIS_URL', 'cache.ttl': 'CACHE_TTL' }`. */
  sources: Record<string, string>
  /** What the environment switches on or off; all true by default. */
  features: { cache: boolean; rateLimit: boolean }
}

/** What the program gives, where the environment says nothing. */
export interface EnvDefaults {
  /**
   * Time to live per cache namespace, in seconds, used where `CACHE_TTL_<NAME>` is not set. The
   * variable of `dataset_list` and of `dataset-list` is `CACHE_TTL_DATASET_LIST`.
   */
  ttls?: Record<string, number> | undefined
  /** Limits by name, each overridden by `RATE_LIMIT_<NAME>`; `default` is for names that have none. */
  limits?: Record<string, LimitList> | undefined
}

const URL_NAMES = ['HOLDFAST_REDIS_URL', 'REDIS_URL', 'VALKEY_URL']
const DATA_URL_NAMES = ['HOLDFAST_REDIS_DATA_URL', 'REDIS_DATA_URL']
const CREDENTIAL_PARTS = ['REDIS_PASSWORD', 'REDIS_USERNAME', 'REDIS_DB', 'REDIS_SSL']
const CLUSTER = 'REDIS_CLUSTER_NODES'
/** One link for commands, one for pushes: what Holdfast opens per server. */
const LINKS_PER_SERVER = 2

/**
 * Reads the environment: the only place in Holdfast that does, and only when called. A variable
 * that is empty counts as not set. `docs/7.configuration.md` lists the variables and decides every
 * conflict in one table.
 * @throws ConfigError naming the variable that cannot work, never its secret
 */
export function configFromEnv(env: Env = process.env, defaults: EnvDefaults = {}): EnvConfig {
  const reader = new EnvReader(env)
  const options: HoldfastOptions = {}

  const cache = readTarget(reader)
  if (cache) options.redis = withDataRole(reader, cache.source)
  else if (!reader.sources.redis) reader.sources.redis = 'default'
  checkConnections(reader, options.redis)

  const timeout = reader.seconds('REDIS_SOCKET_TIMEOUT')
  if (timeout !== undefined) {
    options.deadlines = { connect: timeout, read: timeout, write: timeout }
    reader.sources.deadlines = 'REDIS_SOCKET_TIMEOUT'
  }
  const namespace = reader.text('HOLDFAST_NAMESPACE')
  if (namespace) {
    options.namespace = namespace
    reader.sources.namespace = 'HOLDFAST_NAMESPACE'
  }
  const settings = readCache(reader, defaults)
  if (Object.keys(settings).length > 0) options.cache = settings
  const rateLimit = readLimits(reader, env, options, defaults)

  return {
    options,
    target: cache?.shown ?? 'process memory',
    warnings: reader.warnings,
    sources: reader.sources,
    features: {
      cache: settings.enabled !== false,
      rateLimit,
    },
  }
}

interface Target {
  readonly source: string | RedisOptions
  /** Fit to be printed. */
  readonly shown: string
}

const atUrl = (url: string): Target => ({ source: url, shown: maskUrl(url) })

/** Where the cache role is; undefined for process memory. */
function readTarget(reader: EnvReader): Target | undefined {
  const enabled = reader.flag('REDIS_ENABLED')
  if (enabled === false) {
    reader.sources.redis = 'REDIS_ENABLED'
    return undefined
  }
  const name = URL_NAMES.find((candidate) => reader.text(candidate))
  if (name) {
    const url = readRedisUrl(reader.text(name)!, name)
    warnOfOtherUrls(reader, name)
    warnOfParts(reader, name, new URL(url))
    reader.sources.redis = name
    return atUrl(url)
  }
  if (reader.text(CLUSTER)) return readCluster(reader)
  const host = reader.text('REDIS_HOST')
  const port = reader.whole('REDIS_PORT', 1, 65_535)
  if (host || port !== undefined || enabled) {
    reader.sources.redis = host ? 'REDIS_HOST' : port !== undefined ? 'REDIS_PORT' : 'REDIS_ENABLED'
    return atUrl(urlFromParts(reader, host ?? 'localhost', port ?? 6379))
  }
  const orphans = CREDENTIAL_PARTS.filter((part) => reader.text(part))
  if (orphans.length > 0) {
    reader.warnings.push(
      `${orphans.join(', ')} ${orphans.length > 1 ? 'are' : 'is'} set, but no REDIS_URL and no REDIS_HOST: running in process memory`,
    )
  }
  return undefined
}

/** Some nodes of a cluster, which share user, password and TLS. */
function readCluster(reader: EnvReader): Target {
  if (reader.whole('REDIS_DB', 0, 1_000_000)) {
    throw new ConfigError(
      `REDIS_DB is set together with ${CLUSTER}, and a cluster has only database 0`,
      'take REDIS_DB away and keep applications apart by HOLDFAST_NAMESPACE',
    )
  }
  const nodes = reader
    .text(CLUSTER)!
    .split(/[\s,]+/)
    .filter(Boolean)
  if (!nodes.every((node) => /^[\w.-]+(:\d+)?$|^\[[\da-fA-F:.]+\](:\d+)?$/.test(node))) {
    throw new ConfigError(
      `${CLUSTER} is not a list of host:port`,
      'write for example 10.0.0.1:6379,10.0.0.2:6379; user and password go in REDIS_USERNAME and REDIS_PASSWORD',
    )
  }
  const ignored = ['REDIS_HOST', 'REDIS_PORT'].filter((part) => reader.text(part))
  if (ignored.length > 0) reader.warnings.push(`${CLUSTER} wins over ${ignored.join(' and ')}`)
  reader.sources.redis = CLUSTER
  const username = reader.text('REDIS_USERNAME')
  const password = reader.text('REDIS_PASSWORD')
  const tls = reader.flag('REDIS_SSL') ?? false
  return {
    source: {
      cluster: nodes,
      ...(username && { username }),
      ...(password && { password }),
      ...(tls && { tls }),
    },
    shown: `cluster ${nodes.join(',')}`,
  }
}

function urlFromParts(reader: EnvReader, host: string, port: number): string {
  if (!/^[\w.-]+$|^[\da-fA-F:.]+$/.test(host) || /^[^:]+:\d+$/.test(host)) {
    throw new ConfigError(
      'REDIS_HOST is not a host name or address',
      'give the name alone, the port in REDIS_PORT, or one REDIS_URL for everything',
    )
  }
  const tls = reader.flag('REDIS_SSL') ?? false
  if (tls && port === 6379 && ['localhost', '127.0.0.1', '::1'].includes(host)) {
    reader.warnings.push(
      `REDIS_SSL is on, but a Redis on ${host}:6379 usually speaks plain text: it needs a tls-port`,
    )
  }
  const username = reader.text('REDIS_USERNAME')
  const password = reader.text('REDIS_PASSWORD')
  return redisUrl({ tls, host, port, username, password, db: reader.whole('REDIS_DB', 0, 1_000_000) ?? 0 })
}

function warnOfOtherUrls(reader: EnvReader, used: string): void {
  if (reader.text(CLUSTER)) reader.warnings.push(`${used} is used, ${CLUSTER} is ignored`)
  for (const other of URL_NAMES.slice(URL_NAMES.indexOf(used) + 1)) {
    const value = reader.text(other)
    if (value && value !== reader.text(used)) reader.warnings.push(`${used} is used, ${other} is ignored`)
  }
}

/** A URL is taken whole: mixing parts into it could send a password to the wrong server. */
function warnOfParts(reader: EnvReader, name: string, url: URL): void {
  const tls = url.protocol === 'rediss:'
  if (reader.flag('REDIS_SSL') === true && !tls) {
    throw new ConfigError(
      `REDIS_SSL asks for TLS, but ${name} begins with redis://, which is plain text`,
      `write rediss:// in ${name}, or take REDIS_SSL away`,
    )
  }
  const differs = {
    REDIS_HOST: (value: string) => value !== url.hostname.replace(/^\[|\]$/g, ''),
    REDIS_PORT: (value: string) => Number(value) !== Number(url.port || 6379),
    REDIS_DB: (value: string) => Number(value) !== Number(url.pathname.slice(1) || 0),
    REDIS_USERNAME: (value: string) => value !== decodeURIComponent(url.username),
    REDIS_PASSWORD: (value: string) => value !== decodeURIComponent(url.password),
    REDIS_SSL: () => reader.flag('REDIS_SSL') !== tls,
  }
  const ignored = Object.entries(differs).flatMap(([part, test]) => {
    const value = reader.text(part)
    return value !== undefined && test(value) ? [part] : []
  })
  if (ignored.length > 0) {
    reader.warnings.push(
      `${name} wins; ${ignored.join(', ')} ${ignored.length > 1 ? 'differ' : 'differs'} from it and ${ignored.length > 1 ? 'are' : 'is'} ignored`,
    )
  }
}

function withDataRole(reader: EnvReader, cache: Target['source']): NonNullable<HoldfastOptions['redis']> {
  const name = DATA_URL_NAMES.find((candidate) => reader.text(candidate))
  if (!name) return cache
  const data = readRedisUrl(reader.text(name)!, name)
  reader.sources['redis.data'] = name
  return data === cache ? cache : { cache, data }
}

function checkConnections(reader: EnvReader, redis: HoldfastOptions['redis']): void {
  const limit = reader.whole('REDIS_MAX_CONNECTIONS', 1, 1_000_000)
  if (DATA_URL_NAMES.some((name) => reader.text(name)) && redis === undefined) {
    if (reader.sources.redis === 'REDIS_ENABLED') return
    throw new ConfigError('a data URL is set without a REDIS_URL', 'set REDIS_URL for the cache as well')
  }
  if (limit === undefined || redis === undefined) return
  if (limit < LINKS_PER_SERVER) {
    throw new ConfigError(
      `REDIS_MAX_CONNECTIONS is ${limit}, and Holdfast needs ${LINKS_PER_SERVER} connections to each server`,
      'raise it; Holdfast sends everything over those and never opens more',
    )
  }
  reader.sources.connections = 'REDIS_MAX_CONNECTIONS'
}

function readCache(reader: EnvReader, defaults: EnvDefaults): NonNullable<HoldfastOptions['cache']> {
  const cache: NonNullable<HoldfastOptions['cache']> = {}
  if (reader.flag('CACHE_ENABLED') === false) {
    cache.enabled = false
    reader.sources['cache.enabled'] = 'CACHE_ENABLED'
  }
  const ttl = reader.seconds('CACHE_TTL')
  if (ttl !== undefined) {
    cache.defaults = { ttl }
    reader.sources['cache.ttl'] = 'CACHE_TTL'
  }
  const namespaces: Record<string, CacheOptions> = {}
  const known = new Map<string, string>()
  for (const [name, seconds] of Object.entries(defaults.ttls ?? {})) {
    known.set(variableOf(name), name)
    namespaces[name] = { ttl: seconds * 1_000 }
  }
  for (const variable of reader.names('CACHE_TTL_')) {
    const name = known.get(variable) ?? variable.slice('CACHE_TTL_'.length).toLowerCase()
    namespaces[name] = { ttl: reader.seconds(variable)! }
    reader.sources[`cache.namespaces.${name}.ttl`] = variable
  }
  if (Object.keys(namespaces).length > 0) cache.namespaces = namespaces
  return cache
}

/** @returns whether limits are on */
function readLimits(reader: EnvReader, env: Env, options: HoldfastOptions, defaults: EnvDefaults): boolean {
  const { enabled, limits, sources } = limitCategories(defaults.limits ?? {}, env)
  const categories = Object.keys(limits).length > 0 ? { categories: limits } : {}
  if (!enabled || categories.categories) options.limits = { ...categories, ...(enabled ? {} : { enabled }) }
  if (!enabled) reader.sources['limits.enabled'] = 'RATE_LIMIT_ENABLED'
  for (const [name, variable] of Object.entries(sources)) {
    reader.sources[`limits.categories.${name}`] = variable
  }
  return enabled
}

const variableOf = (namespace: string): string => `CACHE_TTL_${namespace.replace(/\W/g, '_').toUpperCase()}`
