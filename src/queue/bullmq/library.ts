import { ConfigError } from '../../base/errors.ts'

/**
 * The part of BullMQ's own backend interface (`IQueueBackend`, BullMQ 6) that we call. Typed here, so
 * that our declarations stand without the optional package. Jobs pass as stored: `data` is JSON text.
 */
export interface BullStore {
  waitUntilReady(): Promise<void>
  close(force?: boolean): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  /** The same connection, another queue. */
  forQueue(name: string, prefix: string): BullStore
  addJob(job: BullJob, jobId: string): Promise<string>
  /** `[job, id]` of the oldest that waits, now active; `[null, 0]` where none waits or the queue is paused. */
  moveToActive(token: string): Promise<[job: BullJob | null | undefined, id: string, ...rest: unknown[]]>
  moveToCompleted(
    job: { readonly id: string; readonly opts: object },
    returnValue: unknown,
    remove: boolean,
    token: string,
    fetchNext: boolean,
  ): Promise<unknown>
  moveJobFromActiveToWait(jobId: string, token: string): Promise<number>
  updateProgress(jobId: string, progress: unknown): Promise<void>
  getRanges(types: readonly string[], start: number, end: number, asc: boolean): Promise<string[][]>
  getCounts(types: readonly string[]): Promise<number[]>
  getJobData(jobId: string): Promise<BullJob | undefined>
  remove(jobId: string, children: boolean): Promise<number>
  pause(pause: boolean): Promise<void>
  drain(delayed: boolean): Promise<void>
  setQueueMeta(values: Record<string, string | number>): Promise<number>
}

export interface BullJob {
  readonly name: string
  readonly data: string
  readonly opts: object
  readonly timestamp: number
  readonly progress?: unknown
  readonly attemptsStarted?: number
}

export interface BullLibrary {
  createRedisBackend(
    name: string,
    options: { connection: unknown; prefix: string; skipVersionCheck: true },
    more?: object,
  ): BullStore
  createPostgresBackend(name: string, options: { connection: object }): BullStore
}

/** @throws ConfigError where the package is not installed */
export async function loadBullmq(): Promise<BullLibrary> {
  try {
    // Its own types name its client libraries and far more than is called here: see BullStore.
    return (await import('bullmq')) as unknown as BullLibrary
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') {
      throw new ConfigError(
        'queues in Redis need the package bullmq, which is not installed',
        'npm i bullmq@6',
      )
    }
    throw error
  }
}
