export { type EventLog, type LogOptions, logEvents, type PinoLike, pinoLogger } from './log.ts'
export { createMetrics, type Metrics, type MetricsOptions } from './metrics.ts'
export { createRolling, type Rolling, type RollingFailures, type RollingOptions } from './rolling.ts'
export type {
  CacheWindow,
  DegradedPart,
  History,
  HistorySeries,
  NamespaceWindow,
  Overview,
  QueuesWindow,
  RedisWindow,
} from './rolling-shapes.ts'
