export { SessionCookie, type SessionCookieOptions } from './cookie.ts'
export { SessionConflict, SessionReadOnly, SessionRevoked } from './errors.ts'
export { type ExpressSessionModule, expressStore } from './express-store.ts'
export { type FastifyStore, fastifyStore } from './fastify-store.ts'
export type { SessionListing, SessionListOptions, SessionPage } from './listing.ts'
export type { ConflictPolicy, SessionOptions, SessionsOptions } from './options.ts'
export type { SessionCounters } from './records.ts'
export type { RegenerateOptions } from './regenerate.ts'
export type { Session, SessionInfo } from './session.ts'
export {
  type CreateSessionOptions,
  createSessions,
  type ListedSession,
  type SessionPatch,
  type Sessions,
} from './sessions.ts'
export type { WebStoreOptions } from './web-store.ts'
