import { type Clock, systemClock } from './base/clock.ts'
import { type Duration, toMs } from './base/duration.ts'
import { type Random, systemRandom } from './base/random.ts'
import { digest, Registry } from './base/registry.ts'
import type { Cache } from './cache/cache.ts'
import { createCache } from './cache/create.ts'
import type { EncryptionSetup } from './cache/encrypt.ts'
import type { CacheStats } from './cache/stats.ts'
import type { ConcurrencyLimiter } from './limit/concurrency.ts'
import type { Limiter } from './limit/limiter.ts'
import {
  type ConcurrencyOptions,
  LimitRegistry,
  type LimitSettings,
  type OutboundOptions,
} from './limit/limits.ts'
import type { LimiterOptions } from './limit/options.ts'
import type { Outbound } from './limit/outbound.ts'
import type { Limits } from './limit/policy.ts'
import type { Lock, RunOptions } from './lock/lock.ts'
import { Locks, type ReadWriteLock } from './lock/locks.ts'
import { createOnce, type Once } from './once/once.ts'
import {
  type HoldfastOptions,
  type RedisRoles,
  ROLES,
  refuseUnknownOptions,
  rolesOf,
  storeDeadlines,
} from './options.ts'
import type { BullmqConnection } from './queue/bullmq/connection.ts'
import { type QueueRedis, queueRedis } from './queue/create.ts'
import type { QueueOptions, QueueStats } from './queue/options.ts'
import type { Queue } from './queue/queue.ts'
import { Queues } from './queue/queues.ts'
import type { RedisSource } from './redis/connect.ts'
import { type ServerInfo, serverInfo } from './redis/info.ts'
import type { Reply } from './redis/link.ts'
import { RedisPools } from './redis/pools.ts'
import type { NodeHealth, RedisHealth, RedisPort } from './redis/port.ts'
import { rawCommand } from './redis/raw.ts'
import type { SessionOptions } from './session/options.ts'
import { createSessions, type Sessions } from './session/sessions.ts'
import type { TokenOptions } from './token/options.ts'
import { createTokens, type Tokens } from './token/tokens.ts'

export interface Health {
  /** `ok`: everything answers. `degraded`: the app runs, without (some of) Redis. `down`: closed. */
  readonly status: 'ok' | 'degraded' | 'down'
  readonly driver: 'embedded' | 'redis'
  /** When `status` last changed, as far as `health()` saw it: ISO 8601. */
  readonly since: string
  /** Per role, where Redis is used. */
  readonly roles: Readonly<Partial<Record<keyof RedisRoles, RoleHealth>>>
  readonly cache: CacheStats & { readonly enabled: boolean }
  /** Each queue as it was seen last, some seconds ago at most. */
  readonly queues: readonly QueueStats[]
}

export interface RoleHealth {
  readonly status: 'ok' | 'degraded'
  /** Without credentials. */
  readonly label: string
  readonly topology: string
  readonly nodes: readonly NodeHealth[]
}

export interface HoldfastRedis {
  /** What is known of the connections. Never asks the server. */
  health(): Readonly<Partial<Record<keyof RedisRoles, RedisHealth>>>
  /**
   * One command on a key of your own, on the role that must not evict: `command('ZADD',
   * 'leaderboard', '10', 'ada')`. The key is prefixed, the call supervised.
   * @throws InvalidKey, RedisUnavailable, RedisTimeout, RedisReplyError
   */
  command(name: string, key: string, ...args: (string | Buffer)[]): Promise<Reply>
  /**
   * INFO of each master of a role, field by field.
   * @throws RedisUnavailable, RedisTimeout, RedisReplyError
   */
  info(role: keyof RedisRoles): Promise<readonly ServerInfo[]>
}

