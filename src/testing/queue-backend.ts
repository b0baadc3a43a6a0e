import type { QueueOptions } from '../queue/options.ts'
import type { Queue } from '../queue/queue.ts'

/** Where the queues of a contract suite live. */
export interface QueueBackendUnderTest {
  /** Makes the queue of this name; each name is used once. */
  create<T>(name: string, options: QueueOptions<T>): Queue<T>
  close(): Promise<void>
}

/** What the messages of the suites look like. */
export interface Note {
  readonly session: string
  readonly n: number
}

export const notes = (session: string, count: number): Note[] =>
  Array.from({ length: count }, (_, n) => ({ session, n }))

/** Quick enough for a test, and still a back-off. */
export const QUICK_RETRY = { first: 2, most: 20, outage: 0 } as const
