import type { Duration } from '../base/duration.ts'
import type { StandardSchema } from '../base/schema.ts'
import type { SqlDatabase, SqlRunner } from './sql-database.ts'

/**
 * What an `add` that resolved has survived.
 *
 * - `memory`: the server has it in memory. Survives a crash of producers and workers. Lost with the
 *   server, as far as its own persistence does not reach (AOF everysec: up to 2 s at a power cut).
 * - `aof`: it is in the server's append-only file, fsynced. Survives a crash, a restart and a power
 *   cut of the server. `WAITAOF 1 0` from Redis 7.2; before that only where `appendfsync always` holds.
 * - `replicated`: as `memory`, and so many replicas have it. Survives the loss of the master when the
 *   one promoted is among them. `add` rejects when fewer answered.
 * - `outbox`: a row that your own transaction wrote (`queue.add(message, { tx })`), passed on by a relay.
 *   Survives whatever your database survives; the message exists if and only if the transaction did.
 *
 * In embedded mode `memory` writes the local file without fsync (survives a crash of the process),
 * `aof` and above fsync it (survives a power cut of the machine). The disk itself is one disk.
 */
export type Durability = 'memory' | 'aof' | 'replicated' | 'outbox'

/** One message as a handler sees it. */
export interface Message<T> {
  /** The caller's id, or one made at `add`. The same at every delivery: the key of an idempotent write. */
  readonly id: string
  readonly body: T
  /** What `orderBy` said of it; `undefined` where order does not matter. */
  readonly key: string | undefined
  /** Wall clock of the producer at `add`, ms since 1970. */
  readonly at: number
  /** 1 at the first try that this message is part of; counts tries of this worker, not of dead ones. */
  readonly attempt: number
  /** True when a worker may have tried it before and died: the effect may be there already. */
  readonly redelivered: boolean
  /**
   * Rises with the order of messages within the partition, over all producers: for
   * `WHERE seen_position < $1`. Comparable only between messages of one key.
   */
  readonly position: number
}

/** What became of one message of a batch. */
export type Outcome =
  | { readonly ok: true }
  /**
   * Try this one again, after `after` or the back-off. Later messages of its key wait for it: those of
   * the same batch come again too, whatever is said of them, so leave them alone.
   */
  | { readonly retry: true; readonly after?: Duration | undefined; readonly reason?: string | undefined }
  /** Hopeless: to the dead letters now. */
  | { readonly dead: string }

/** What a handler is told beside the messages. */
export interface BatchContext {
  readonly queue: string
  readonly partition: number
  /** Rises with each owner of the partition: reject writes with a lower one where the target can. */
  readonly fence: number
  /** Aborted when the handler's time is over, the partition was lost, or the process shuts down hard. */
  readonly signal: AbortSignal
}

/**
 * Takes the messages of one batch, oldest first, at most one batch per partition at a time. Resolve
 * with nothing: all done. Resolve with one outcome per message, in order: as said. Reject, take too
 * long or return anything else: nobody is done, and the batch is tried again, halved until the
 * culprit stands alone.
 */
export type BatchHandler<T> = (
  batch: readonly Message<T>[],
  context: BatchContext,
) => Promise<HandlerResult> | HandlerResult

/** Nothing: all are done. Or one outcome per message, in their order. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is the usual handler
export type HandlerResult = void | readonly Outcome[]

/** How many messages a handler gets in one call. */
export interface BatchOptions {
  /** Most messages in one call. @default 100 */
  size?: number | undefined
  /** How long an incomplete batch waits for more. @default 0: never */
  wait?: Duration | undefined
}

/** How often and how soon a message is tried again. */
export interface RetryOptions {
  /** Tries of one message before it is a dead letter. @default 10 */
  attempts?: number | undefined
  /** First pause; it doubles with each try, less a random half. @default '200ms' */
  first?: Duration | undefined
  /** Longest pause. @default '30s' */
  most?: Duration | undefined
  /**
   * While every call throws and nothing succeeds in this process, the fault is taken for the target's,
   * not the messages', and nobody dies of it until so long has passed. @default '5m'
   */
  outage?: Duration | undefined
}

/** How much may wait, and what `add` does then. */
export interface PressureOptions {
  /** Most messages that wait, over all partitions. @default 1_000_000 */
  depth?: number | undefined
  /** How old the oldest waiting message may be. @default none */
  age?: Duration | undefined
  /** At the bound: reject with QueueFull at once, or wait for room first. @default 'refuse' */
  whenFull?: 'refuse' | 'wait' | undefined
  /** With `wait`: how long before QueueFull. @default '5s' */
  wait?: Duration | undefined
}

/** How many messages travel together. */
export interface ParcelOptions {
  /** Most messages that travel as one job. @default 250 */
  size?: number | undefined
  /** Most bytes of messages that travel as one job. @default 256 KiB */
  bytes?: number | undefined
  /** How long an add may wait for company before it is sent. @default 0: until the end of the tick */
  wait?: Duration | undefined
}

