import { createHash } from 'node:crypto'
import { encodePart } from '../../base/key.ts'
import type { BullmqClient } from '../../redis/bullmq-client.ts'
import type { BullmqConnection } from './connection.ts'

/** Where one partition lives. All its keys share a slot. */
export interface PartitionPlace {
  readonly index: number
  /** BullMQ's name and prefix of the queue that it is. */
  readonly name: string
  readonly prefix: string
  readonly wait: string
  readonly active: string
  /** Prefix of BullMQ's job hashes. */
  readonly jobs: string
  readonly meta: string
  /** `token:fence` of the owner, with a time to live. */
  readonly lease: string
  readonly fence: string
  /** Hash of two counters: messages added and messages settled. */
  readonly count: string
  /** Sets of ids settled within a window. */
  done(window: number): string
}

export interface QueuePlace {
  readonly name: string
  /** Hash: what was fixed at first use. */
  readonly about: string
  /** Sorted set of worker processes by their last sign of life. */
  readonly workers: string
  /** Channel on which producers say which partitions have something. */
  readonly wake: string
  /** BullMQ's name and prefix of the queue of dead letters. */
  readonly dead: { readonly name: string; readonly prefix: string; readonly wait: string }
  readonly partitions: readonly PartitionPlace[]
  /** BullMQ's queues that make up this one, for its own classes. */
  bull(connection: BullmqClient): readonly { readonly name: string; readonly options: BullmqConnection }[]
}

/**
 * Keys: `hf:<ns>:queue:{<queue>~<partition>}:<queue>-<partition>:…` for what is BullMQ's and
 * `hf:<ns>:queue:{<queue>~<partition>}:…` for what is ours beside it. BullMQ forbids ':' in names.
 */
export function queuePlace(namespace: string, queue: string, partitions: number): QueuePlace {
  const name = encodePart(queue, 'queue name')
  const base = `hf:${encodePart(namespace, 'namespace')}:queue:`
  const own = `${base}{${name}}`
  const dead = { name: `${name}-dead`, prefix: own, wait: `${own}:${name}-dead:wait` }
  const places = Array.from({ length: partitions }, (_, index) => placeOf(base, name, index))
  return {
    name,
    about: `${own}:about`,
    workers: `${own}:workers`,
    wake: `${own}:wake`,
    dead,
    partitions: places,
    bull: (connection) =>
      [...places, dead].map((place) => ({ name: place.name, options: { connection, prefix: place.prefix } })),
  }
}

function placeOf(base: string, queue: string, index: number): PartitionPlace {
  const prefix = `${base}{${queue}~${index}}`
  const name = `${queue}-${index}`
  const bull = `${prefix}:${name}`
  return {
    index,
    name,
    prefix,
    wait: `${bull}:wait`,
    active: `${bull}:active`,
    jobs: `${bull}:`,
    meta: `${bull}:meta`,
    lease: `${prefix}:lease`,
    fence: `${prefix}:fence`,
    count: `${prefix}:count`,
    done: (window) => `${prefix}:done:${window}`,
  }
}

/** A job id for a message id of any shape: BullMQ takes neither ':' nor digits alone. */
export const letterId = (messageId: string): string =>
  `d${createHash('sha256').update(messageId).digest('base64url').slice(0, 32)}`
