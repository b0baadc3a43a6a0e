import { ConfigError } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import type { Open } from './dialers.ts'
import type { IoredisClient, IoredisOptions } from './ioredis.ts'
import { openIoredis } from './ioredis.ts'
import type { Target } from './link.ts'
import type { NodeRedisClient, NodeRedisOptions } from './node-redis.ts'
import { openNodeRedis } from './node-redis.ts'
import type { Access } from './options.ts'

export type CreateNodeRedis = (options: NodeRedisOptions) => NodeRedisClient
export type CreateIoredis = (options: IoredisOptions) => IoredisClient

type Library = { readonly redis: CreateNodeRedis } | { readonly ioredis: CreateIoredis }

/** Links made with whichever library is installed; it is loaded when the first one is opened. */
export function libraryOpen(
  wanted: 'redis' | 'ioredis' | undefined,
  access: Access,
  home: Target | undefined,
  connectTimeout: number,
): Open {
  return async (target, signal) => {
    const library = await loadLibrary(wanted)
    const to = target ?? home
    const address = access.path ?? (to ? formatAddress(to.host, to.port) : '')
    const { username, password, db } = access
    if ('redis' in library) {
      const socket = access.path
        ? { path: access.path }
        : { ...to, ...(access.tls ? { tls: true, ...access.tls } : {}) }
      const options = { username, password, database: db, socket }
      return openNodeRedis(library.redis, options, address, connectTimeout, signal)
    }
    const place = access.path ? { path: access.path } : { ...to, ...(access.tls ? { tls: access.tls } : {}) }
    return openIoredis(library.ioredis, { username, password, db, ...place }, address, connectTimeout, signal)
  }
}

async function loadLibrary(wanted: 'redis' | 'ioredis' | undefined): Promise<Library> {
  const redis = wanted === 'ioredis' ? undefined : await loadNodeRedis()
  if (redis) return { redis }
  const ioredis = wanted === 'redis' ? undefined : await loadIoredis()
  if (ioredis) return { ioredis }
  throw new ConfigError(
    wanted ? `the package ${wanted} is not installed` : 'neither redis nor ioredis is installed',
    `npm i ${wanted ?? 'redis'}`,
  )
}

// The casts below: both libraries type their options far more narrowly than the few fields we set,
// and differently in each major version. The contract tests run over two majors of each.

let mould: (NodeRedisClient & { duplicate(options: NodeRedisOptions): NodeRedisClient }) | undefined

/**
 * node-redis, or the bare `@redis/client`. `createClient` builds a class with hundreds of commands
 * on each call (20 ms); `duplicate` of one client that never connects costs nothing.
 */
export async function loadNodeRedis(): Promise<CreateNodeRedis | undefined> {
  if (!mould) {
    const module =
      (await ifInstalled(() => import('redis'))) ?? (await ifInstalled(() => import('@redis/client')))
    mould ??= module?.createClient() as unknown as typeof mould
  }
  const client = mould
  return client && ((options) => client.duplicate(options))
}

export async function loadIoredis(): Promise<CreateIoredis | undefined> {
  const module = await ifInstalled(() => import('ioredis'))
  if (!module) return undefined
  const Redis = module.Redis as unknown as new (options: IoredisOptions) => IoredisClient
  return (options) => new Redis(options)
}

async function ifInstalled<T>(load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}
