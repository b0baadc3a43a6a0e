import type { Clock } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import type { RedisPort } from '../redis/port.ts'
import type { Decision } from './decision.ts'
import type { LimitList, Limits } from './policy.ts'
import type { Algorithm } from './spec.ts'

/** What a limiter does while Redis cannot be asked. */
export type OutagePolicy = 'allow' | 'deny' | 'local'

/** Options of `hf.limiter(name, limits, options)`. */
export interface LimiterOptions {
  /** Counting where a limit does not say it itself. @default 'sliding' */
  algorithm?: Algorithm | undefined
  /**
   * While Redis cannot be asked within `deadline`: `local` counts in this process against the limit
   * divided by `instances`; `allow` admits; `deny` refuses (for logins and one-time codes). @default 'local'
   */
  onUnavailable?: OutagePolicy | undefined
  /** How long a check may take before `onUnavailable` answers. @default '100ms' */
  deadline?: Duration | undefined
  /** How many processes share the limits while each is alone. @default 1 */
  instances?: number | (() => number) | undefined
  /** `false` counts and reports, and admits everything: to try limits out. @default true */
  enforce?: boolean | undefined
  /** `false` switches the limiter off: nothing is counted, nothing refused. @default true */
  enabled?: boolean | undefined
  /** Refusals remembered in this process, to answer floods without Redis; 0 = none. @default 10_000 */
  denyCache?: number | undefined
  /** Keeps the figures of `report()`. @default true */
  report?: boolean | undefined
  /**
   * The kind of subject whose id decides the slot of all subjects of a call, so that in Redis
   * Cluster they are decided atomically, e.g. 'workspace'. Every call must then name it.
   */
  colocate?: string | undefined
}

/** What `createLimiter` makes a limiter of. */
export interface LimiterSettings extends LimiterOptions {
  /** Without it: process memory. */
  redis?: RedisPort | undefined
  /** First part of every key. @default 'app' */
  namespace?: string | undefined
  /** Tells limiters apart. */
  name: string
  /** What is admitted: `20/minute`, a list, or by kind of subject. */
  limits: Limits
  /** For process memory. @default the system's */
  clock?: Clock | undefined
}

/** What one call costs, and the limits of its plan. */
export interface ConsumeOptions {
  /** Units, whole, from 1. @default 1 */
  cost?: number | undefined
  /** Limits for this call instead of the limiter's own: of the caller's plan. What was used stays counted. */
  limits?: Limits | LimitList | undefined
}

/** What is given back. */
export interface RefundOptions extends ConsumeOptions {
  /** The decision that took the units: what has already left the window is then not given back. */
  of?: Decision | undefined
}
