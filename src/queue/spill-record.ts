import { crc32 } from 'node:zlib'

/**
 * The bytes of a spill file. A record is a header of 16 bytes and a body:
 *
 *     0  'HF'      2  kind      3  0      4  length of the body      8  CRC-32 of the body
 *    12  CRC-32 of bytes 0 to 11
 *
 * The header has a checksum of its own, so that a record which was cut off (its header is whole,
 * its body is not) is told from one whose length rotted. Both checksums start from the salt of the
 * segment: bytes that a user put into a message can never pass for a record.
 */
export const HEADER_BYTES = 16
const MARKER = Buffer.from('HF')

/**
 * What a record says. `parcel`: it was accepted. `taken`: these are about to be handled. `settled`:
 * there is nothing left to do for these. `letter`: a message that was given up. `note`: a few words
 * about a parcel. `done`: message ids that were handled, for the dedupe window. `state`: what the
 * queue remembers of itself, the newest counts.
 */
export const KINDS = { parcel: 1, taken: 2, settled: 3, letter: 4, note: 5, done: 6, state: 7 } as const
export type RecordKind = (typeof KINDS)[keyof typeof KINDS]

export interface SpillRecord {
  readonly kind: RecordKind
  readonly body: Buffer
  /** Where it begins in the file. */
  readonly offset: number
  readonly end: number
}

/** A stretch of a file in which no record is whole. */
export interface Damage {
  readonly offset: number
  readonly end: number
}

export interface Scan {
  readonly records: readonly SpillRecord[]
  /** Bytes that were written once and changed since: a message may have been in them. */
  readonly damage: readonly Damage[]
  /** Where a write that never ended begins; the length of the file where there is none. */
  readonly tornAt: number
}

export function encodeRecord(kind: RecordKind, body: Buffer, salt: number): Buffer {
  const record = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  MARKER.copy(record, 0)
  record.writeUInt8(kind, 2)
  record.writeUInt8(0, 3)
  record.writeUInt32LE(body.length, 4)
  record.writeUInt32LE(crc32(body, salt), 8)
  record.writeUInt32LE(crc32(record.subarray(0, 12), salt), 12)
  body.copy(record, HEADER_BYTES)
  return record
}

/**
 * All records of a file from `from` on. Bytes that are no record are passed over up to the next
 * one that is whole, and reported; only what ends the file can be a torn write.
 */
export function scanRecords(bytes: Buffer, from: number, salt: number): Scan {
  const records: SpillRecord[] = []
  const damage: Damage[] = []
  let offset = from
  while (offset < bytes.length) {
    const record = recordAt(bytes, offset, salt)
    if (record) {
      records.push(record)
      offset = record.end
      continue
    }
    const next = nextRecord(bytes, offset + 1, salt)
    if (next < 0 && isTorn(bytes, offset, salt)) return { records, damage, tornAt: offset }
    const end = next < 0 ? bytes.length : next
    damage.push({ offset, end })
    offset = end
  }
  return { records, damage, tornAt: bytes.length }
}

/** The whole record that begins at `offset`, if there is one. */
export function recordAt(bytes: Buffer, offset: number, salt: number): SpillRecord | undefined {
  if (!hasHeader(bytes, offset, salt)) return undefined
  const kind = kindOf(bytes.readUInt8(offset + 2))
  const start = offset + HEADER_BYTES
  const end = start + bytes.readUInt32LE(offset + 4)
  if (kind === undefined || end > bytes.length) return undefined
  const body = bytes.subarray(start, end)
  return crc32(body, salt) === bytes.readUInt32LE(offset + 8) ? { kind, body, offset, end } : undefined
}

function hasHeader(bytes: Buffer, offset: number, salt: number): boolean {
  if (offset + HEADER_BYTES > bytes.length || bytes.compare(MARKER, 0, 2, offset, offset + 2) !== 0)
    return false
  return crc32(bytes.subarray(offset, offset + 12), salt) === bytes.readUInt32LE(offset + 12)
}

function nextRecord(bytes: Buffer, from: number, salt: number): number {
  let offset = bytes.indexOf(MARKER, from)
  while (offset >= 0 && !recordAt(bytes, offset, salt)) offset = bytes.indexOf(MARKER, offset + 1)
  return offset
}

/** True for what a write leaves that was cut off: part of a header, a header without its body, zeros. */
function isTorn(bytes: Buffer, offset: number, salt: number): boolean {
  if (bytes.length - offset < HEADER_BYTES) return true
  if (hasHeader(bytes, offset, salt)) {
    return offset + HEADER_BYTES + bytes.readUInt32LE(offset + 4) > bytes.length
  }
  // The length of a file can reach the disk before its content.
  return bytes.subarray(offset).every((byte) => byte === 0)
}

function kindOf(byte: number): RecordKind | undefined {
  return Object.values(KINDS).find((kind) => kind === byte)
}
