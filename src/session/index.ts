export { SessionConflict, SessionReadOnly, SessionRevoked } from './errors.ts'
export type { ConflictPolicy, SessionOptions, SessionsOptions } from './options.ts'
export type { RegenerateOptions } from './regenerate.ts'
export type { Session, SessionInfo } from './session.ts'
export {
  type CreateSessionOptions,
  createSessions,
  type ListedSession,
  type SessionCounters,
  type SessionPatch,
  type Sessions,
} from './sessions.ts'
