import { type Clock, systemClock } from '../base/clock.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { BullmqClient } from '../redis/bullmq-client.ts'
import type { RedisPort } from '../redis/port.ts'
import type { QueueBackend } from './backend.ts'
import { BullmqBackend } from './bullmq/backend.ts'
import { BULLMQ_PATIENCE } from './bullmq/connection.ts'
import { queuePlace } from './bullmq/layout.ts'
import { EmbeddedBackend } from './embedded-backend.ts'
import { localSettings } from './local-settings.ts'
import type { QueueOptions } from './options.ts'
import { openParcelLog } from './parcel-log.ts'
import { PostgresBackend } from './postgres/backend.ts'
import { Queue } from './queue.ts'
import { type QueueSettings, queueSettings } from './settings.ts'

/** Where queues in Redis get their connections. */
export interface QueueRedis {
  readonly port: RedisPort
  /** A connection of its own that may be silent for long: for what makes the server wait. */
  openPatient(): RedisPort
  /** The client for BullMQ's own classes. */
  bullmq(): BullmqClient
}

/** @param openPatient opens a connection of its own that may be silent for long */
export function queueRedis(port: RedisPort, openPatient: () => RedisPort): QueueRedis {
  let client: BullmqClient | undefined
  const setup = { port, openBlocking: openPatient, deadline: BULLMQ_PATIENCE, patience: BULLMQ_PATIENCE }
  return {
    port,
    openPatient,
    bullmq() {
      client ??= new BullmqClient(setup)
      return client
    },
  }
}

/** What a queue that is used alone is made of. */
export interface QueueSetup<T> extends QueueOptions<T> {
  readonly name: string
  readonly namespace?: string | undefined
  /** Undefined: in this process and its local file. */
  readonly redis?: QueueRedis | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

/**
 * A queue by itself; `hf.queue()` does this with the connections of its instance.
 * @throws InvalidOption, InvalidKey
 */
export function createQueue<T>(setup: QueueSetup<T>): Queue<T> {
  const { name, namespace = 'app', redis, clock = systemClock, random = systemRandom, ...options } = setup
  const settings = queueSettings(name, options)
  const { fsync, ...place } = localSettings(options.spill)
  const own = { name, namespace, clock, random }
  const local = { queue: name, ...place, clock, random }
  const backend = options.postgres
    ? new PostgresBackend({ ...settings, ...own, queue: name, connection: options.postgres })
    : redis
      ? redisBackend(own, redis, settings)
      : new EmbeddedBackend({
          ...local,
          partitions: settings.partitions,
          durability: settings.durability,
          fsync,
          dedupeMs: settings.dedupe,
        })
  // Without Redis the local file is the queue itself: there is nothing to spill past.
  const spills = (redis || options.postgres) && settings.whenDown === 'spill'
  const openLog = spills
    ? () => openParcelLog({ ...local, queue: `${name}.spill`, fsync: fsync ?? 'always' })
    : undefined
  const bullQueues = () =>
    redis ? queuePlace(namespace, name, settings.partitions).bull(redis.bullmq()) : []
  return new Queue<T>({ ...own, options, settings, backend, openLog, bullQueues })
}

function redisBackend(
  own: { readonly name: string; readonly namespace: string },
  redis: QueueRedis,
  settings: QueueSettings,
): QueueBackend {
  const { durability } = settings
  const waits = durability === 'aof' || durability === 'replicated'
  return new BullmqBackend({
    ...settings,
    port: redis.port,
    adds: waits ? redis.openPatient() : redis.port,
    openBlocking: () => redis.openPatient(),
    namespace: own.namespace,
    queue: own.name,
  })
}
