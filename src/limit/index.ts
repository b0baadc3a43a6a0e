export { type LimitCategories, limitCategories } from './categories.ts'
export {
  type AcquireOptions,
  ConcurrencyLimiter,
  type ConcurrencySettings,
  createConcurrency,
  Permit,
} from './concurrency.ts'
export type { Decision, LimitState } from './decision.ts'
export { LimitExceeded } from './errors.ts'
export type { LimitDegradedEvent, LimitEvent } from './events.ts'
export { type HeaderOptions, rateLimitHeaders, retryAfterSeconds } from './headers.ts'
export { type IpKeyOptions, ipKey } from './ip.ts'
export { createLimiter, Limiter } from './limiter.ts'
export type {
  ConsumeOptions,
  LimiterOptions,
  LimiterSettings,
  OutagePolicy,
  RefundOptions,
} from './options.ts'
export { createOutbound, Outbound, type OutboundCall, type OutboundSettings } from './outbound.ts'
export type { LimitList, Limits } from './policy.ts'
export { clientAddress, type TrustProxy } from './proxy.ts'
export { type ProblemDetails, type Refusal, refusal } from './refusal.ts'
export { type HeaderBag, type RemoteSignal, readSignals, type SignalOptions } from './remote-signals.ts'
export { type Algorithm, type Limit, type LimitSpec, parseLimit } from './spec.ts'
export type { Subject } from './subject.ts'
export type { LimitCounts, LimitReport } from './tally.ts'
