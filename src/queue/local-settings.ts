import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import type { SpillOptions } from './options.ts'
import type { Fsync } from './spill-writer.ts'

export interface LocalSettings {
  readonly directory: string | undefined
  readonly maxBytes: number
  /** Undefined: as the durability of the queue asks. */
  readonly fsync: Fsync | undefined
}

export const DEFAULT_SPILL_BYTES = 256 * 1024 * 1024
/** Less than that would hold no single message of the default size. */
const LEAST_BYTES = 64 * 1024

/** The options of the local file, checked. @throws InvalidOption */
export function localSettings(spill: SpillOptions | undefined): LocalSettings {
  if (spill === undefined) return { directory: undefined, maxBytes: DEFAULT_SPILL_BYTES, fsync: undefined }
  refuseUnknown(spill, ['directory', 'maxBytes', 'fsync'], 'spill')
  const { directory, maxBytes = DEFAULT_SPILL_BYTES, fsync } = spill
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw new InvalidOption('spill.directory is no path', 'name a directory that only this process writes')
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < LEAST_BYTES) {
    throw new InvalidOption(
      `spill.maxBytes is ${String(maxBytes).slice(0, 40)}`,
      `give a whole number of bytes, at least ${LEAST_BYTES}`,
    )
  }
  return { directory, maxBytes, fsync: fsync === undefined ? undefined : fsyncOf(fsync) }
}

function fsyncOf(fsync: 'always' | 'os' | Duration): Fsync {
  if (fsync === 'always' || fsync === 'os') return fsync
  const ms = toMs(fsync, 'spill.fsync')
  return ms === 0 ? 'always' : ms
}
