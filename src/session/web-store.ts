import { InvalidValue } from '../base/errors.ts'
import { isPlausibleId } from './ids.ts'
import { type Session, stateOf } from './session.ts'
import type { Sessions } from './sessions.ts'

/** Options of the stores for express-session and @fastify/session. */
export interface WebStoreOptions {
  /** Whose session it is, from its data: `(data) => data.userId`. Makes it listable and revocable. */
  user?: ((data: Readonly<Record<string, unknown>>) => string | undefined) | undefined
}

/** What the frameworks keep in `session.cookie`. */
type CookieData = { originalMaxAge?: number | null; expires?: unknown; [more: string]: unknown }
type Data = Record<string, unknown>

/** A session of a framework as we loaded it: what its next `set` is compared with. */
export interface Loaded {
  readonly session: Session<Data>
}

/**
 * What both stores share: the session of the framework in and out of ours. The moment at which the
 * cookie ends is not stored, for it moves with every request; its length is.
 */
export class WebStore {
  readonly sessions: Sessions<Data>
  readonly #userOf: ((data: Readonly<Data>) => string | undefined) | undefined

  constructor(sessions: Sessions<Data>, options: WebStoreOptions = {}) {
    this.sessions = sessions
    this.#userOf = options.user
  }

  async get(id: string): Promise<{ data: Data; loaded: Loaded } | undefined> {
    const session = await this.sessions.load(id)
    // A framework knows one id only: an alias would end in two sessions.
    if (!session || session.id !== id) return undefined
    const cookie = cookieOf(session.data.cookie)
    const data: Data = { ...session.data, cookie: { ...cookie, ...this.#ends(session, cookie) } }
    return { data, loaded: { session } }
  }

  /** Stores what differs from `loaded`; without it the session is new. False: it is gone. */
  async set(id: string, given: object, loaded: Loaded | undefined): Promise<Loaded | undefined> {
    const data = plain(given)
    const idle = maxAgeOf(data.cookie)
    if (!loaded) return this.#create(id, data, this.#userOf?.(data), idle)
    const { session } = loaded
    // Without the option, whose session it is, is not for us to say.
    const user = this.#userOf ? this.#userOf(data) : session.user
    session.data = data
    if (user !== session.user && !(await this.sessions.assign(session, user))) return undefined
    if (
      idle !== undefined &&
      idle !== stateOf(session).idleMs &&
      !(await this.sessions.retime(session, idle))
    ) {
      return undefined
    }
    return (await this.sessions.update(session)) ? loaded : undefined
  }

  /**
   * For a request that changed nothing, but perhaps how long its cookie lives. `undefined`: there is
   * nothing to write, and nothing was sent.
   */
  touch(id: string, cookie: unknown, loaded: Loaded): Promise<unknown> | undefined {
    const { session } = loaded
    const state = stateOf(session)
    const now = lasting(cookie)
    const idle = maxAgeOf(now)
    const same =
      JSON.stringify(now) === state.known.get('cookie')?.json &&
      (idle === undefined || idle === state.idleMs) &&
      (!this.#userOf || this.#userOf(session.data) === session.user)
    return same ? undefined : this.set(id, { ...session.data, cookie: now }, loaded)
  }

  async destroy(id: string): Promise<void> {
    await this.sessions.destroy(id)
  }

  async #create(id: string, data: Data, user: string | undefined, idle: number | undefined): Promise<Loaded> {
    if (!isPlausibleId(id)) {
      throw new InvalidValue(
        'the session id is too short, too long or has spaces',
        'check genid or idGenerator',
      )
    }
    const lives = idle === undefined ? {} : { idle, absolute: Math.max(idle, this.sessions.absoluteMs) }
    return { session: await this.sessions.createAs(id, data, { user, ...lives }) }
  }

  #ends(session: Session<Data>, cookie: CookieData): CookieData {
    const { originalMaxAge } = cookie
    if (typeof originalMaxAge !== 'number') return {}
    const left = Math.min(originalMaxAge, session.expiresIn)
    return { expires: new Date(this.sessions.store.clock.wall() + left).toISOString() }
  }
}

/** Own data of a framework's session object, its cookie without what changes by itself. */
function plain(given: object): Data {
  const data: Data = {}
  for (const [name, value] of Object.entries(given)) if (typeof value !== 'function') data[name] = value
  if ('cookie' in data) data.cookie = lasting(data.cookie)
  return data
}

/** What of a cookie is stored: all but its end, where that moves with every request. */
function lasting(cookie: unknown): CookieData {
  const data = cookieOf(cookie)
  if (data.originalMaxAge === null || data.originalMaxAge === undefined) return data
  const { expires: _, originalExpires: __, ...rest } = data
  return rest
}

function cookieOf(cookie: unknown): CookieData {
  if (typeof cookie !== 'object' || cookie === null) return {}
  const json: unknown = 'toJSON' in cookie && typeof cookie.toJSON === 'function' ? cookie.toJSON() : cookie
  return typeof json === 'object' && json !== null ? { ...json } : {}
}

function maxAgeOf(cookie: unknown): number | undefined {
  const { originalMaxAge } = cookieOf(cookie)
  return typeof originalMaxAge === 'number' && originalMaxAge >= 1 ? Math.round(originalMaxAge) : undefined
}
