import { ConfigError } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { createPort } from './create-port.ts'
import type { Dialer } from './link.ts'
import { NODE_REDIS_OVERRIDES, NODE_REDIS_SOCKET, type NodeRedisClient, openNodeRedis } from './node-redis.ts'
import type { RedisPort } from './port.ts'
import type { RedisSettings } from './settings.ts'
import { readRedisUrl } from './url.ts'

export type RedisSource = string

/**
 * The entrance: a supervised Redis from a URL. Returns at once; connecting goes on in the
 * background, so a server that is down is seen by `ready()`, `health()` and the calls.
 * @throws ConfigError when the source cannot work, before anything is sent
 */
export function connectRedis(source: RedisSource, settings: Partial<RedisSettings> = {}): RedisPort {
  return createPort(dialerFor(source), settings)
}

export function dialerFor(source: RedisSource): Dialer {
  const url = new URL(readRedisUrl(source, 'redis'))
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || 6379)
  return {
    topology: 'single',
    label: formatAddress(host, port),
    async dial(target, signal) {
      const to = target ?? { host, port }
      const redis = await import('redis').catch(() => {
        throw new ConfigError('the package redis is not installed', 'run: npm i redis')
      })
      const client: NodeRedisClient = redis.createClient({
        ...NODE_REDIS_OVERRIDES,
        username: decodeURIComponent(url.username) || undefined,
        password: decodeURIComponent(url.password) || undefined,
        database: Number(url.pathname.slice(1)) || 0,
        socket: {
          ...NODE_REDIS_SOCKET,
          ...to,
          ...(url.protocol === 'rediss:' ? { tls: true, servername: to.host } : {}),
        },
      } as unknown as Parameters<typeof redis.createClient>[0]) as unknown as NodeRedisClient
      return openNodeRedis(client, formatAddress(to.host, to.port), signal)
    },
  }
}
