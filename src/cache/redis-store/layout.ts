import { createHash } from 'node:crypto'

/**
 * Key names of the cache in Redis. All keys of a bucket share the hash tag `{<ns>:<b>}`, so an
 * entry, its lease and its tag versions live in one slot and one script can read them together.
 *
 *   w        `epoch:seq:incarnation:floor`   the word: one per bucket, no TTL, about 80 bytes
 *   m        hash  b = born, <process> = last heartbeat (server ms)
 *   e:<key>  one header line, then the body (wire.ts)
 *   l:<key>  `token:epoch:seq`                the lease of a running load
 *   t:<tag>  `epoch:hard:soft`                seq of the tag's last hard and soft invalidation
 *   f:k:<key>, f:t:<tag>                      hash of fences (mutate) with their ends
 */
export interface Layout {
  readonly bucket: number
  readonly word: string
  readonly members: string
  /** Invalidation messages of this bucket. */
  readonly channel: string
  ack(processId: string): string
  entry(key: string): string
  lease(key: string): string
  tag(tag: string): string
  fenceOfKey(key: string): string
  fenceOfTag(tag: string): string
  /** The cache key of a Redis key of this bucket, or undefined when it is none. */
  keyOf(redisKey: string): string | undefined
  /** The tag of a Redis key of this bucket, or undefined when it is none. */
  tagOf(redisKey: string): string | undefined
}

export function createLayout(namespace: string, bucket: number): Layout {
  const prefix = `hf:{${encodeNamespace(namespace)}:${bucket}}:`
  const entries = `${prefix}e:`
  const tags = `${prefix}t:`
  return {
    bucket,
    word: `${prefix}w`,
    members: `${prefix}m`,
    channel: `${prefix}inv`,
    ack: (processId) => `${prefix}ack:${processId}`,
    entry: (key) => entries + key,
    lease: (key) => `${prefix}l:${key}`,
    tag: (tag) => `${prefix}t:${wireTag(tag)}`,
    fenceOfKey: (key) => `${prefix}f:k:${key}`,
    fenceOfTag: (tag) => `${prefix}f:t:${wireTag(tag)}`,
    tagOf: (redisKey) => (redisKey.startsWith(tags) ? tagFromWire(redisKey.slice(tags.length)) : undefined),
    keyOf: (redisKey) => (redisKey.startsWith(entries) ? redisKey.slice(entries.length) : undefined),
  }
}

/** Glob over the entry keys of every bucket of a namespace. */
export function matchEverywhere(namespace: string, glob: string): string {
  return `hf:{${encodeNamespace(namespace)}:*}:e:${glob}`
}

/** Glob over the tag versions of every bucket of a namespace. */
export function matchTags(namespace: string, glob: string): string {
  return `hf:{${encodeNamespace(namespace)}:*}:t:${wireTag(glob)}`
}

/** Namespaces may hold anything; braces, colons and glob characters must not reach a key name. */
function encodeNamespace(namespace: string): string {
  return namespace.replace(/[^\w.~-]/gu, (char) => encodeURIComponent(char).replace('*', '%2A'))
}

/** Tags stand in a comma-separated header field; everything else is encoded before it gets here. */
export function wireTag(tag: string): string {
  return tag.includes(' ') || tag.includes(',') ? tag.replaceAll(' ', '%20').replaceAll(',', '%2C') : tag
}

export function tagFromWire(wire: string): string {
  return wire.includes('%2') ? wire.replaceAll('%20', ' ').replaceAll('%2C', ',') : wire
}

/** Which bucket a key lives in: stable over processes and releases. */
export function bucketOf(key: string, buckets: number): number {
  if (buckets === 1) return 0
  return createHash('md5').update(key).digest().readUInt32LE(0) % buckets
}
