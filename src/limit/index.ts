export type { Decision, LimitState } from './decision.ts'
export { type IpKeyOptions, ipKey } from './ip.ts'
export { createLimiter, Limiter } from './limiter.ts'
export type {
  ConsumeOptions,
  LimiterOptions,
  LimiterSettings,
  OutagePolicy,
  RefundOptions,
} from './options.ts'
export type { LimitList, Limits } from './policy.ts'
export { clientAddress, type TrustProxy } from './proxy.ts'
export { type Algorithm, type Limit, type LimitSpec, parseLimit } from './spec.ts'
export type { Subject } from './subject.ts'
export type { LimitCounts, LimitReport } from './tally.ts'