/** The local file of a queue. */
export interface SpillOptions {
  /** Directory of the local file, one per queue and process: it holds payloads in the clear. */
  directory: string
  /** Bound on the file. @default 256 MiB */
  maxBytes?: number | undefined
  /**
   * `always`: each flush is fsynced before `add` resolves. A duration: at most that long after it, so a
   * power cut costs as much. `os`: left to the system. None of them loses anything when a process ends.
   * @default 'always'; without Redis as `durability` says
   */
  fsync?: 'always' | 'os' | Duration | undefined
}

/** The table from which messages are passed on. */
export interface OutboxOptions {
  /** A `pg` pool or PGlite: the relay reads the table through it. */
  sql: SqlDatabase
  /** Name of the table. @default 'holdfast_outbox' */
  table?: string | undefined
  /** Whether this process passes rows on. @default true */
  relay?: boolean | undefined
  /** Rows per round. @default 500 */
  batch?: number | undefined
  /** Pause between rounds that found nothing. @default '200ms' */
  poll?: Duration | undefined
}

/** Options of `hf.queue(name, options)`. */
export interface QueueOptions<T> {
  /** Takes the batches. Without it this process only adds. */
  handle?: BatchHandler<T> | undefined
  /** Messages with the same answer are handled in the order of their adds. @default no order */
  orderBy?: ((body: T) => string | undefined) | undefined
  /** Messages with the same id within `dedupe` are one. @default each message its own */
  id?: ((body: T) => string | undefined) | undefined
  /** How long an id is remembered after it was handled. @default '10m' */
  dedupe?: Duration | undefined
  /** State updates: of messages with the same answer only the newest that waits is handled. @default none */
  coalesce?: ((body: T) => string | undefined) | undefined
  /** Payloads are checked by it before they are stored; what it returns is stored. Standard Schema. */
  schema?: StandardSchema<T> | undefined
  /**
   * Fixed in Redis when the queue is first used: the most workers that can share it, and the keys
   * that can be handled at once. @default 8
   */
  partitions?: number | undefined
  /** Most messages in one call of the handler; or with a time to wait for more. */
  batch?: number | BatchOptions | undefined
  /** Most batches that this process handles at a time. @default one per partition it owns */
  concurrency?: number | undefined
  /** What an add that resolved has survived. */
  durability?: Durability | undefined
  /** With `replicated`: how many replicas. @default 1 */
  replicas?: number | undefined
  /** How often and how soon a message is tried again. */
  retry?: RetryOptions | undefined
  /** For one call of the handler. @default '30s' */
  timeout?: Duration | undefined
  /** Most bytes of one message as JSON. @default 128 KiB */
  maxBytes?: number | undefined
  /** How much may wait, and what `add` does then. */
  pressure?: PressureOptions | undefined
  /** How many messages travel as one job. */
  parcel?: ParcelOptions | undefined
  /** How long `add` waits for Redis. @default '1s', with `aof` and `replicated` '5s' */
  deadline?: Duration | undefined
  /** Adds while Redis is away: into the local file (needs `spill`), or QueueUnavailable. @default 'refuse' */
  whenDown?: 'spill' | 'refuse' | undefined
  /** The local file: of a queue without Redis, or for adds while Redis is away. */
  spill?: SpillOptions | undefined
  /** With `durability: outbox`: the table, and who passes its rows on. */
  outbox?: OutboxOptions | undefined
  /**
   * Keeps the queue in PostgreSQL (13 or later) by BullMQ's own backend instead of in Redis: a
   * connection string, or options of a `pg` pool (`schema` for another schema than `bullmq`). An add is
   * durable with the commit. For some hundred parcels a second.
   */
  postgres?: string | Readonly<Record<string, unknown>> | undefined
  /** After so long without a sign of life a worker's partitions go to others. @default '5s' */
  takeover?: Duration | undefined
  /** How long close() lets running batches finish. @default '10s' */
  grace?: Duration | undefined
}

/** The id of one message, and the transaction that it is added in. */
export interface AddOptions extends AddManyOptions {
  /** Overrides `id` of the queue. Any string of 1 to 512 bytes. */
  id?: string | undefined
}

/** The transaction that messages are added in. */
export interface AddManyOptions {
  /**
   * With `outbox`: a client inside your transaction. The messages come to be if and only if it commits.
   * @default a statement of its own
   */
  tx?: SqlRunner | undefined
}

/** A message that was given up. */
export interface DeadLetter<T = unknown> {
  readonly id: string
  readonly key: string | undefined
  readonly body: T
  /** When it was added, ms since 1970. */
  readonly at: number
  /** When it was given up, ms since 1970. */
  readonly diedAt: number
  readonly attempts: number
  /** Message of the last error, at most 500 characters. */
  readonly reason: string
}

/** Depth, age, dead letters and workers of one queue. */
export interface QueueStats {
  readonly queue: string
  readonly backend: 'embedded' | 'bullmq'
  /** Messages acknowledged and not yet settled, as last seen (`asOf`), the held ones included. */
  readonly depth: number
  readonly dead: number
  /** Age of the oldest unsettled message in ms; 0 when there is none. */
  readonly oldestMs: number
  readonly spilled: number
  readonly paused: boolean
  /** Live worker processes. */
  readonly workers: number
  /** Partitions that this process owns now. */
  readonly owned: number
  /** Wall clock of the look, ms since 1970. */
  readonly asOf: number
}
