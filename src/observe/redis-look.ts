import type { Holdfast } from '../holdfast.ts'
import { keysOf, type ServerInfo } from '../redis/info.ts'
import type { RedisWindow } from './rolling-shapes.ts'

/** Asks INFO of the servers every few seconds; one command on each, and needs no CONFIG. */
export class RedisLook {
  /** Looks that got no answer. */
  failures = 0
  readonly #hf: Holdfast
  #known: Omit<RedisWindow, 'pingMs'> | null = null
  #isLooking = false

  constructor(hf: Holdfast) {
    this.#hf = hf
  }

  /** Never rejects; a look that is under way is not joined by a second one. */
  async look(): Promise<void> {
    const { redis } = this.#hf
    const role = this.#role()
    if (redis === undefined || role === undefined || this.#isLooking) return
    this.#isLooking = true
    try {
      this.#known = summed(await redis.info(role))
    } catch {
      this.failures++
      this.#known = null
    } finally {
      this.#isLooking = false
    }
  }

  get known(): RedisWindow | null {
    const role = this.#role()
    if (this.#known === null || role === undefined) return null
    const nodes = this.#hf.redis?.health()[role]?.nodes ?? []
    const pings = nodes.flatMap(({ latency }) => (latency === undefined ? [] : [latency]))
    return { ...this.#known, pingMs: pings.length === 0 ? null : Math.round(Math.max(...pings) * 1e3) / 1e3 }
  }

  /** Of the cache where it is in use; asking another would open a connection for it. */
  #role(): 'cache' | 'data' | undefined {
    const open = this.#hf.redis?.health() ?? {}
    return open.cache ? 'cache' : open.data ? 'data' : undefined
  }
}

function summed(infos: readonly ServerInfo[]): Omit<RedisWindow, 'pingMs'> {
  const sum = (field: string) => infos.reduce((total, info) => total + (Number(info[field]) || 0), 0)
  return {
    usedMemory: sum('used_memory'),
    maxMemory: sum('maxmemory'),
    evictedKeys: sum('evicted_keys'),
    connectedClients: sum('connected_clients'),
    opsPerSecond: sum('instantaneous_ops_per_sec'),
    keys: infos.reduce((total, info) => total + keysOf(info), 0),
  }
}
