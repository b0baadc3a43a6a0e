export type { HttpCounts, HttpDegradedEvent, HttpReplyEvent } from './counts.ts'
export { createHttpCache, HttpCache } from './engine.ts'
export { type HealthOptions, healthReply } from './health.ts'
export { Idempotency, type IdempotencyOptions } from './idempotency.ts'
export type {
  HeaderRecord,
  HeadersLike,
  HttpBody,
  HttpReply,
  HttpRequest,
  HttpResponse,
  Next,
  NextInfo,
  RawHeaders,
} from './message.ts'
export {
  fromWebResponse,
  NodeRequest,
  type NodeRequestHints,
  nodeListener,
  sendReply,
  sendWebResponse,
  toWebRequest,
  toWebResponse,
} from './node-bridge.ts'
export type { HttpCacheOptions, HttpExplanation, HttpProfile, RouteOptions } from './options.ts'
export {
  type CachingFetch,
  outbound,
} from './outbound.ts'
export type {
  OutboundEvent,
  OutboundOutcome,
  OutboundStats,
  UpstreamFailureEvent,
} from './outbound-events.ts'
export type { FailureKind, OutboundFailure } from './outbound-failure.ts'
export type {
  OutboundAnswer,
  OutboundIdentity,
  OutboundOptions,
  OutboundPolicy,
  OutboundRoute,
  OutboundTurns,
} from './outbound-options.ts'
export type { OutboundFetch, OutboundInit, OutboundReply, OutboundRequest } from './outbound-request.ts'
export { RateLimit, type RateLimitOptions, type RateLimitVerdict } from './rate-limit.ts'
export { type Problem, problemReply, type WholeReply } from './reply.ts'
export { nodeView, type RequestView, webView } from './request-view.ts'
export { HttpSession, type HttpSessionOptions, HttpSessions } from './session.ts'
export { type GracefulShutdown, gracefulShutdown, type ShutdownOptions } from './shutdown.ts'
export { type SignatureOptions, verifySignature } from './signature.ts'
