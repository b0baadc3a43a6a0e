/**
 * The port between what a session means to an application (diffs, conflicts, ids, schema: above)
 * and the place where it lives (below): process memory or Redis. Both adapters pass one contract
 * suite. Field texts here are opaque: encoded, perhaps encrypted.
 */
import type { Clock } from '../base/clock.ts'
import type { NameBatch } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'

/** Where one session lives. The id itself never gets here: `member` is its SHA-256. */
export interface Place {
  readonly key: string
  readonly member: string
}

export interface Lives {
  /** Ends this long after the last use. */
  readonly idleMs: number
  /** Ends this long after it was created or last logged in, whatever the use. */
  readonly absoluteMs: number
}

/** A user's entry in a session: its index key, and the user id as it is stored. */
export interface Owner {
  readonly index: string
  readonly user: string
}

export interface NewSession extends Lives {
  readonly fields: ReadonlyMap<string, string>
  readonly owner: Owner | undefined
  /** What is shown in lists: device, address. Text as stored, '' = nothing. */
  readonly note: string
  /** The user's epoch as it was before the login was checked; '' = do not compare. */
  readonly mark: string
}

/** A session as it is stored. Times in server ms. */
export interface Stored extends Timing {
  readonly fields: ReadonlyMap<string, string>
  readonly owner: Owner | undefined
  readonly note: string
  readonly idleMs: number
  readonly createdAt: number
  /** The absolute end. */
  readonly endsAt: number
  /** Bytes of field names and texts. */
  readonly bytes: number
}

export interface Timing {
  /** Rises with each write. */
  readonly version: number
  /** Server time of the answer. */
  readonly now: number
  /** When it ends unless it is used. */
  readonly expiresAt: number
}

export interface Change {
  readonly name: string
  /** `undefined` removes the field. */
  readonly text: string | undefined
  /**
   * What the field must hold for the change to be made: `undefined` = anything, `null` = nothing,
   * else this very text.
   */
  readonly expected?: string | null | undefined
}

export type Gone = { readonly state: 'gone' }
/** The id was replaced; `to` is the new one, sealed so that only the old id opens it. */
export type Moved = { readonly state: 'moved'; readonly to: string }

export type CreateReply =
  | ({ readonly state: 'created'; readonly endsAt: number } & Timing)
  /** The id is taken. */
  | { readonly state: 'exists' }
  /** The user's epoch is not the mark. */
  | { readonly state: 'revoked' }

export type LoadReply = { readonly state: 'found'; readonly stored: Stored } | Moved | Gone

export type SaveReply =
  | ({ readonly state: 'saved' } & Timing)
  /** Nothing was written: these fields hold something else (undefined = nothing). */
  | { readonly state: 'conflict'; readonly fields: ReadonlyMap<string, string | undefined> }
  | { readonly state: 'too-large'; readonly bytes: number; readonly fields: number }
  | Moved
  | Gone

export interface Move {
  readonly from: Place
  readonly to: Place
  /** The new id, sealed with the old one; '' = the old id is dead at once. */
  readonly alias: string
  readonly graceMs: number
  /** Only if nobody wrote since: for texts that had to be encrypted anew for the new id. */
  readonly ifVersion: number | undefined
  readonly fields: ReadonlyMap<string, string>
  readonly note: string | undefined
  /** A login: new owner, new absolute life. `undefined` keeps both. */
  readonly login: { readonly owner: Owner; readonly absoluteMs: number; readonly mark: string } | undefined
  /** The owner that stays, where its text had to be encrypted anew. */
  readonly owner: Owner | undefined
}

export type MoveReply =
  | ({ readonly state: 'moved-now'; readonly endsAt: number } & Timing)
  | { readonly state: 'retry' }
  | { readonly state: 'revoked' }
  /** Old and new id live on different cluster nodes: take and create instead. */
  | { readonly state: 'apart' }
  | Moved
  | Gone

export interface Listed {
  readonly place: Place
  readonly createdAt: number
  readonly endsAt: number
  readonly expiresAt: number
  readonly idleMs: number
  readonly note: string
}

export interface SessionStore {
  readonly shared: boolean
  readonly clock: Clock
  readonly random: Random
  create(place: Place, session: NewSession): Promise<CreateReply>
  /** One look; extends the idle life when at least `touchEveryMs` would be gained. -1 = never. */
  load(place: Place, touchEveryMs: number): Promise<LoadReply>
  save(place: Place, changes: readonly Change[], bounds: SaveBounds): Promise<SaveReply>
  /** Ends it and hands out what it held. */
  destroy(place: Place): Promise<{ state: 'destroyed'; stored: Stored } | Moved | Gone>
  move(move: Move): Promise<MoveReply>
  /** Gives a session that keeps its id another user, or none. */
  assign(place: Place, owner: Owner | undefined, endsAt: number): Promise<'assigned' | 'gone'>
  /** Changes how long it may be idle. */
  retime(place: Place, idleMs: number): Promise<boolean>
  /** Live sessions of a user, oldest first. */
  list(index: string): Promise<Listed[]>
  /** Ends sessions of a user: all, all but one, or one. Returns how many. */
  revoke(index: string, which: Sparing): Promise<number>
  /** The user's epoch: changes with each `revoke` of all. Created where there is none. */
  mark(index: string): Promise<string>
  close(): Promise<void>
}

export interface Sparing {
  readonly except?: string | undefined
  readonly only?: string | undefined
}

export interface SaveBounds {
  readonly maxBytes: number
  readonly maxFields: number
}

/** How long a mark is good for, in ms: the longest that a login may take to be checked. */
export const MARK_MS = 3_600_000

/** What a list tells of a session: no text of any field. Times in server ms. */
export interface SessionLook {
  readonly owner: Owner | undefined
  readonly createdAt: number
  readonly lastSeenAt: number
  readonly expiresAt: number
  /** Names. */
  readonly fields: readonly string[]
}

/** A store that can be looked over. */
export interface ListableSessionStore extends SessionStore {
  /** Keys of sessions, by glob over keys. */
  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch>
  look(place: Place): Promise<SessionLook | undefined>
}
