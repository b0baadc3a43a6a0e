import { RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { SessionCookie, type SessionCookieOptions } from '../session/cookie.ts'
import { SessionReadOnly } from '../session/errors.ts'
import type { RegenerateOptions } from '../session/regenerate.ts'
import type { Session } from '../session/session.ts'
import type { CreateSessionOptions, Sessions } from '../session/sessions.ts'
import { problemReply, type WholeReply } from './reply.ts'

/** The cookie of a session, and what its data is at first. */
export interface HttpSessionOptions<T extends object> {
  /** Name, flags and signing keys of the cookie. @default `__Host-sid`, Secure, HttpOnly, SameSite=Lax, until the browser closes */
  readonly cookie?: SessionCookieOptions | undefined
  /** Data of a visitor without a session. Stored, with a cookie, once a request has changed it. @default {} */
  readonly initial?: (() => T) | undefined
  /** Send the cookie again with every answer, so that its `maxAge` counts from the last use. @default false */
  readonly rolling?: boolean | undefined
}

const KNOWN = ['cookie', 'initial', 'rolling']

/** The sessions behind a cookie: `open` at the start of a request, `close` before its answer. */
export class HttpSessions<T extends object> {
  readonly sessions: Sessions<T>
  readonly cookie: SessionCookie
  readonly rolling: boolean
  readonly initial: () => T

  /** @throws InvalidOption */
  constructor(sessions: Sessions<T>, options: HttpSessionOptions<T> = {}) {
    refuseUnknown(options, KNOWN, 'session')
    this.sessions = sessions
    this.cookie = new SessionCookie(options.cookie)
    this.rolling = options.rolling ?? false
    // Without `initial` a session begins empty, as the type of its data has to allow.
    this.initial = options.initial ?? (() => ({}) as T)
  }

  /**
   * The session of a request. One round trip with a cookie, none without.
   * @throws RedisUnavailable, RedisTimeout
   */
  async open(cookieHeader: string | null | undefined): Promise<HttpSession<T>> {
    const id = this.cookie.read(cookieHeader)
    const session = id === undefined ? undefined : await this.sessions.load(id)
    return new HttpSession(this, id, session)
  }
}

/** The session of one request: `data` is yours to read and change, the rest happens before the answer. */
export class HttpSession<T extends object> {
  readonly #place: HttpSessions<T>
  readonly #sentId: string | undefined
  #session: Session<T> | undefined
  #fresh: { readonly data: T; readonly before: string } | undefined
  #isEnded = false

  /** Made by `HttpSessions.open`. */
  constructor(place: HttpSessions<T>, sentId: string | undefined, session: Session<T> | undefined) {
    this.#place = place
    this.#sentId = sentId
    this.#session = session
  }

  /** What is stored, or what `initial` gave. */
  get data(): T {
    if (this.#session) return this.#session.data
    if (!this.#fresh) {
      const data = this.#place.initial()
      this.#fresh = { data, before: JSON.stringify(data) }
    }
    return this.#fresh.data
  }

  /** Nothing is stored yet. */
  get isNew(): boolean {
    return this.#session === undefined
  }

  /** Whose session it is, after `login`. */
  get user(): string | undefined {
    return this.#session?.user
  }

  /** The stored session itself, where there is one. */
  get stored(): Session<T> | undefined {
    return this.#session
  }

  /**
   * Gives the session to a user under a new id; the old one is dead at once. `mark` from
   * `sessions.mark(user)`, taken before the password was checked, refuses if all were revoked since.
   * @throws SessionRevoked, RedisUnavailable, RedisTimeout, InvalidValue
   */
  async login(user: string, options: Omit<CreateSessionOptions, 'user' | 'idle'> = {}): Promise<void> {
    const { sessions } = this.#place
    const login = { ...options, user }
    if (this.#session && (await sessions.regenerate(this.#session, login))) return
    this.#session = await sessions.create(this.data, login)
    this.#isEnded = false
  }

  /** A new id for the same session, e.g. after its rights changed. */
  async regenerate(options: RegenerateOptions = {}): Promise<void> {
    if (this.#session) await this.#place.sessions.regenerate(this.#session, options)
  }

  /** Ends the session: a logout. The cookie is removed with the answer. */
  async destroy(): Promise<void> {
    this.#isEnded = true
    const session = this.#session
    this.#session = undefined
    this.#fresh = undefined
    if (session) await this.#place.sessions.destroy(session)
  }

  /** Stores what changed. Adapters call it before the head of the answer is sent. @returns lines for Set-Cookie */
  async close(): Promise<readonly string[]> {
    const { sessions, cookie, rolling } = this.#place
    const fresh = this.#fresh
    if (!this.#session && !this.#isEnded && fresh && JSON.stringify(fresh.data) !== fresh.before) {
      this.#session = await sessions.create(fresh.data)
    } else if (this.#session && !(await sessions.update(this.#session))) {
      // Logged out or revoked by somebody else meanwhile: it does not come back.
      this.#session = undefined
    }
    if (!this.#session) return this.#sentId === undefined ? [] : [cookie.clear()]
    if (this.#session.id === this.#sentId && !rolling) return []
    return [cookie.serialize(this.#session.id)]
  }

  /** For logs: never the id or the data. */
  toJSON(): object {
    return { isNew: this.isNew, user: this.user }
  }
}

/** The answer where a session cannot be read or written because Redis is away; undefined for other errors. */
export function sessionRefusal(error: unknown): WholeReply | undefined {
  const away =
    error instanceof RedisUnavailable || error instanceof RedisTimeout || error instanceof SessionReadOnly
  if (!away) return undefined
  const detail = 'The session cannot be reached at the moment. Try again shortly.'
  return problemReply({ status: 503, detail, retryAfter: 1 })
}
