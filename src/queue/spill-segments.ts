import { crc32 } from 'node:zlib'
import { codeOf } from './node-error.ts'
import type { SpillDisk } from './spill-disk.ts'
import type { Segment, SpillIndex } from './spill-entries.ts'
import { scanRecords } from './spill-record.ts'

/**
 * A log is a row of segments `<number>-<salt>.spill`: new ones at the end, settled ones removed at
 * the beginning. The salt is in the name, so that a damaged header costs no message.
 */
const NAME = /^(\d{10})-([0-9a-f]{8})\.spill$/
const MAGIC = Buffer.from('HOLDFAST')
const VERSION = 1
export const SEGMENT_HEADER_BYTES = 32

/** What opening a log came upon. All of it zero after a clean end. */
export interface SpillFound {
  readonly parcels: number
  readonly letters: number
  readonly segments: number
  /** Bytes of writes that had not ended, cut off. */
  readonly tornBytes: number
  /** Stretches that had rotted: counted, and kept in `damaged-*` files. Messages may be missing. */
  readonly damage: readonly { readonly file: string; readonly offset: number; readonly bytes: number }[]
  /** Files that should be there and are not. */
  readonly missingSegments: number
}

export interface LoadedSegments {
  readonly segments: Segment[]
  /** The last one may be written on; undefined where a new one has to begin. */
  readonly writable: boolean
  readonly found: SpillFound
}

export function segmentName(number: number, salt: number): string {
  return `${String(number).padStart(10, '0')}-${salt.toString(16).padStart(8, '0')}.spill`
}

export async function createSegment(
  disk: SpillDisk,
  number: number,
  salt: number,
  nextSeq: number,
  first: Buffer,
): Promise<Segment> {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt32LE(VERSION, 8)
  header.writeDoubleLE(nextSeq, 16)
  header.writeUInt32LE(crc32(header.subarray(0, 28), salt), 28)
  const name = segmentName(number, salt)
  const file = await disk.create(name, Buffer.concat([header, first]))
  return {
    number,
    name,
    salt,
    size: SEGMENT_HEADER_BYTES + first.length,
    live: 0,
    doneAt: 0,
    file: Promise.resolve(file),
  }
}

/** Reads every segment into the index, cuts off torn ends, keeps a copy of what is damaged. */
export async function loadSegments(disk: SpillDisk, index: SpillIndex): Promise<LoadedSegments> {
  const segments: Segment[] = []
  const damage: { file: string; offset: number; bytes: number }[] = []
  let tornBytes = 0
  let writable = false
  for (const segment of await listSegments(disk)) {
    const bytes = await disk.readFile(segment.name)
    segments.push(segment)
    writable = false
    if (bytes.length < SEGMENT_HEADER_BYTES) {
      tornBytes += bytes.length
      continue
    }
    const firstSeq = readHeader(bytes, segment.salt)
    const scan = scanRecords(bytes, SEGMENT_HEADER_BYTES, segment.salt)
    const bad =
      firstSeq === undefined ? [{ offset: 0, end: SEGMENT_HEADER_BYTES }, ...scan.damage] : scan.damage
    index.nextSeq = Math.max(index.nextSeq, firstSeq ?? 1)
    for (const record of scan.records) index.replay(record, segment)
    for (const { offset, end } of bad) {
      damage.push({ file: segment.name, offset, bytes: end - offset })
      await keepDamaged(disk, segment, offset, bytes.subarray(offset, end))
    }
    segment.size = scan.tornAt
    if (scan.tornAt < bytes.length) {
      tornBytes += bytes.length - scan.tornAt
      await cutOff(disk, segment)
    }
    writable = bad.length === 0
  }
  index.loaded()
  const missingSegments =
    segments.length === 0 ? 0 : segments.at(-1)!.number - segments[0]!.number + 1 - segments.length
  const counts = { parcels: index.parcels.size, letters: index.letters.size, segments: segments.length }
  const found = { ...counts, tornBytes, damage, missingSegments }
  return { segments, writable, found }
}

async function listSegments(disk: SpillDisk): Promise<Segment[]> {
  return (await disk.list())
    .flatMap((name) => {
      const match = NAME.exec(name)
      if (!match) return []
      return [
        {
          number: Number(match[1]),
          name,
          salt: Number.parseInt(match[2]!, 16),
          size: 0,
          live: 0,
          doneAt: 0,
          file: undefined,
        },
      ]
    })
    .sort((a, b) => a.number - b.number)
}

/** The number of the first message it may hold; undefined where it is no header. */
function readHeader(bytes: Buffer, salt: number): number | undefined {
  const whole =
    bytes.compare(MAGIC, 0, 8, 0, 8) === 0 &&
    bytes.readUInt32LE(8) === VERSION &&
    bytes.readUInt32LE(28) === crc32(bytes.subarray(0, 28), salt)
  return whole ? bytes.readDoubleLE(16) : undefined
}

async function cutOff(disk: SpillDisk, segment: Segment): Promise<void> {
  const file = await disk.open(segment.name)
  try {
    await file.truncate(segment.size)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Once: the name says where it comes from, and an earlier opening may have kept it. */
async function keepDamaged(disk: SpillDisk, segment: Segment, offset: number, bytes: Buffer): Promise<void> {
  try {
    const file = await disk.create(`damaged-${segment.number}-${offset}.bin`, bytes)
    await file.close()
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}
