import type { BullmqClient } from '../../redis/bullmq-client.ts'

/** Options for `new Queue(name, …)`, `new Worker(name, fn, …)`, `new FlowProducer(…)` of BullMQ 6. */
export interface BullmqConnection {
  /** BullMQ takes it for a client that it did not open, and leaves it open. */
  readonly connection: BullmqClient
  readonly prefix: string
}

/** Until a command that BullMQ's own classes send is given up, and waits for a connection, ms. */
export const BULLMQ_PATIENCE = 5_000
