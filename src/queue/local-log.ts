import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { DEFAULT_SPILL_BYTES } from './local-settings.ts'
import { memoryDisk } from './memory-disk.ts'
import { nodeDisk } from './spill-disk.ts'
import { SpillLog } from './spill-log.ts'
import { ownDirectory } from './spill-owner.ts'
import type { Fsync } from './spill-writer.ts'

export interface LocalLogOptions {
  readonly queue: string
  /** Undefined: in the memory of this process. */
  readonly directory: string | undefined
  /** @default 'always' */
  readonly fsync?: Fsync | undefined
  /** @default 256 MiB */
  readonly maxBytes?: number | undefined
  readonly dedupeMs: number
  readonly clock: Clock
  readonly random: Random
}

/** A log, and the right to its directory. */
export interface LocalLog {
  readonly log: SpillLog
  close(): Promise<void>
}

/** @throws QueueUnavailable when somebody else owns the directory or the disk refuses; ConfigError for its path */
export async function openLocalLog(options: LocalLogOptions): Promise<LocalLog> {
  const { directory, fsync = 'always', maxBytes = DEFAULT_SPILL_BYTES, random } = options
  const settings = { ...options, fsync, maxBytes }
  if (directory === undefined) {
    // What is read from memory need not be kept in memory twice.
    const log = await SpillLog.load({ ...settings, disk: memoryDisk(), memoryBytes: 0 })
    return { log, close: () => log.close() }
  }
  const owner = await ownDirectory(directory, random)
  try {
    const log = await SpillLog.load({ ...settings, disk: await nodeDisk(directory) })
    return {
      log,
      async close() {
        await log.close()
        await owner.release()
      },
    }
  } catch (error) {
    await owner.release()
    throw error
  }
}
