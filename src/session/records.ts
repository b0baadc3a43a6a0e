import { systemClock } from '../base/clock.ts'
import { InvalidValue } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { readJson, writeJson } from '../cache/json.ts'
import { SessionCopies } from './copies.ts'
import { FieldCodec } from './fields.ts'
import { SessionIds } from './ids.ts'
import { MemorySessionStore } from './memory-store.ts'
import { type SessionSettings, type SessionsOptions, settle } from './options.ts'
import { RedisSessionStore } from './redis-store.ts'
import { Session, type SessionInfo } from './session.ts'
import type { Owner, Place, SessionStore, Stored } from './store.ts'

const MAX_INFO_BYTES = 1_024

/** Counts since the start of the process. */
export interface SessionCounters {
  readonly created: number
  readonly loaded: number
  readonly missed: number
  readonly saved: number
  /** Updates that had nothing to write. */
  readonly unchanged: number
  /** Updates of sessions that were gone. */
  readonly refused: number
  /** Stored sessions that could not be read or did not match the schema: treated as absent. */
  readonly corrupt: number
  /** Loads answered from a local copy because Redis did not answer. */
  readonly fromCopies: number
}

/** What the operations on sessions share: the store, and the way between stored texts and objects. */
export class SessionRecords<T extends object> {
  readonly settings: SessionSettings
  readonly store: SessionStore
  readonly ids: SessionIds
  readonly codec: FieldCodec
  readonly copies: SessionCopies | undefined
  readonly counts = {
    created: 0,
    loaded: 0,
    missed: 0,
    saved: 0,
    unchanged: 0,
    refused: 0,
    corrupt: 0,
    fromCopies: 0,
  }

  constructor(options: SessionsOptions) {
    this.settings = settle(options)
    const { redis, namespace = 'default', name = 'default' } = options
    this.store =
      options.store ??
      (redis
        ? new RedisSessionStore(redis, this.settings)
        : new MemorySessionStore(options.clock ?? systemClock, options.random ?? systemRandom, this.settings))
    this.ids = new SessionIds(namespace, name, this.store.random)
    this.codec = new FieldCodec(JSON.stringify([namespace, name]), options, this.store.random)
    const copies = this.settings.readonlyCopies
    this.copies = copies && new SessionCopies(this.store.clock, copies.max, copies.lifeMs)
  }

  /** The object for a stored session, `undefined` when it cannot be read or does not match the schema. */
  async revive(id: string, place: Place, stored: Stored, readOnly: boolean): Promise<Session<T> | undefined> {
    const { member } = place
    const content = await this.codec.read(stored.fields, member)
    const user = this.user(stored.owner, member)
    if (!content || user === null) {
      this.counts.corrupt++
      return undefined
    }
    const { version, bytes, idleMs, createdAt, endsAt, expiresAt, now } = stored
    // Checked against the schema where there is one; without one the type is the caller's claim.
    return new Session<T>(content.data as T, {
      id,
      place,
      known: content.known,
      user,
      info: this.info(stored.note, member),
      version,
      bytes,
      idleMs,
      createdAt,
      endsAt,
      expiresAt,
      now,
      readOnly,
    })
  }

  /** @throws InvalidKey when the user id is no usable name */
  owner(user: string | undefined, member: string): Owner | undefined {
    if (user === undefined) return undefined
    return { index: this.ids.index(user), user: this.codec.seal(JSON.stringify(user), member, '@u') }
  }

  note(info: SessionInfo | undefined, member: string): string {
    if (!info || Object.keys(info).length === 0) return ''
    const { text } = writeJson(info, false)
    if (Buffer.byteLength(text) > MAX_INFO_BYTES) {
      throw new InvalidValue(
        `the info of a session is over ${MAX_INFO_BYTES} bytes`,
        'keep it to device and place',
      )
    }
    return this.codec.seal(text, member, '@m')
  }

  info(note: string, member: string): SessionInfo {
    if (note === '') return {}
    try {
      const info = readJson(this.codec.unseal(note, member, '@m'), false)
      return typeof info === 'object' && info !== null ? (info as SessionInfo) : {}
    } catch {
      this.counts.corrupt++
      return {}
    }
  }

  /** @throws InvalidValue */
  refuseLarge(bytes: number, fields: number): void {
    const { maxBytes, maxFields } = this.settings
    if (bytes > maxBytes) {
      throw new InvalidValue(
        `the session would hold ${bytes} bytes, ${maxBytes} are allowed`,
        'keep large data elsewhere and its id in the session, or raise maxBytes',
      )
    }
    if (fields > maxFields) {
      throw new InvalidValue(
        `the session would hold ${fields} fields, ${maxFields} are allowed`,
        'nest them under one key, or raise maxFields',
      )
    }
  }

  /** `null` when it cannot be read. */
  user(owner: Owner | undefined, member: string): string | undefined | null {
    if (!owner) return undefined
    try {
      const user = readJson(this.codec.unseal(owner.user, member, '@u'), false)
      // The index must be this user's own: otherwise somebody edited the record.
      return typeof user === 'string' && this.ids.index(user) === owner.index ? user : null
    } catch {
      return null
    }
  }
}
