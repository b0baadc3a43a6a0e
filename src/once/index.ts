export {
  OnceFailed,
  OnceIndeterminate,
  OnceMismatch,
  OnceNoResult,
  OnceRunning,
  OnceSuperseded,
  OnceUnavailable,
  type Outcome,
} from './errors.ts'
export type { OnceListing, OnceListOptions, OncePage } from './listing.ts'
export { createOnce, type Once, type OnceOptions, type OnceSetup } from './once.ts'
export type { Step } from './step.ts'
export type { CrashPolicy, OnceRecord } from './store.ts'
export type { Verdict } from './verdict.ts'
