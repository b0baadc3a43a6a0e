export type { Clock, Timer } from '../base/clock.ts'
export { systemClock } from '../base/clock.ts'
export type { Duration } from '../base/duration.ts'
export * from '../base/errors.ts'
export { escapeGlob } from '../base/key.ts'
export type { Logger } from '../base/logger.ts'
export type { Random } from '../base/random.ts'
export type { StandardSchema } from '../base/schema.ts'
export type { Cache, CacheReport, PatternOptions } from './cache.ts'
export { type CacheSetup, createCache } from './create.ts'
export {
  type CachedOptions,
  type CacheSource,
  cached,
  type InvalidatesOptions,
  invalidates,
  type MethodWrapper,
} from './decorators.ts'
export type { Defined, Definition } from './define.ts'
export type { EncryptionSetup } from './encrypt.ts'
export type { Inspection } from './inspect.ts'
export type { KeyPage, PageOptions } from './key-page.ts'
export type { LoadMissing } from './many.ts'
export { MemoryStore, type MemoryStoreSetup } from './memory-store.ts'
export { type MutateOptions, MutationNotAcknowledged } from './mutate.ts'
export type {
  CacheOptions,
  InvalidateOptions,
  L1Options,
  LoadContext,
  Loader,
  ValueCodec,
  WriteOptions,
} from './options.ts'
export type { CacheStats, CorruptEvent, LoadEvent, LookupEvent, WriteEvent } from './stats.ts'
export type { CacheStore, Mark, ScanBatch, StoreCounters, Wait } from './store.ts'
export type { WarmEntry, WarmOptions, WarmProgress, WarmReport } from './warm.ts'
