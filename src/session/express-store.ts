import { RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { Origin } from './origin.ts'
import type { Sessions } from './sessions.ts'
import { WebStore, type WebStoreOptions } from './web-store.ts'

type Done = (error?: unknown) => void
type Got<S> = (error: unknown, session?: S | null) => void

/** What we use of the package express-session: hand it over, so that we need not depend on it. */
export interface ExpressSessionModule<Store extends object> {
  readonly Store: abstract new () => Store
}

/** The methods that express-session calls on a store. */
export interface ExpressStoreMethods<S = unknown> {
  get(id: string, done: Got<S>): void
  set(id: string, session: object, done?: Done): void
  destroy(id: string, done?: Done): void
  touch(id: string, session: object, done?: Done): void
}

interface CreatesSessions {
  createSession(request: object, data: object): object
}

/**
 * A store for express-session on these sessions.
 *
 *   import session from 'express-session'
 *   app.use(session({ store: expressStore(session, sessions), resave: false, saveUninitialized: false, … }))
 *
 * Of what a request changed only the changed top-level fields are written; a request that changed
 * nothing sends no command after the one that loaded the session; a slow request neither undoes
 * another's change nor brings a session back that was logged out meanwhile.
 */
export function expressStore<Store extends object>(
  module: ExpressSessionModule<Store>,
  sessions: Sessions<Record<string, unknown>>,
  options: WebStoreOptions = {},
): Store {
  // A class that is handed over cannot be extended with its own types.
  const Base = module.Store as unknown as new () => CreatesSessions
  const web = new WebStore(sessions, options)
  const { clock } = sessions.store
  const answer = <T>(work: Promise<T>, done: (error: unknown, value?: T) => void) => {
    // Outside the promise chain: what the application throws in there is not ours to swallow.
    work.then(
      (value) => clock.endOfTick(() => done(null, value)),
      (error: unknown) => clock.endOfTick(() => done(error)),
    )
  }

  class HoldfastStore extends Base implements ExpressStoreMethods {
    get(id: string, done: Got<unknown>): void {
      answer(web.get(id), (error, found) => {
        // On the plain data on its way to `createSession`, then on the request's session.
        if (found) Origin.note(found.data, found.loaded)
        done(error, found?.data)
      })
    }

    override createSession(request: object, data: object): object {
      const session = super.createSession(request, data)
      const loaded = Origin.of(data)
      if (loaded) Origin.note(session, loaded)
      return session
    }

    set(id: string, session: object, done: Done = () => {}): void {
      answer(web.set(id, session, Origin.of(session)), (error, loaded) => {
        // Saved twice in one request: the second time is compared with the first.
        if (loaded) Origin.note(session, loaded)
        done(error)
      })
    }

    destroy(id: string, done: Done = () => {}): void {
      answer(web.destroy(id), done)
    }

    /** Loading has extended its life already; here only a changed cookie is written. */
    touch(id: string, session: object, done: Done = () => {}): void {
      const loaded = Origin.of(session)
      if (!loaded) {
        answer(Promise.resolve(), done)
        return
      }
      const work = web.touch(id, 'cookie' in session ? session.cookie : undefined, loaded)
      if (!work) {
        clock.endOfTick(done)
        return
      }
      const kept = work.catch((error: unknown) => {
        // The answer of the request does not depend on it.
        if (error instanceof RedisUnavailable || error instanceof RedisTimeout) return undefined
        throw error
      })
      answer(kept, (error) => done(error))
    }
  }
  return new HoldfastStore() as unknown as Store // it extends the class of that type
}