/** One instance per process, made at start and closed at the end. */
export interface Holdfast {
  /** The prefix that keeps this application's keys apart. */
  readonly namespace: string
  readonly cache: Cache
  /** One holder at a time over all processes, in the order of asking: `hf.lock(name).run(fn)`. */
  lock(name: string, options?: RunOptions): Lock
  /** At most `permits` holders at a time, in the order of asking. */
  semaphore(name: string, permits: number, options?: RunOptions): Lock
  /** Many readers or one writer; a writer that waits is not overtaken. */
  readWrite(name: string, options?: RunOptions): ReadWriteLock
  /** At most so many calls in a time: `hf.limiter('chat', '20/minute')`; limits of the options win, or stand in. */
  limiter(name: string, limits?: Limits, options?: LimiterOptions): Limiter
  /** At most `limit` at once, per subject, with leases: connections, jobs. */
  concurrency(name: string, limit: number, options?: ConcurrencyOptions): ConcurrencyLimiter
  /** Keeps calls to a remote API within its limits, and heeds what its answers say. */
  outbound(name: string, limits: Limits, options?: OutboundOptions): Outbound
  /** Work that runs once per key over all processes: `hf.once(key, fn)`. */
  readonly once: Once
  /**
   * Sessions of one kind: `hf.sessions<Chat>('chat', { idle: '30m' })`. The same name gives the same sessions.
   * @throws InvalidOption for options that contradict those of an earlier call
   */
  sessions<T extends object = Record<string, unknown>>(name: string, options?: SessionOptions): Sessions<T>
  /**
   * Tokens of one OAuth client: `hf.tokens({ tokenUrl, clientId, clientSecret })`. The same credentials,
   * grant and parameters give the same tokens.
   * @throws InvalidOption for options that contradict those of an earlier call
   */
  tokens(options: TokenOptions): Tokens
  /**
   * Background writes: `hf.queue('messages', { batch: 500, orderBy: (m) => m.sessionId, handle })`. The
   * same name gives the same queue.
   * @throws InvalidOption for options that contradict those of an earlier call
   */
  queue<T>(name: string, options?: QueueOptions<T>): Queue<T>
  /**
   * The connection of the data role for BullMQ's own classes, for schedules, delays, priorities and
   * flows: `new Queue('mail', hf.bullmq())`.
   * @throws ConfigError without Redis
   */
  bullmq(): BullmqConnection
  /** The connections; undefined in process memory. */
  readonly redis: HoldfastRedis | undefined
  /**
   * Resolves when every role in use is connected and proven; at once in process memory. For a
   * start that should wait: nothing else needs it.
   * @param within default '5s'
   * @throws RedisUnavailable or RedisTimeout after `within`, ConfigError when waiting cannot help
   */
  ready(within?: Duration): Promise<void>
  /** Synchronous and free: answers from what is known, for liveness probes and dashboards. */
  health(): Health
  /** Says goodbye to the other processes and closes the connections that it opened. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * The Redis layer of one process. Returns at once and connects in the background; a Redis that is
 * not there shows in `health()`, and the app runs without it until it is.
 * @throws InvalidOption, ConfigError when the options cannot work
 */
export function holdfast(options: HoldfastOptions = {}): Holdfast {
  refuseUnknownOptions(options)
  return new Instance(options)
}

class Instance implements Holdfast {
  readonly namespace: string
  readonly cache: Cache
  readonly redis: Holdfast['redis']
  readonly #clock: Clock
  readonly #pools: RedisPools
  readonly #roles: RedisRoles | undefined
  readonly #cacheEnabled: boolean
  readonly #parts: { readonly namespace: string; readonly clock: Clock; readonly random: Random }
  #locks: Locks | undefined
  #limits: LimitRegistry | undefined
  #once: Once | undefined
  readonly #queues: Queues
  #queueConnections: QueueRedis | undefined
  readonly #limitSettings: LimitSettings | undefined
  readonly #encryption: EncryptionSetup | undefined
  readonly #sessions = new Registry<Sessions>('hf.sessions()')
  readonly #tokens = new Registry<Tokens>('hf.tokens()')
  #status: Health['status'] = 'ok'
  #since: number
  #closing: Promise<void> | undefined

