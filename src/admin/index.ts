export { type Admin, type AdminOptions, type Connection, createAdmin } from './admin.ts'
export type { AuditAnswer } from './answers/audit.ts'
export type {
  CacheCleared,
  CacheExplanation,
  CacheKey,
  CacheKeyDeleted,
  CacheKeys,
  CacheNamespace,
  CacheStatsAnswer,
  CacheTagInvalidated,
  CacheTags,
} from './answers/cache.ts'
export type { DoctorAnswer, DoctorFinding } from './answers/doctor.ts'
export type { DeniedSubject, LimiterAnswer, LimitReset, LimitSubject } from './answers/limits.ts'
export type { LockAnswer, LockReleased, LocksAnswer } from './answers/locks.ts'
export type { Me } from './answers/me.ts'
export type { OnceAnswer, OnceRecordAnswer, OnceResolved, OnceVerdict } from './answers/once.ts'
export type {
  DeadLetterAnswer,
  DeadLettersAnswer,
  DeadLettersChanged,
  QueueAnswer,
  QueueToggled,
} from './answers/queues.ts'
export type { SessionAnswer, SessionsAnswer, SessionsRevoked } from './answers/sessions.ts'
export type { SlowCommand } from './answers/slowlog.ts'
export type { StreamEvents } from './answers/stream.ts'
export type { TokenAnswer, TokenInvalidated } from './answers/tokens.ts'
export type { AuditEntry } from './audit.ts'
export type { TokenGrant } from './bearer.ts'
export type { JwtOptions } from './jwt.ts'
export { EDITIONS, type Edition, type Permission } from './permissions.ts'
export type { Route } from './route.ts'
export { type AdminServer, type ServeAdminOptions, serveAdmin } from './server.ts'
