import { type Clock, systemClock } from './base/clock.ts'
import { type Duration, toMs } from './base/duration.ts'
import { type Random, systemRandom } from './base/random.ts'
import { digest, Registry } from './base/registry.ts'
import type { Cache } from './cache/cache.ts'
import { createCache } from './cache/create.ts'
import type { EncryptionSetup } from './cache/encrypt.ts'
import type { Health, Holdfast, RoleHealth } from './face.ts'
import type { ConcurrencyLimiter } from './limit/concurrency.ts'
import type { Limiter } from './limit/limiter.ts'
import {
  type ConcurrencyOptions,
  LimitRegistry,
  type LimitSettings,
  type OutboundOptions,
} from './limit/limits.ts'
import { LimitDirectory } from './limit/listing.ts'
import type { LimiterOptions } from './limit/options.ts'
import type { Outbound } from './limit/outbound.ts'
import type { Limits } from './limit/policy.ts'
import type { Lock, RunOptions } from './lock/lock.ts'
import { Locks, type ReadWriteLock } from './lock/locks.ts'
import { createOnce, type Once } from './once/once.ts'
import { InstanceOperations, type Operations } from './operations.ts'
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
import type { QueueOptions } from './queue/options.ts'
import type { Queue } from './queue/queue.ts'
import { Queues } from './queue/queues.ts'
import type { RedisSource } from './redis/connect.ts'
import { serverInfo } from './redis/info.ts'
import { RedisPools } from './redis/pools.ts'
import type { NodeHealth, RedisPort } from './redis/port.ts'
import { rawCommand } from './redis/raw.ts'
import type { SessionOptions } from './session/options.ts'
import { createSessions, type Sessions } from './session/sessions.ts'
import { TokenDirectory } from './token/listing.ts'
import type { TokenOptions } from './token/options.ts'
import { RedisTokenStore } from './token/redis-store.ts'
import { createTokens, type Tokens } from './token/tokens.ts'

export type { Health, Holdfast, HoldfastRedis, RoleHealth } from './face.ts'

/** How long a step of a look by hand may take. */
const OPERATOR_MS = 2_000

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
  readonly operations: Operations
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
      port: (role) => this.#pools.port(roles[role]),
    }
    this.operations = this.#operations()
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

  #operations(): Operations {
    const { namespace } = this
    const limits = () => new LimitDirectory(this.#lazyLimits(), { ...this.#parts, redis: this.#data() })
    const tokens = () =>
      new TokenDirectory(namespace, () => {
        const redis = this.#data()
        if (redis) return [new RedisTokenStore(redis, namespace, OPERATOR_MS)]
        return [...this.#tokens.values()].map(({ store }) => store)
      })
    return new InstanceOperations({
      namespace,
      clock: this.#clock,
      data: () => this.#data(),
      locks: () => this.#lazyLocks(),
      limits,
      tokens,
      clients: () => this.#tokens.values(),
      queues: this.#queues,
      opened: () => this.#sessions.entries(),
      // With the defaults: it is looked over and revoked from, nothing is created.
      visit: (name) =>
        createSessions({ ...this.#parts, encryption: this.#encryption, name, redis: this.#data() }),
    })
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
