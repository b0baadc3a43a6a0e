import { type Clock, systemClock } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption, RedisUnavailable } from '../base/errors.ts'
import { encodePart } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { connectRedis, type RedisSource } from '../redis/connect.ts'
import type { NodeHealth, RedisPort } from '../redis/port.ts'
import { Lock, type RunOptions } from './lock.ts'
import { lockTarget } from './locks.ts'
import { QuorumLockStore } from './quorum-store.ts'
import { RedisLockStore } from './redis-store.ts'
import { gather } from './votes.ts'

/** The servers of a quorum: 3, 5, 7 or 9. */
export interface QuorumOptions {
  /**
   * 3, 5, 7 or 9 servers that have nothing to do with each other: no replicas of one another, no
   * cluster, no Sentinel.
   */
  redis: readonly RedisSource[]
  /** First part of every key. @default 'app' */
  namespace?: string | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
  /** For simulation. @default the system's */
  random?: Random | undefined
}

/** Whether a majority can be asked, and what is known of each server. */
export interface QuorumHealth {
  /** Whether enough servers are connected to take a lock. */
  readonly majority: boolean
  readonly servers: readonly NodeHealth[]
}

const KNOWN = ['redis', 'namespace', 'clock', 'random']
const SIZES = [3, 5, 7, 9]

/**
 * Locks over several independent servers: a lock is held where a majority of them granted it, and
 * so outlives the loss of a minority. Not proof of exclusion; `docs/9.locks.md` says what it is worth.
 * @throws InvalidOption for a number of servers that is even, below 3 or above 9, for a server named
 * twice, for a cluster or Sentinel; ConfigError for a source that cannot work
 */
export function createQuorumLocks(options: QuorumOptions): QuorumLocks {
  return new QuorumLocks(options)
}

/** Locks over several independent servers: see `createQuorumLocks`. */
export class QuorumLocks implements AsyncDisposable {
  readonly #ports: readonly RedisPort[]
  readonly #store: QuorumLockStore

  constructor(options: QuorumOptions) {
    refuseUnknown(options, KNOWN, 'createQuorumLocks()')
    const { redis, namespace = 'app', clock = systemClock, random = systemRandom } = options
    if (!Array.isArray(redis) || !SIZES.includes(redis.length)) {
      throw new InvalidOption('redis is not a list of 3, 5, 7 or 9 servers', 'add or remove one')
    }
    const space = encodePart(namespace, 'namespace')
    const ports: RedisPort[] = []
    try {
      for (const source of redis as readonly RedisSource[]) {
        const port = connectRedis(source, { clock, random })
        ports.push(port)
        if (port.topology !== 'single') {
          throw new InvalidOption(`a ${port.topology} is no single server`, 'name independent masters')
        }
        if (ports.some((other) => other !== port && other.label === port.label)) {
          throw new InvalidOption('a server is named twice', 'name each once: its vote must count once')
        }
      }
    } catch (error) {
      for (const port of ports) void port.close()
      throw error
    }
    this.#ports = ports
    this.#store = new QuorumLockStore(ports.map((port) => new RedisLockStore(port, space)))
  }

  /**
   * One holder at a time. As `hf.lock`, except that who waits asks again several times a second, so
   * that turns are not in the order of asking.
   */
  lock(name: string, options: RunOptions = {}): Lock {
    return new Lock(this.#store, lockTarget(name), options, 'lock()')
  }

  /**
   * Resolves when a majority is connected.
   * @param within default '5s'
   * @throws RedisUnavailable after `within`
   */
  async ready(within: Duration = '5s'): Promise<void> {
    const ms = toMs(within, 'ready(within)')
    const needed = Math.floor(this.#ports.length / 2) + 1
    const votes = await gather(
      this.#ports.map((port) => port.ready(ms).then(() => true)),
      (so) => so.filter((vote) => vote && 'value' in vote).length >= needed,
    )
    if (votes.filter((vote) => vote && 'value' in vote).length < needed) {
      throw new RedisUnavailable(`fewer than ${needed} of ${this.#ports.length} lock servers are connected`)
    }
  }

  /** What is known of the connections. Never asks a server. */
  health(): QuorumHealth {
    const servers = this.#ports.flatMap((port) => port.health().nodes)
    const connected = servers.filter((server) => server.state === 'ready').length
    return { majority: connected > this.#ports.length / 2, servers }
  }

  /** Closes the connections; leases that are still held end with their ttl. Idempotent. */
  async close(): Promise<void> {
    this.#store.close()
    await Promise.all(this.#ports.map((port) => port.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
