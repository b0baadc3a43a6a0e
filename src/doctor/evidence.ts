import type { CacheStats } from '../cache/stats.ts'
import type { QueueStats } from '../queue/options.ts'
import type { ServerInfo } from '../redis/info.ts'
import type { Vendor } from './vendor.ts'

export type Role = 'cache' | 'data'
export type Info = ServerInfo

/** Where a server is, as far as its address tells. */
export type Reach = 'loopback' | 'private' | 'public'

/** Whom a server lets in. */
export type Door = 'user' | 'password' | 'anybody'

/** Everything the checks judge: gathered first, so that judging is pure and can be tested alone. */
export interface Evidence {
  readonly driver: 'embedded' | 'redis'
  readonly servers: readonly ServerEvidence[]
  readonly troubles: readonly Trouble[]
  /** Own keys, looked at by SCAN; undefined where there was nothing to scan. */
  readonly sample: KeySample | undefined
  /** Look-ups of this process by namespace, '' for those outside any. */
  readonly namespaces: Readonly<Record<string, CacheStats>>
  readonly queues: readonly QueueStats[]
  /** Processes that run this application, as far as anybody said. */
  readonly processes: number
  readonly nodeVersion: string
  /** Contradictions of the environment that were decided. */
  readonly warnings: readonly string[]
  /** Why the configuration cannot work at all. */
  readonly refused: { readonly what: string; readonly mend: string } | undefined
  /** Where the admin listens, and whether it asks who is there. */
  readonly admin: { readonly host: string; readonly authenticated: boolean } | undefined
  /** What the last examination wrote down. */
  readonly last: Snapshot | undefined
  /** Names of cache namespaces whose values are public, although they look like secrets. */
  readonly publicNamespaces: readonly string[]
  readonly writeTest: WriteTest | undefined
  /** Wall clock, ms since 1970. */
  readonly now: number
}

export interface ServerEvidence {
  readonly address: string
  /** The roles that it plays; both where there is one server. */
  readonly roles: readonly Role[]
  readonly topology: string
  readonly vendor: Vendor | undefined
  readonly reach: Reach
  /** Undefined: nobody can tell. */
  readonly tls: boolean | undefined
  readonly door: Door | undefined
  readonly db: number | undefined
  readonly info: Info
  /** Round trips one after another, ms; empty when none came back. */
  readonly pings: readonly number[]
  /** Waits of many calls of one moment, ms. */
  readonly burst: readonly number[]
  /** Its clock minus ours, ms. */
  readonly skewMs: number | undefined
  readonly slow: readonly SlowEntry[] | undefined
  /** Commands that a user of it needs and did not get: the word of the server by command. */
  readonly denied: Readonly<Record<string, string>>
  /** MISCONF, OOM, READONLY …: why it refuses writes now. */
  readonly refusesWrites: string | undefined
  readonly config: { readonly bind?: string; readonly save?: string } | undefined
  /** From publishing to hearing it, ms; `lost`; undefined where that was not tried. */
  readonly echo: number | 'lost' | undefined
}

export interface SlowEntry {
  /** Wall clock of the server, s since 1970. */
  readonly at: number
  readonly microseconds: number
  readonly command: string
}

/** Why a role could not be reached, and which check that answers. */
export interface Trouble {
  readonly role: Role
  readonly check: 'D1' | 'D2' | 'D3' | 'D5' | 'D14' | 'D15' | 'D19'
  readonly detail: string
  readonly cause: string
  readonly mend: string
}

export interface KeySample {
  /** Own keys that were looked at. */
  readonly own: number
  /** Whether that were all there are. */
  readonly complete: boolean
  /** Kinds of keys that must end and have no TTL, with how many. */
  readonly endless: Readonly<Record<string, number>>
  /** Largest value and largest collection, names redacted. */
  readonly biggest: { readonly key: string; readonly bytes: number } | undefined
  readonly longest: { readonly key: string; readonly items: number } | undefined
  /** Kinds of secrets in key names, with how many. */
  readonly secretNames: Readonly<Record<string, number>>
  /** Namespaces with plain values whose field names are those of secrets: an example field of each. */
  readonly plainSecrets: Readonly<Record<string, string>>
  /** First word of the entries, with how many. */
  readonly formats: Readonly<Record<string, number>>
}

export interface Snapshot {
  readonly at: number
  readonly servers: Readonly<Record<string, ServerCounts>>
}

export interface ServerCounts {
  /** Of the start that the counts belong to. */
  readonly runId: string
  readonly evicted: number
  /** Calls of KEYS and MONITOR. */
  readonly dangerous: number
  readonly keys: number
}

export interface WriteTest {
  readonly steps: readonly {
    readonly name: string
    readonly ok: boolean
    readonly why?: string | undefined
  }[]
}

export const numberOf = (info: Info, field: string): number | undefined => {
  const text = info[field]
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  return Number.isFinite(value) ? value : undefined
}

/** Keys of all databases, from `dbN:keys=…`. */
export function keyCount(info: Info): number {
  return Object.entries(info).reduce(
    (sum, [name, text]) => (/^db\d+$/.test(name) ? sum + (Number(/keys=(\d+)/.exec(text)?.[1]) || 0) : sum),
    0,
  )
}

export function callsOf(info: Info, command: string): number {
  return Number(/calls=(\d+)/.exec(info[`cmdstat_${command}`] ?? '')?.[1]) || 0
}

export const dangerousCalls = (info: Info): number => callsOf(info, 'keys') + callsOf(info, 'monitor')
