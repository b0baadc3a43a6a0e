import { codeOf } from './node-error.ts'
import { readItem } from './spill-body.ts'
import type { SpillDisk } from './spill-disk.ts'
import type { SpillEntry } from './spill-entries.ts'
import { recordAt } from './spill-record.ts'
import { openFile } from './spill-writer.ts'

/** Neighbours in a file are read together, up to so many bytes. */
const MOST_BYTES = 4 * 1024 * 1024

/** The texts of entries, from memory or from their files; undefined where the bytes are no longer whole. */
export async function readEntries(
  disk: SpillDisk,
  entries: readonly SpillEntry[],
): Promise<(string | undefined)[]> {
  const texts = entries.map((entry) => entry.text)
  for (let first = 0; first < entries.length; first++) {
    if (texts[first] !== undefined) continue
    let last = first
    while (follows(entries[last]!, entries[last + 1], entries[first]!)) last++
    const run = entries.slice(first, last + 1)
    const read = await readRun(disk, run)
    read.forEach((text, index) => {
      texts[first + index] ??= text
    })
    first = last
  }
  return texts
}

function follows(entry: SpillEntry, next: SpillEntry | undefined, first: SpillEntry): boolean {
  return (
    next !== undefined &&
    next.text === undefined &&
    next.segment === entry.segment &&
    next.offset === entry.offset + entry.bytes &&
    next.offset + next.bytes - first.offset <= MOST_BYTES
  )
}

async function readRun(disk: SpillDisk, run: readonly SpillEntry[]): Promise<(string | undefined)[]> {
  const { segment, offset } = run[0]!
  const places = run.map((entry) => entry.offset - offset)
  let bytes: Buffer
  try {
    bytes = await (await openFile(disk, segment)).read(offset, places.at(-1)! + run.at(-1)!.bytes)
  } catch (error) {
    // Copied forward meanwhile, and the file is gone: once more, from where it is now.
    if (run[0]!.segment !== segment) return readEntries(disk, run)
    if (codeOf(error) !== 'ENOENT') throw error
    return run.map(() => undefined)
  }
  return run.map((entry, index) => {
    const record = recordAt(bytes, places[index]!, segment.salt)
    const item = record && readItem(record.body)
    return item?.seq === entry.seq ? item.text : undefined
  })
}
