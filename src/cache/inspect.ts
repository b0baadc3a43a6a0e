import { decodeName } from '../base/key.ts'
import type { Scope } from './core.ts'
import { BAD, open } from './entry.ts'
import type { Settings } from './settings.ts'

/** What is known of one key, and why it is served or not. */
export interface Inspection {
  readonly key: string
  /** How the store names it. */
  readonly name: string
  readonly namespace: string
  readonly state: 'fresh' | 'stale' | 'invalid' | 'absent'
  /** Why an entry that is there is not served; undefined when it is, or when there is none. */
  readonly reason: string | undefined
  readonly tier: 'memory' | 'l1' | 'redis' | 'none'
  readonly tags: readonly string[]
  readonly ageMs: number | undefined
  /** How long it stays fresh; 0 when it is not. */
  readonly ttlMs: number
  /** How long it can still be served stale, `ttlMs` included. */
  readonly staleMs: number
  readonly bytes: number
  readonly flags: string
  readonly etag: string | undefined
  readonly loadMs: number | undefined
  /** A load of it runs in this process; in any process. */
  readonly loading: boolean
  readonly leased: boolean
  /** Reloads rest after a failure; stale values answer. */
  readonly heldOff: boolean
  readonly redisKey: string | undefined
  readonly bucket: number
  /** Place of the entry in the history of invalidations. */
  readonly version: string | undefined
  /** By tag, `hard:soft`: the places of its last invalidations. */
  readonly tagVersions: Readonly<Record<string, string | undefined>>
  /** With `{ value: true }`, of an entry that is there and can be read. */
  readonly value: unknown
}

export interface InspectOptions {
  /** Whether to read the value too; neither a hit nor a miss. @default false */
  value?: boolean | undefined
}

export async function inspectKey(
  scope: Scope,
  key: string,
  name: string,
  settings: Settings,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { core } = scope
  const found = await core.store.inspect(name)
  const { entry, invalid } = found
  const now = core.store.serverNow()
  const state =
    entry === undefined
      ? 'absent'
      : invalid !== undefined
        ? 'invalid'
        : entry.freshUntil > now
          ? 'fresh'
          : 'stale'
  const value = options.value && entry ? await open(scope, entry, settings) : undefined
  const isOwn = (tag: string): boolean => !tag.startsWith('~')
  const shown = (tag: string): string => decodeName(tag.slice(scope.prefix.length))
  const versions = [...(found.tagVersions ?? [])].filter(([tag]) => isOwn(tag))
  return {
    key,
    name,
    namespace: scope.path,
    state,
    reason: invalid,
    tier: found.tier,
    tags: (entry?.tags ?? []).filter(isOwn).map(shown),
    ageMs: entry && Math.max(0, now - entry.storedAt),
    ttlMs: entry ? Math.max(0, entry.freshUntil - now) : 0,
    staleMs: entry ? Math.max(0, entry.staleUntil - now) : 0,
    bytes: entry?.size ?? 0,
    flags: entry?.flags ?? '',
    etag: entry?.etag,
    loadMs: entry?.loadMs,
    loading: core.flights.has(name),
    leased: found.leased,
    heldOff: core.isHeldOff(name),
    redisKey: found.redisKey,
    bucket: found.bucket,
    version: found.version,
    tagVersions: Object.fromEntries(versions.map(([tag, version]) => [shown(tag), version])),
    value: value === BAD ? undefined : value,
  }
}
