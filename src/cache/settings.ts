import { type Duration, toMs } from '../base/duration.ts'
import { InvalidOption } from '../base/errors.ts'
import { encodeName } from '../base/key.ts'
import { refuseUnknown } from '../base/options.ts'
import type { StandardSchema } from '../base/schema.ts'
import type { CacheOptions, ValueCodec } from './options.ts'

/** `CacheOptions` with every default filled in, times in ms and tags as full names. */
export interface Settings {
  readonly ttlMs: number
  readonly staleMs: number
  /** Full names, those that the namespace implies included. */
  readonly tags: readonly string[]
  /** As the caller wrote them. */
  readonly rawTags: readonly string[] | undefined
  readonly softMs: number | false
  readonly hardMs: number
  readonly staleIfError: boolean | ((error: unknown) => boolean)
  readonly backoffMs: number
  readonly refreshAhead: number
  readonly xfetch: number
  readonly jitter: number
  readonly negativeTtlMs: number | undefined
  readonly schema: StandardSchema | undefined
  readonly migrate: ((value: unknown) => unknown) | undefined
  readonly codec: 'json' | 'v8' | 'msgpack' | ValueCodec
  readonly bigint: boolean
  readonly compress: number | false | undefined
  readonly sensitive: boolean
  readonly maxValueBytes: number
  readonly l1: boolean
  readonly signal: AbortSignal | undefined
}

const DEFAULTS = {
  ttl: '5m',
  stale: 0,
  soft: 0,
  hard: '30s',
  backoff: '1s',
  maxValueBytes: 8 * 1024 * 1024,
} as const

export const OPTION_NAMES = [
  'ttl',
  'stale',
  'tags',
  'timeout',
  'staleIfError',
  'backoff',
  'refreshAhead',
  'xfetch',
  'jitter',
  'negativeTtl',
  'schema',
  'migrate',
  'codec',
  'bigint',
  'compress',
  'sensitive',
  'maxValueBytes',
  'l1',
  'signal',
] as const satisfies readonly (keyof CacheOptions)[]

// Every CacheOptions name is listed above, or this line does not compile.
const complete: Exclude<keyof CacheOptions, (typeof OPTION_NAMES)[number]> extends never ? true : false = true
void complete

const WRITE_NAMES = [...OPTION_NAMES, 'wait', 'mark'] as const

/** `over` wins word by word where it is defined; tags add up. */
export function mergeOptions(base: CacheOptions, over: CacheOptions): CacheOptions {
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(over)) if (value !== undefined) merged[name] = value
  if (base.timeout && over.timeout)
    merged.timeout = mergeOptions(base.timeout as object, over.timeout as object)
  if (base.tags && over.tags) merged.tags = [...new Set([...base.tags, ...over.tags])]
  return merged as CacheOptions
}

/**
 * @param implied full names of the tags that every entry of the namespace carries
 * @throws InvalidOption, or InvalidKey for a bad tag
 */
export function resolveSettings(o: CacheOptions, prefix: string, implied: readonly string[]): Settings {
  refuseUnknown(o, WRITE_NAMES, 'cache options')
  if (o.timeout !== undefined) refuseUnknown(o.timeout, ['soft', 'hard'], 'timeout')
  const soft = o.timeout?.soft ?? DEFAULTS.soft
  const codec = o.codec ?? 'json'
  if (codec !== 'json' && codec !== 'v8' && codec !== 'msgpack' && !isCodec(codec)) {
    throw new InvalidOption(
      'codec is not one that is known',
      `use 'json', 'v8', 'msgpack', or an object with encode and decode`,
    )
  }
  return {
    ttlMs: toMs(o.ttl ?? DEFAULTS.ttl, 'ttl'),
    staleMs: toMs(o.stale ?? DEFAULTS.stale, 'stale'),
    tags: fullTags(o.tags, prefix, implied),
    rawTags: o.tags,
    softMs: soft === false ? false : toMs(soft, 'timeout.soft'),
    hardMs: positive(o.timeout?.hard ?? DEFAULTS.hard, 'timeout.hard'),
    staleIfError: o.staleIfError ?? true,
    backoffMs: toMs(o.backoff ?? DEFAULTS.backoff, 'backoff'),
    refreshAhead: share(o.refreshAhead, 'refreshAhead'),
    xfetch: o.xfetch === undefined ? 0 : nonNegative(o.xfetch, 'xfetch'),
    jitter: share(o.jitter, 'jitter'),
    negativeTtlMs: o.negativeTtl === undefined ? undefined : toMs(o.negativeTtl, 'negativeTtl'),
    schema: o.schema,
    migrate: o.migrate,
    codec,
    bigint: o.bigint ?? false,
    compress:
      o.compress === undefined || o.compress === false ? o.compress : nonNegative(o.compress, 'compress'),
    sensitive: o.sensitive ?? false,
    maxValueBytes: nonNegative(o.maxValueBytes ?? DEFAULTS.maxValueBytes, 'maxValueBytes'),
    l1: o.l1 ?? true,
    signal: o.signal,
  }
}

function isCodec(given: unknown): given is ValueCodec {
  if (typeof given !== 'object' || given === null) return false
  const { encode, decode } = given as Partial<ValueCodec>
  return typeof encode === 'function' && typeof decode === 'function'
}

/** Full name of a user's tag. A leading `~` is kept for the tags that namespaces imply. */
export function fullTag(tag: unknown, prefix: string): string {
  const encoded = encodeName(tag, 'tag')
  if (encoded.startsWith('~')) {
    throw new InvalidOption('a tag starts with ~', 'choose another first character, ~ marks our own tags')
  }
  return prefix + encoded
}

export function fullTags(
  tags: readonly string[] | undefined,
  prefix: string,
  implied: readonly string[],
): readonly string[] {
  if (tags === undefined) return implied
  if (!Array.isArray(tags)) throw new InvalidOption('tags is not an array', `write tags: ['products']`)
  return tags.length === 0 ? implied : [...new Set([...implied, ...tags.map((tag) => fullTag(tag, prefix))])]
}

function positive(value: Duration, name: string): number {
  const ms = toMs(value, name)
  if (ms === 0) throw new InvalidOption(`${name} is 0`, 'give a time above zero')
  return ms
}

function share(value: number | undefined, name: string): number {
  if (value === undefined) return 0
  if (typeof value === 'number' && value >= 0 && value < 1) return value
  throw new InvalidOption(`${name} is not a share`, 'give a number from 0 up to, not including, 1')
}

function nonNegative(value: number, name: string): number {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
  throw new InvalidOption(`${name} is not a number from 0 up`, 'give a finite number')
}