  constructor(options: HoldfastOptions) {
    const { clock = systemClock, random = systemRandom, logger, namespace = 'app', cache = {} } = options
    this.namespace = namespace
    this.#clock = clock
    this.#parts = { namespace, clock, random }
    this.#encryption = options.encryption
    this.#limitSettings = options.limits
    this.#since = clock.wall()
    this.#roles = rolesOf(options.redis)
    const connect = options.deadlines?.connect
    this.#pools = new RedisPools({
      clock,
      random,
      ...(connect === undefined ? {} : { handshakeMs: toMs(connect, 'deadlines.connect') }),
    })
    const roles = this.#roles
    this.#queues = new Queues({ ...this.#parts, redis: () => roles && this.#queueRedis(roles.data) })
    this.redis = roles && {
      health: () => this.#mapRoles((port) => port.health()),
      command: async (name, key, ...args) =>
        rawCommand(this.#pools.port(roles.data), namespace, name, key, args),
      info: (role) => serverInfo(this.#pools.port(roles[role])),
    }
    this.#cacheEnabled = cache.enabled ?? true
    const deadlines = storeDeadlines(options.deadlines)
    try {
      this.cache = createCache({
        ...cache,
        namespace,
        // A cache that is switched off does not connect either.
        redis: this.#roles && this.#cacheEnabled ? this.#pools.port(this.#roles.cache) : undefined,
        deadlines,
        encryption: options.encryption,
        clock,
        random,
        logger,
      })
    } catch (error) {
      void this.#pools.close()
      throw error
    }
  }

  lock(name: string, options?: RunOptions): Lock {
    return this.#lazyLocks().lock(name, options)
  }

  semaphore(name: string, permits: number, options?: RunOptions): Lock {
    return this.#lazyLocks().semaphore(name, permits, options)
  }

  readWrite(name: string, options?: RunOptions): ReadWriteLock {
    return this.#lazyLocks().readWrite(name, options)
  }

  limiter(name: string, limits?: Limits, options?: LimiterOptions): Limiter {
    return this.#lazyLimits().limiter(name, limits, options)
  }

  concurrency(name: string, limit: number, options?: ConcurrencyOptions): ConcurrencyLimiter {
    return this.#lazyLimits().concurrency(name, limit, options)
  }

  outbound(name: string, limits: Limits, options?: OutboundOptions): Outbound {
    return this.#lazyLimits().outbound(name, limits, options)
  }

  get once(): Once {
    this.#once ??= createOnce({ ...this.#parts, redis: this.#data() })
    return this.#once
  }

  sessions<T extends object>(name: string, options: SessionOptions = {}): Sessions<T> {
    const encryption = options.encryption ?? this.#encryption
    const make = () => createSessions({ ...options, ...this.#parts, encryption, name, redis: this.#data() })
    // One name, one kind: the type of its data is the caller's word, as in any store.
    return this.#sessions.obtain(name, options, make) as unknown as Sessions<T>
  }

  tokens(options: TokenOptions): Tokens {
    const encryption = options.encryption ?? this.#encryption
    const make = () => createTokens({ ...options, ...this.#parts, encryption, redis: this.#data() })
    const { tokenUrl, clientId, clientSecret, grant, params = {}, ...rest } = options
    const name = digest([tokenUrl, clientId, clientSecret, grant, params])
    return this.#tokens.obtain(name, rest, make)
  }

  queue<T>(name: string, options?: QueueOptions<T>): Queue<T> {
    return this.#queues.queue(name, options)
  }

  bullmq(): BullmqConnection {
    return this.#queues.bullmq()
  }

  async ready(within: Duration = '5s'): Promise<void> {
    const ms = toMs(within, 'ready(within)')
    await Promise.all(Object.values(this.#mapRoles((port) => port.ready(ms))))
  }

  health(): Health {
    const redis = this.#mapRoles((port) => port.health())
    const roles: { [Role in keyof RedisRoles]?: RoleHealth } = {}
    for (const role of ROLES) {
      const known = redis[role]
      if (known) roles[role] = { ...known, status: known.nodes.every(isReady) ? 'ok' : 'degraded' }
    }
    const running = Object.values(roles).every((role) => role.status === 'ok') ? 'ok' : 'degraded'
    this.#became(this.#closing ? 'down' : running)
    return {
      status: this.#status,
      driver: this.#roles ? 'redis' : 'embedded',
      since: new Date(this.#since).toISOString(),
      roles,
      cache: { enabled: this.#cacheEnabled, ...this.cache.stats() },
      queues: this.#queues.known(),
    }
  }

  close(): Promise<void> {
    this.#locks?.close()
    this.#once?.close()
    for (const tokens of this.#tokens.values()) void tokens.close()
    this.#closing ??= Promise.all([this.cache.close(), this.#limits?.close(), this.#queues.close()])
      .then(() => undefined)
      .finally(() => this.#pools.close())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #lazyLocks(): Locks {
    this.#locks ??= new Locks({ ...this.#parts, redis: this.#data() })
    return this.#locks
  }

  #lazyLimits(): LimitRegistry {
    this.#limits ??= new LimitRegistry({ ...this.#parts, redis: this.#data() }, this.#limitSettings)
    return this.#limits
  }

  /** The role that must not evict; connected when something first needs it. */
  #data(): RedisPort | undefined {
    return this.#roles && this.#pools.port(this.#roles.data)
  }

  #queueRedis(source: RedisSource): QueueRedis {
    this.#queueConnections ??= queueRedis(this.#pools.port(source), () => this.#pools.patient(source))
    return this.#queueConnections
  }

  #became(status: Health['status']): void {
    if (status === this.#status) return
    this.#status = status
    this.#since = this.#clock.wall()
  }

  /** Over the roles that are in use. */
  #mapRoles<T>(look: (port: RedisPort) => T): Partial<Record<keyof RedisRoles, T>> {
    const found: Partial<Record<keyof RedisRoles, T>> = {}
    for (const role of ROLES) {
      const port = this.#roles && this.#pools.opened(this.#roles[role])
      if (port) found[role] = look(port)
    }
    return found
  }
}

const isReady = (node: NodeHealth): boolean => node.state === 'ready'
