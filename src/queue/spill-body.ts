import { encodeRecord, HEADER_BYTES, KINDS } from './spill-record.ts'

/** A parcel or a dead letter, as the log keeps it. What its `text` means is the business of who wrote it. */
export interface SpillItem {
  /** Position in the history of the log: never given twice, and the order of replay. */
  readonly seq: number
  readonly id: string
  readonly partition: number
  /** Messages inside. */
  readonly count: number
  /** ms since 1970. */
  readonly at: number
  /** How many times it was taken. */
  readonly deliveries: number
  readonly text: string
}

/** Small, and written anew at the head of each segment. */
export interface SpillState {
  readonly partitions: number | undefined
  readonly paused: boolean
  readonly fence: number
}

const FIXED_BYTES = 30

export function itemRecord(kind: 1 | 4, item: SpillItem, salt: number): Buffer {
  const idBytes = Buffer.byteLength(item.id)
  const body = Buffer.allocUnsafe(FIXED_BYTES + idBytes + Buffer.byteLength(item.text))
  body.writeDoubleLE(item.seq, 0)
  body.writeDoubleLE(item.at, 8)
  body.writeUInt32LE(item.partition, 16)
  body.writeUInt32LE(item.count, 20)
  body.writeUInt32LE(Math.min(item.deliveries, 0xffffffff), 24)
  body.writeUInt16LE(idBytes, 28)
  body.write(item.id, FIXED_BYTES)
  body.write(item.text, FIXED_BYTES + idBytes)
  return encodeRecord(kind, body, salt)
}

/** Bytes of its record. */
export const itemBytes = ({ id, text }: Pick<SpillItem, 'id' | 'text'>): number =>
  HEADER_BYTES + FIXED_BYTES + Buffer.byteLength(id) + Buffer.byteLength(text)

export function readItem(body: Buffer): SpillItem {
  const idEnd = FIXED_BYTES + body.readUInt16LE(28)
  return {
    seq: body.readDoubleLE(0),
    at: body.readDoubleLE(8),
    partition: body.readUInt32LE(16),
    count: body.readUInt32LE(20),
    deliveries: body.readUInt32LE(24),
    id: body.toString('utf8', FIXED_BYTES, idEnd),
    text: body.toString('utf8', idEnd),
  }
}

/** Sequence numbers as pairs: first and last of each run. */
export function marksRecord(kind: 2 | 3, seqs: readonly number[], salt: number): Buffer {
  const runs: number[] = []
  for (const seq of [...seqs].sort((a, b) => a - b)) {
    if (seq === runs.at(-1)! + 1) runs[runs.length - 1] = seq
    else runs.push(seq, seq)
  }
  const body = Buffer.allocUnsafe(runs.length * 8)
  runs.forEach((bound, index) => {
    body.writeDoubleLE(bound, index * 8)
  })
  return encodeRecord(kind, body, salt)
}

export function* readMarks(body: Buffer): Generator<number> {
  for (let at = 0; at + 16 <= body.length; at += 16) {
    const last = body.readDoubleLE(at + 8)
    for (let seq = body.readDoubleLE(at); seq <= last; seq++) yield seq
  }
}

export const noteRecord = (seq: number, note: string, salt: number): Buffer =>
  jsonRecord(KINDS.note, [seq, note], salt)

export const doneRecord = (at: number, ids: readonly string[], salt: number): Buffer =>
  jsonRecord(KINDS.done, [at, ids], salt)

export const stateRecord = (state: SpillState, salt: number): Buffer => jsonRecord(KINDS.state, state, salt)

// The casts below: the checksum held, so these are the bytes that the functions above wrote.
export const readNote = (body: Buffer) => JSON.parse(body.toString('utf8')) as [seq: number, note: string]
export const readDone = (body: Buffer) => JSON.parse(body.toString('utf8')) as [at: number, ids: string[]]
export const readState = (body: Buffer) => JSON.parse(body.toString('utf8')) as SpillState

function jsonRecord(kind: 5 | 6 | 7, value: unknown, salt: number): Buffer {
  return encodeRecord(kind, Buffer.from(JSON.stringify(value)), salt)
}
