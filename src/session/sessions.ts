import type { Duration } from '../base/duration.ts'
import { InvalidValue, RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { SessionRevoked } from './errors.ts'
import type { Known } from './fields.ts'
import { isPlausibleId, openSuccessor } from './ids.ts'
import { listSessions, type SessionListOptions, type SessionPage } from './listing.ts'
import { life, type SessionsOptions } from './options.ts'
import { type SessionCounters, SessionRecords } from './records.ts'
import { type RegenerateOptions, regenerate } from './regenerate.ts'
import { patch, save } from './save.ts'
import { Session, type SessionInfo, stateOf } from './session.ts'
import { sizeOf } from './size.ts'
import type { LoadReply, Place, SessionStore } from './store.ts'

/** Whose session it is, and what a list of sessions shows of it. */
export interface CreateSessionOptions {
  /** Whose session it is: makes it listable and revocable. */
  user?: string | undefined
  /** Shown by `listByUser`, at most 1 KiB. */
  info?: SessionInfo | undefined
  /** From `mark(user)`, taken before the credentials were checked: refuses if all were revoked since. */
  mark?: string | undefined
  /** Instead of the instance's: "remember me". */
  idle?: Duration | undefined
  /** Instead of the instance's. */
  absolute?: Duration | undefined
}

/** One line of `listByUser`. Times in server ms. */
export interface ListedSession {
  /** Names the session without being its secret: for `revokeUser(user, { only })`. */
  readonly ref: string
  readonly createdAt: number
  /** When it was last used, as exact as `touchEvery`. */
  readonly lastSeenAt: number
  readonly expiresAt: number
  readonly info: SessionInfo
}

/** Fields to set; `undefined` removes. */
export type SessionPatch<T> = { [K in keyof T]?: T[K] | undefined }

/** The new id of a regenerate may itself have been regenerated; a longer chain is no honest one. */
const MAX_HOPS = 4

/** The sessions of one kind. Made by `createSessions`. */
export class Sessions<T extends object = Record<string, unknown>> {
  readonly #records: SessionRecords<T>

  constructor(options: SessionsOptions = {}) {
    this.#records = new SessionRecords(options)
  }

  get store(): SessionStore {
    return this.#records.store
  }

  /** How long a session lives at most, in ms. */
  get absoluteMs(): number {
    return this.#records.settings.absoluteMs
  }

  /**
   * Starts a session under a new id. One round trip.
   * @throws InvalidValue when the data is too large, is no data, or does not match the schema
   * @throws SessionRevoked when `mark` is given and all sessions of the user were revoked since
   * @throws RedisUnavailable, RedisTimeout
   */
  async create(data: T, options: CreateSessionOptions = {}): Promise<Session<T>> {
    return this.createAs(this.#records.ids.make({ user: options.user }), data, options)
  }

  /** Like `create`, under an id that a framework made. @throws InvalidValue when it is taken, too */
  async createAs(id: string, data: T, options: CreateSessionOptions = {}): Promise<Session<T>> {
    const records = this.#records
    const { codec, settings } = records
    if (!isPlausibleId(id)) {
      throw new InvalidValue('the session id is too short, too long or has spaces', 'give 16 to 256 of ASCII')
    }
    if (typeof data !== 'object' || data === null || Array.isArray(data)) {
      throw new InvalidValue('session data is not an object', 'give an object; each key is stored by itself')
    }
    await codec.check(data)
    const place = records.ids.place(id)
    const known = new Map<string, Known>()
    const texts = new Map<string, string>()
    for (const [name, json] of codec.write(data)) {
      const text = codec.seal(json, place.member, `.${name}`)
      known.set(name, { json, text })
      texts.set(name, text)
    }
    const bytes = sizeOf(texts)
    records.refuseLarge(bytes, texts.size)
    const { user, info = {}, mark = '', idle, absolute } = options
    const idleMs = idle === undefined ? settings.idleMs : life(idle, 'idle')
    const reply = await records.store.create(place, {
      fields: texts,
      owner: records.owner(user, place.member),
      note: records.note(info, place.member),
      mark,
      idleMs,
      absoluteMs: absolute === undefined ? settings.absoluteMs : life(absolute, 'absolute'),
    })
    if (reply.state === 'revoked') throw new SessionRevoked()
    if (reply.state === 'exists') {
      throw new InvalidValue('a session with this id exists already', 'let create() make the id')
    }
    records.counts.created++
    const { version, now, expiresAt, endsAt } = reply
    const times = { createdAt: now, endsAt, expiresAt, now }
    return new Session<T>(data, {
      id,
      place,
      known,
      user,
      info,
      version,
      bytes,
      idleMs,
      ...times,
      readOnly: false,
    })
  }

  /**
   * The session of an id, `undefined` when there is none (any more). One round trip of reads, and once
   * in `touchEvery` a second one that extends its life. An id that was replaced a moment ago leads to the new one:
   * set the cookie anew when `session.id` differs from it.
   * @throws RedisUnavailable, RedisTimeout unless `onUnavailable: 'readonly'` finds a local copy
   */
  async load(id: string | undefined, options: { touch?: boolean } = {}): Promise<Session<T> | undefined> {
    const { counts, ids } = this.#records
    let current = id
    for (let hop = 0; hop < MAX_HOPS && isPlausibleId(current); hop++) {
      const place = ids.place(current)
      const reply = await this.#look(place, options.touch ?? true)
      if (reply.state === 'gone') break
      if (reply.state === 'found') {
        const session = await this.#records.revive(current, place, reply.stored, reply.copy === true)
        if (!session) break
        counts.loaded++
        return session
      }
      current = openSuccessor(reply.to, current)
    }
    counts.missed++
    return undefined
  }

  /**
   * Stores what changed: the fields that differ from what was loaded, or for an id the given patch.
   * One round trip (two for an id under a schema); none when nothing differs. False: the session is gone and nothing was written.
   * @throws InvalidValue when it would be too large, is no data, or does not match the schema
   * @throws SessionConflict under `conflict: 'reject'`
   * @throws SessionReadOnly for a local copy
   * @throws RedisUnavailable, RedisTimeout
   */
  async update(target: Session<T> | string, fields?: SessionPatch<T>): Promise<boolean> {
    if (typeof target === 'string') {
      if (!isPlausibleId(target)) return false
      if (!this.#records.codec.checks) return patch(this.#records, target, fields ?? {})
      // A schema speaks of the whole: it has to be there.
      const session = await this.load(target)
      return session !== undefined && this.update(session, fields)
    }
    if (fields) Object.assign(target.data, fields)
    return save(this.#records, target)
  }

  /** Ends a session. False: there was none. One round trip. */
  async destroy(target: Session<T> | string): Promise<boolean> {
    const { store, ids, copies } = this.#records
    let id = typeof target === 'string' ? target : target.id
    for (let hop = 0; hop < MAX_HOPS && isPlausibleId(id); hop++) {
      const place = ids.place(id)
      copies?.drop(place.key)
      const reply = await store.destroy(place)
      if (reply.state !== 'moved') return reply.state === 'destroyed'
      id = openSuccessor(reply.to, id) ?? ''
    }
    return false
  }

  /**
   * Gives the session a new id, after a login (with `user`) or from time to time. Saves what changed
   * first. False: the session is gone. Without a login, requests that still carry the old id reach
   * the new one for `grace`, and of several that regenerate at once all end on the same new id.
   * After a login the old id is dead at once: who planted it must not share the login.
   * @throws SessionRevoked, and what `update` throws
   */
  regenerate(session: Session<T>, options: RegenerateOptions = {}): Promise<boolean> {
    return regenerate(this.#records, session, options)
  }

  /**
   * Gives a session that keeps its id a user, another user, or none: for frameworks that log in
   * without a new id. Prefer `regenerate`. False: the session is gone.
   */
  async assign(session: Session<T>, user: string | undefined): Promise<boolean> {
    const { store } = this.#records
    const state = stateOf(session)
    const owner = this.#records.owner(user, state.place.member)
    const reply = await store.assign(state.place, owner, state.endsAt)
    if (reply === 'assigned') state.user = user
    return reply === 'assigned'
  }

  /** Gives a session another idle life. False: it is gone. */
  async retime(session: Session<T>, idle: Duration): Promise<boolean> {
    const state = stateOf(session)
    const idleMs = life(idle, 'idle')
    const done = await this.#records.store.retime(state.place, idleMs)
    if (done) state.idleMs = idleMs
    return done
  }

  /**
   * Live sessions, of everybody or of one user, without what they hold; bounded in number and time.
   * @throws InvalidOption, InvalidKey, RedisUnavailable, RedisTimeout
   */
  list(options: SessionListOptions = {}): Promise<SessionPage> {
    return listSessions(this.#records, options)
  }

  /** Ends one session by the `ref` of `list()`. False: there was none. @throws InvalidKey */
  async revoke(ref: string): Promise<boolean> {
    const place = this.#records.ids.placeOf(ref)
    this.#records.copies?.drop(place.key)
    return (await this.#records.store.destroy(place)).state === 'destroyed'
  }

  /** Live sessions of a user, oldest first. Two round trips. */
  async listByUser(user: string): Promise<ListedSession[]> {
    const { store, ids } = this.#records
    const listed = await store.list(ids.index(user))
    return listed.map(({ place, createdAt, expiresAt, idleMs, note }) => ({
      ref: place.member,
      createdAt,
      lastSeenAt: Math.max(createdAt, expiresAt - idleMs),
      expiresAt,
      info: this.#records.info(note, place.member),
    }))
  }

  /**
   * Ends every session of a user; with `except` all but that one, with `only` the one of that `ref`.
   * Atomic against logins and touches: what was created before it is dead, whatever is in flight.
   * Returns how many ended. One round trip.
   */
  async revokeUser(
    user: string,
    options: { except?: Session<T> | string | undefined; only?: string | undefined } = {},
  ): Promise<number> {
    const { store, ids, copies } = this.#records
    const { except, only } = options
    copies?.clear()
    const spared = typeof except === 'object' ? except.id : except
    return store.revoke(ids.index(user), {
      except: spared === undefined ? undefined : ids.place(spared).member,
      only,
    })
  }

  /**
   * Take it before checking credentials and hand it to `create` or `regenerate`: a login whose check
   * began before `revokeUser` (a changed password) is refused. Good for an hour.
   */
  async mark(user: string): Promise<string> {
    return this.#records.store.mark(this.#records.ids.index(user))
  }

  /** What was counted since the start of the process. */
  counters(): SessionCounters {
    return { ...this.#records.counts }
  }

  /** Forgets the local copies and lets go of the store. */
  async close(): Promise<void> {
    this.#records.copies?.clear()
    await this.#records.store.close()
  }

  async #look(place: Place, touch: boolean): Promise<LoadReply & { copy?: boolean }> {
    const { store, copies, settings, counts } = this.#records
    try {
      const reply = await store.load(place, touch ? settings.touchEveryMs : -1)
      if (reply.state === 'found') copies?.keep(place.key, reply.stored)
      else copies?.drop(place.key)
      return reply
    } catch (error) {
      const away = error instanceof RedisUnavailable || error instanceof RedisTimeout
      const stored = away ? copies?.find(place.key) : undefined
      if (!stored) throw error
      counts.fromCopies++
      return { state: 'found', stored, copy: true }
    }
  }
}

/**
 * Sessions in process memory, or with `redis` shared between processes.
 *
 *   const sessions = createSessions<Chat>({ redis, namespace: 'shop', name: 'chat', idle: '30m' })
 *   const session = await sessions.create({ cart: [] }, { user: '7' })
 *
 * @throws InvalidOption, ConfigError
 */
export function createSessions<T extends object = Record<string, unknown>>(
  options: SessionsOptions = {},
): Sessions<T> {
  return new Sessions<T>(options)
}
