import type { Clock } from '../base/clock.ts'
import { queueBatchEvents, queueBeginEvents, queueSkipEvents } from './events.ts'
import type { Answer } from './handler-call.ts'
import type { Item } from './line.ts'

interface Reporter {
  readonly clock: Clock
  readonly namespace: string
  readonly queue: string
}

/** Says that the handler is being called. */
export function reportBegin({ namespace, queue }: Reporter, partition: number, messages: number): void {
  if (queueBeginEvents.active) queueBeginEvents.publish({ namespace, queue, partition, messages })
}

/** Says what one call of the handler came to, to those who listen. */
export function reportBatch(
  { clock, namespace, queue }: Reporter,
  partition: number,
  batch: readonly Item[],
  { outcome }: Answer,
  started: number,
): void {
  if (!queueBatchEvents.active) return
  const done = batch.filter((item) => item.isOver).length
  const dead = batch.filter((item) => !item.isOver && item.doom !== undefined).length
  const oldest = batch.reduce((least, { message }) => Math.min(least, message.t), Number.POSITIVE_INFINITY)
  queueBatchEvents.publish({
    namespace,
    queue,
    partition,
    outcome,
    messages: batch.length,
    done,
    dead,
    retried: batch.length - done - dead,
    ms: clock.mono() - started,
    ageMs: Math.max(0, clock.wall() - oldest),
  })
}

export function reportSkip(
  { namespace, queue }: Reporter,
  reason: 'duplicate' | 'superseded',
  messages: number,
): void {
  if (messages > 0 && queueSkipEvents.active) queueSkipEvents.publish({ namespace, queue, reason, messages })
}
