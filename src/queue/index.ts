export { type ApplyOnceOptions, applied, applyOnce, createAppliedTable, pruneApplied } from './applied.ts'
export { type ApplyOptions, applyBatch } from './apply.ts'
export { createQueue, type QueueRedis, type QueueSetup } from './create.ts'
export type { DeadLetters } from './dead-letters.ts'
export {
  ApplyTimeout,
  InvalidMessage,
  QueueFull,
  QueueMismatch,
  QueueUnavailable,
  QueueUncertain,
} from './errors.ts'
export {
  type QueueAddEvent,
  type QueueBatchEvent,
  type QueueDepthEvent,
  type QueueFaultEvent,
  type QueueLeaseEvent,
  type QueueSkipEvent,
  queueAddEvents,
  queueBatchEvents,
  queueDepthEvents,
  queueFaultEvents,
  queueLeaseEvents,
  queueSkipEvents,
} from './events.ts'
export type {
  AddManyOptions,
  AddOptions,
  BatchContext,
  BatchHandler,
  BatchOptions,
  DeadLetter,
  Durability,
  HandlerResult,
  Message,
  OutboxOptions,
  Outcome,
  ParcelOptions,
  PressureOptions,
  QueueOptions,
  QueueStats,
  RetryOptions,
  SpillOptions,
} from './options.ts'
export { outboxTable } from './outbox.ts'
export type { Queue } from './queue.ts'
export { type SpillEvent, spillEvents } from './spill-events.ts'
export { inTransaction, type TransactionOptions } from './sql.ts'
export type { SqlClient, SqlDatabase, SqlLite, SqlPool, SqlRunner } from './sql-database.ts'
