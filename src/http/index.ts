export type { HttpCounts, HttpDegradedEvent, HttpReplyEvent } from './counts.ts'
export { createHttpCache, HttpCache } from './engine.ts'
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
export { type SignatureOptions, verifySignature } from './signature.ts'
