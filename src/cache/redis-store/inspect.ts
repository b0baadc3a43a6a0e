import type { Body, StoreInspection } from '../store.ts'
import type { Bucket } from './bucket.ts'
import { judgeTags, parseWord } from './reader.ts'
import type { StoreTime } from './store-time.ts'
import { parseHeader, toEntry } from './wire.ts'

/** What stands in Redis for a key, and if it would not be served, why. */
export async function inspectKey(
  bucket: Bucket,
  key: string,
  time: StoreTime,
  deadline: number,
): Promise<StoreInspection> {
  const { layout, node } = bucket
  const { incarnation } = node
  const options = { deadline, as: 'bytes' } as const
  const redisKey = layout.entry(key)
  const [rawWord, raw, lease] = (await node.send(
    ['MGET', layout.word, redisKey, layout.lease(key)],
    options,
  )) as (Buffer | null)[]
  const base = { redisKey, bucket: layout.bucket, leased: lease !== null }
  const header = raw ? parseHeader(raw) : undefined
  if (!raw || !header) {
    return { ...base, tier: 'none', entry: undefined, invalid: raw ? 'format' : undefined }
  }
  const versions = new Map<string, Body | null>()
  if (header.tags.length > 0) {
    const reply = await node.send(['MGET', ...header.tags.map((tag) => layout.tag(tag))], options)
    for (const [i, tag] of header.tags.entries()) versions.set(tag, (reply as (Buffer | null)[])[i]!)
  }
  const tags = judgeTags(header, (tag) => versions.get(tag))
  const shift = time.shift(node)
  const word = rawWord ? parseWord(rawWord.toString('latin1')) : undefined
  let invalid: string | undefined
  if (word?.incarnation !== incarnation) invalid = 'incarnation'
  else if (word.epoch !== header.epoch) invalid = 'epoch'
  else if (tags === 'invalid') invalid = 'tag'
  else if (header.stale + shift <= time.now()) invalid = 'expired'
  const tagVersions = new Map(header.tags.map((tag) => [tag, places(versions.get(tag))]))
  const entry = toEntry(key, raw, header, shift, tags === 'soft')
  return { ...base, tier: 'redis', entry, invalid, version: String(header.seq), tagVersions }
}

/** `hard:soft` of `epoch:hard:soft`. */
function places(version: Body | null | undefined): string | undefined {
  const text = version?.toString()
  return text?.slice(text.indexOf(':') + 1)
}
