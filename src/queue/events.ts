import { eventChannel } from '../base/events.ts'
import type { QueueStats } from './options.ts'

/** One flush of adds. Counts only, never a payload, an id or a key. */
export interface QueueAddEvent {
  readonly namespace: string
  readonly queue: string
  readonly outcome: 'stored' | 'spilled' | 'refused' | 'uncertain'
  readonly messages: number
  readonly parcels: number
  /** From the start of the flush to the verdict. */
  readonly ms: number
}

/** A handler is being called; a QueueBatchEvent follows. */
export interface QueueBeginEvent {
  readonly namespace: string
  readonly queue: string
  readonly partition: number
  readonly messages: number
}

/** One call of a handler. */
export interface QueueBatchEvent {
  readonly namespace: string
  readonly queue: string
  readonly partition: number
  /** `answered`: it settled; see the counts. The rest: nobody of the batch is done. */
  readonly outcome: 'answered' | 'threw' | 'timeout' | 'nonsense' | 'lost'
  readonly messages: number
  readonly done: number
  readonly retried: number
  readonly dead: number
  readonly ms: number
  /** How long the oldest of them had waited since its add, by wall clocks. */
  readonly ageMs: number
}

/** Messages that were not handled because they need not be. */
export interface QueueSkipEvent {
  readonly namespace: string
  readonly queue: string
  readonly reason: 'duplicate' | 'superseded'
  readonly messages: number
}

/** A partition came to this process or left it. */
export interface QueueLeaseEvent {
  readonly namespace: string
  readonly queue: string
  readonly partition: number
  readonly state: 'taken' | 'released' | 'lost'
}

/** Something that went wrong behind the back of every caller; it is tried again. */
export interface QueueFaultEvent {
  readonly namespace: string
  readonly queue: string
  readonly at: 'open' | 'beat' | 'lease' | 'take' | 'settle' | 'bury' | 'replay' | 'relay' | 'look'
  /** Code or name of the error. */
  readonly cause: string
}

/** What waits in a queue, as it was seen last. */
export interface QueueDepthEvent extends QueueStats {
  readonly namespace: string
}

/** `holdfast:queue:add` */
export const queueAddEvents = eventChannel<QueueAddEvent>('holdfast:queue:add')
/** `holdfast:queue:begin` */
export const queueBeginEvents = eventChannel<QueueBeginEvent>('holdfast:queue:begin')
/** `holdfast:queue:batch` */
export const queueBatchEvents = eventChannel<QueueBatchEvent>('holdfast:queue:batch')
/** `holdfast:queue:skip` */
export const queueSkipEvents = eventChannel<QueueSkipEvent>('holdfast:queue:skip')
/** `holdfast:queue:lease` */
export const queueLeaseEvents = eventChannel<QueueLeaseEvent>('holdfast:queue:lease')
/** `holdfast:queue:fault` */
export const queueFaultEvents = eventChannel<QueueFaultEvent>('holdfast:queue:fault')
/** `holdfast:queue:depth` */
export const queueDepthEvents = eventChannel<QueueDepthEvent>('holdfast:queue:depth')

/** A class of error that may be shown in a metric. */
function causeOf(error: unknown): string {
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.name
  return typeof error
}

export function tellFault(
  of: { readonly namespace: string; readonly queue: string },
  at: QueueFaultEvent['at'],
  error: unknown,
): void {
  const { namespace, queue } = of
  if (queueFaultEvents.active) queueFaultEvents.publish({ namespace, queue, at, cause: causeOf(error) })
}
