/** The public face: what `import … from 'holdfast'` offers. Everything else is internal. */
export type { Clock, Timer } from './base/clock.ts'
export type { Duration } from './base/duration.ts'
export {
  Closed,
  ConfigError,
  ERROR_CODES,
  type ErrorCode,
  HoldfastError,
  InvalidKey,
  InvalidOption,
  InvalidValue,
  LoadFailed,
  LoadSkipped,
  LoadTimeout,
  NotAcknowledged,
  RedisReplyError,
  RedisTimeout,
  RedisUnavailable,
} from './base/errors.ts'
export { escapeGlob } from './base/key.ts'
export type { Logger } from './base/logger.ts'
export type { Random } from './base/random.ts'
export type { StandardSchema } from './base/schema.ts'
export type { Cache, CacheReport, PatternOptions } from './cache/cache.ts'
export {
  type CachedOptions,
  type CacheSource,
  cached,
  type InvalidatesOptions,
  invalidates,
  type MethodWrapper,
} from './cache/decorators.ts'
export type { Defined, Definition } from './cache/define.ts'
export type { EncryptionSetup } from './cache/encrypt.ts'
export type { Inspection } from './cache/inspect.ts'
export type { KeyPage, PageOptions } from './cache/key-page.ts'
export type { LoadMissing } from './cache/many.ts'
export { type MutateOptions, MutationNotAcknowledged } from './cache/mutate.ts'
export type {
  CacheOptions,
  InvalidateOptions,
  L1Options,
  LoadContext,
  Loader,
  WriteOptions,
} from './cache/options.ts'
export type { CacheStats } from './cache/stats.ts'
export type { Mark, StoreCounters, Wait } from './cache/store.ts'
export type { WarmEntry, WarmOptions, WarmProgress, WarmReport } from './cache/warm.ts'
export { configFromEnv, type EnvConfig, type EnvDefaults } from './config.ts'
export { type Health, type Holdfast, type HoldfastRedis, holdfast, type RoleHealth } from './holdfast.ts'
export { LockLost, LockTimeout, LockUnavailable, type LossCause } from './lock/errors.ts'
export type { Lease } from './lock/lease.ts'
export type { Lock, LockOptions, RunOptions } from './lock/lock.ts'
export type { ReadWriteLock } from './lock/locks.ts'
export type { LockState } from './lock/store.ts'
export {
  OnceFailed,
  OnceIndeterminate,
  OnceMismatch,
  OnceNoResult,
  OnceRunning,
  OnceSuperseded,
  OnceUnavailable,
} from './once/errors.ts'
export type { Once, OnceOptions } from './once/once.ts'
export type { Step } from './once/step.ts'
export type { OnceRecord } from './once/store.ts'
export type { Verdict } from './once/verdict.ts'
export type { CacheSettings, Deadlines, HoldfastOptions, RedisRoles } from './options.ts'
export type { BullmqConnection } from './queue/bullmq/connection.ts'
export type { DeadLetters } from './queue/dead-letters.ts'
export {
  InvalidMessage,
  QueueFull,
  QueueMismatch,
  QueueUnavailable,
  QueueUncertain,
} from './queue/errors.ts'
export type {
  BatchContext,
  BatchHandler,
  DeadLetter,
  Durability,
  Message,
  Outcome,
  QueueOptions,
  QueueStats,
} from './queue/options.ts'
export type { Queue } from './queue/queue.ts'
export type { RedisClientLike, RedisSource } from './redis/connect.ts'
export type { RedisOptions } from './redis/options.ts'
export type { NodeHealth, RedisHealth } from './redis/port.ts'
export { SessionConflict, SessionReadOnly, SessionRevoked } from './session/errors.ts'
export type { SessionOptions } from './session/options.ts'
export type { Session } from './session/session.ts'
export type { Sessions } from './session/sessions.ts'
export { TokenEndpointError, TokenReauthNeeded } from './token/errors.ts'
export type { TokenOptions } from './token/options.ts'
export type { Tokens } from './token/tokens.ts'
