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
