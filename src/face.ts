import type { Duration } from './base/duration.ts'
import type { Cache } from './cache/cache.ts'
import type { CacheStats } from './cache/stats.ts'
import type { ConcurrencyLimiter } from './limit/concurrency.ts'
import type { Limiter } from './limit/limiter.ts'
import type { ConcurrencyOptions, OutboundOptions } from './limit/limits.ts'
import type { LimiterOptions } from './limit/options.ts'
import type { Outbound } from './limit/outbound.ts'
import type { Limits } from './limit/policy.ts'
import type { Lock, RunOptions } from './lock/lock.ts'
import type { ReadWriteLock } from './lock/locks.ts'
import type { Once } from './once/once.ts'
import type { Operations } from './operations.ts'
import type { RedisRoles } from './options.ts'
import type { BullmqConnection } from './queue/bullmq/connection.ts'
import type { QueueOptions, QueueStats } from './queue/options.ts'
import type { Queue } from './queue/queue.ts'
import type { ServerInfo } from './redis/info.ts'
import type { Reply } from './redis/link.ts'
import type { NodeHealth, RedisHealth, RedisPort } from './redis/port.ts'
import type { SessionOptions } from './session/options.ts'
import type { Sessions } from './session/sessions.ts'
import type { TokenOptions } from './token/options.ts'
import type { Tokens } from './token/tokens.ts'

/** What an instance knows of itself, without asking anybody. */
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

/** The connections of one role. */
export interface RoleHealth {
  readonly status: 'ok' | 'degraded'
  /** Without credentials. */
  readonly label: string
  readonly topology: string
  readonly nodes: readonly NodeHealth[]
}

/** The connections of an instance, and commands of one's own. */
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
  /** The supervised connection of a role, for tools that ask the servers themselves. Never close it. */
  port(role: keyof RedisRoles): RedisPort
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
  /** What an operator sees and does by hand: lists, evictions, resets. Never on the path of a request. */
  readonly operations: Operations
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
