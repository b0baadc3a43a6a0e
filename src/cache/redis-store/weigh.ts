import type { EntryWeight } from '../store.ts'
import type { Bucket } from './bucket.ts'
import type { StoreTime } from './store-time.ts'
import { parseHeader } from './wire.ts'

/** Nearly every header is shorter; the rest is read whole. */
const HEAD_BYTES = 512

/** Reads the header of an entry, not its body. The two commands travel together. */
export async function weighKey(
  bucket: Bucket,
  key: string,
  time: StoreTime,
  deadline: number,
): Promise<EntryWeight | undefined> {
  const { layout, node } = bucket
  const name = layout.entry(key)
  const options = { deadline, as: 'bytes' } as const
  const [length, head] = await Promise.all([
    node.send(['STRLEN', name], options),
    node.send(['GETRANGE', name, '0', String(HEAD_BYTES - 1)], options),
  ])
  if (!Buffer.isBuffer(head) || head.length === 0) return undefined
  const isCut = !head.includes(10) && Number(length) > HEAD_BYTES
  const raw = isCut ? await node.send(['GET', name], options) : head
  const header = Buffer.isBuffer(raw) ? parseHeader(raw) : undefined
  if (!header) return undefined
  const now = time.now() - time.shift(node)
  return {
    bytes: key.length + Number(length),
    freshMs: Math.max(0, header.fresh - now),
    staleMs: Math.max(0, header.stale - now),
    tags: header.tags,
  }
}
