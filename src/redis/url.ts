import { ConfigError } from '../base/errors.ts'

const SCHEMES: Record<string, 'redis:' | 'rediss:'> = {
  'redis:': 'redis:',
  'rediss:': 'rediss:',
  'valkey:': 'redis:',
  'valkeys:': 'rediss:',
}

/**
 * Checks a `redis://[user][:password]@host[:port][/db]` URL and returns it in one spelling.
 * `rediss` is TLS; `valkey` and `valkeys` mean the same as `redis` and `rediss`.
 * @param name where the URL was given, for the error; the URL itself is never repeated
 * @throws ConfigError
 */
export function readRedisUrl(given: string, name: string): string {
  let url: URL
  try {
    url = new URL(given)
    decodeURIComponent(url.username + url.password)
  } catch {
    throw new ConfigError(
      `${name} is not a URL that can be read`,
      'write redis://user:password@host:6379/0 and percent-encode @ : / ? # % in the password',
    )
  }
  const scheme = SCHEMES[url.protocol]
  if (!scheme || !url.hostname) {
    throw new ConfigError(
      `${name} is not a Redis URL with a host`,
      'begin it with redis:// (plain text) or rediss:// (TLS), as in redis://localhost:6379/0',
    )
  }
  if (!/^\/?\d*$/.test(url.pathname)) {
    throw new ConfigError(`${name} ends in something else than a database number`, 'end it in /0, or nothing')
  }
  return scheme + url.href.slice(url.protocol.length)
}

export interface RedisUrlParts {
  readonly tls: boolean
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
}

export function redisUrl(parts: RedisUrlParts): string {
  const host = parts.host.includes(':') ? `[${parts.host}]` : parts.host
  const user = encodeURIComponent(parts.username ?? '')
  const login = parts.password === undefined ? user : `${user}:${encodeURIComponent(parts.password)}`
  return `${parts.tls ? 'rediss' : 'redis'}://${login && `${login}@`}${host}:${parts.port}/${parts.db}`
}

/** The same URL, fit to be printed: `redis://user:***@host:6379/0`. */
export function maskUrl(given: string): string {
  try {
    const url = new URL(given)
    if (url.password) url.password = '***'
    return url.href.slice(0, url.href.length - url.search.length - url.hash.length)
  } catch {
    return 'a URL that cannot be read'
  }
}
