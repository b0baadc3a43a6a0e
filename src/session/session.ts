import type { Known } from './fields.ts'
import type { Place, Stored, Timing } from './store.ts'

/** What lists show of a session: device, address, place of login. */
export type SessionInfo = Readonly<Record<string, string>>

/** What a session object carries beside its data. Reached by `stateOf` only, never by the application. */
export interface SessionState {
  id: string
  /** Where that id leads. */
  place: Place
  /** Per field what the store held last; the next save is the difference to it. */
  known: Map<string, Known>
  user: string | undefined
  info: SessionInfo
  version: number
  bytes: number
  idleMs: number
  createdAt: number
  endsAt: number
  expiresAt: number
  /** Server time of the last answer. */
  now: number
  readOnly: boolean
}

let read: (session: Session<object>) => SessionState

/**
 * One session in one request. `data` is yours to change; `update` sends what differs. The id is
 * the visitor's secret: it goes into the cookie and nowhere else, so it shows neither in JSON nor
 * in a log of this object.
 */
export class Session<T extends object> {
  data: T
  readonly #state: SessionState

  static {
    read = (session) => session.#state
  }

  /** Made by `create` and `load`. */
  constructor(data: T, state: SessionState) {
    this.data = data
    this.#state = state
  }

  /** For the cookie. Changes with `regenerate`, also when another request did it. */
  get id(): string {
    return this.#state.id
  }

  get user(): string | undefined {
    return this.#state.user
  }

  get info(): SessionInfo {
    return this.#state.info
  }

  /** Server time in ms of the creation or the last login: how fresh the login is. */
  get createdAt(): number {
    return this.#state.createdAt
  }

  /** Server time in ms at which it ends whatever its use. */
  get endsAt(): number {
    return this.#state.endsAt
  }

  /** ms that it has left from the last answer on unless it is used: the max-age of its cookie. */
  get expiresIn(): number {
    return Math.max(0, this.#state.expiresAt - this.#state.now)
  }

  /** True for a local copy handed out while Redis is away: `update` will refuse. */
  get readOnly(): boolean {
    return this.#state.readOnly
  }

  /** Without the id, which is a secret. */
  toJSON(): object {
    const { user, createdAt, endsAt, readOnly } = this
    return { user, createdAt, endsAt, readOnly, fields: Object.keys(this.data).length }
  }
}

export const stateOf = (session: Session<object>): SessionState => read(session)

export function takeTiming(state: SessionState, timing: Timing): void {
  state.version = timing.version
  state.now = timing.now
  state.expiresAt = timing.expiresAt
}

export function takeStored(state: SessionState, stored: Stored): void {
  takeTiming(state, stored)
  state.bytes = stored.bytes
  state.idleMs = stored.idleMs
  state.createdAt = stored.createdAt
  state.endsAt = stored.endsAt
}
