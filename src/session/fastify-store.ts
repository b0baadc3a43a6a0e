import type { Sessions } from './sessions.ts'
import { type Loaded, WebStore, type WebStoreOptions } from './web-store.ts'

type Done = (error?: unknown) => void

/** What @fastify/session asks of a store. */
export interface FastifyStore {
  set(id: string, session: object, done: Done): void
  /** `S`: the session type that the application declared. */
  get<S>(id: string, done: (error: unknown, session?: S | null) => void): void
  destroy(id: string, done: Done): void
}

/**
 * Under this name a loaded session carries what it was loaded as. @fastify/session copies string
 * keys only, so it cannot be a symbol; it shows in no JSON and is never stored.
 */
const ORIGIN = '__holdfast'

/**
 * A store for @fastify/session on these sessions. With its default `rolling: true` the plugin calls
 * `set` after every request; here that costs nothing unless something changed.
 *
 *   app.register(fastifySession, { secret, store: fastifyStore(sessions) })
 */
export function fastifyStore(
  sessions: Sessions<Record<string, unknown>>,
  options: WebStoreOptions = {},
): FastifyStore {
  const web = new WebStore(sessions, options)
  /** Sessions that this store created: a second save in one request is compared with the first. */
  const created = new WeakMap<object, Loaded>()
  const answer = <T>(work: Promise<T>, done: (error: unknown, value?: T) => void) => {
    const later = (run: () => void) => sessions.store.clock.endOfTick(run)
    work.then(
      (value) => later(() => done(null, value)),
      (error: unknown) => later(() => done(error)),
    )
  }
  return {
    get<S>(id: string, done: (error: unknown, session?: S | null) => void) {
      answer(web.get(id), (error, found) => {
        const session = found ? { ...found.data, [ORIGIN]: new Origin(found.loaded) } : null
        done(error ?? null, session as unknown as S | null) // what was stored is the application's claim
      })
    },
    set(id, session, done) {
      const { [ORIGIN]: origin, ...data } = session as Record<string, unknown>
      const loaded = origin instanceof Origin ? origin.loaded : created.get(session)
      answer(web.set(id, data, loaded), (error, stored) => {
        if (stored) created.set(session, stored)
        done(error ?? undefined)
      })
    },
    destroy: (id, done) => answer(web.destroy(id), (error) => done(error ?? undefined)),
  }
}

/** Invisible to JSON, and so to the plugin's own comparison. */
class Origin {
  readonly loaded: Loaded

  constructor(loaded: Loaded) {
    this.loaded = loaded
  }

  toJSON(): undefined {
    return undefined
  }
}
