import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { type LookOptions, namePage, type PageEnd, pageRequest } from '../base/page.ts'
import type { SessionRecords } from './records.ts'
import type { ListableSessionStore, Place, SessionLook, SessionStore } from './store.ts'

/** Which sessions are listed. */
export interface SessionListOptions extends Omit<LookOptions, 'pattern'> {
  /** Only the sessions of this user; all of them, on one page. */
  user?: string | undefined
}

/** One session, without what it holds. Times in server ms. */
export interface SessionListing extends Omit<SessionLook, 'owner'> {
  /** Names the session without being its id: for `revoke`. */
  readonly ref: string
  /** Undefined: nobody's, or encrypted with keys that this process has not. */
  readonly user: string | undefined
}

/** One page of sessions. */
export interface SessionPage extends PageEnd {
  readonly sessions: readonly SessionListing[]
}

const OPTIONS = ['limit', 'cursor', 'budget', 'user']

/** @throws InvalidOption for a store of one's own that lacks `scan` and `look` */
export function listable(store: SessionStore): ListableSessionStore {
  if (isListable(store)) return store
  throw new InvalidOption('this store of sessions cannot be listed', 'give it scan() and look()')
}

const isListable = (store: SessionStore): store is ListableSessionStore => 'scan' in store && 'look' in store

export async function listSessions<T extends object>(
  records: SessionRecords<T>,
  options: SessionListOptions,
): Promise<SessionPage> {
  refuseUnknown(options, OPTIONS, 'sessions.list()')
  const { user, ...look } = options
  const store = listable(records.store)
  const request = pageRequest(store.clock, look)
  if (user !== undefined) {
    const listed = await store.list(records.ids.index(user))
    const places = listed.slice(-request.limit).map(({ place }) => place)
    const sessions = await looks(records, store, places)
    sessions.sort((a, b) => b.lastSeenAt - a.lastSeenAt)
    return { sessions, cursor: undefined, truncated: places.length < listed.length }
  }
  const { names, cursor, truncated } = await namePage((from) => store.scan(records.ids.glob, from), request)
  const places = [...new Set(names)].map((key) => ({ key, member: key.slice(key.lastIndexOf(':') + 1) }))
  return { sessions: await looks(records, store, places), cursor, truncated }
}

async function looks<T extends object>(
  records: SessionRecords<T>,
  store: ListableSessionStore,
  places: readonly Place[],
): Promise<SessionListing[]> {
  const found = places.map(async (place): Promise<SessionListing[]> => {
    const look = await store.look(place)
    if (!look) return []
    const { owner, ...rest } = look
    return [{ ref: records.ids.refOf(place), user: records.user(owner, place.member) ?? undefined, ...rest }]
  })
  return (await Promise.all(found)).flat()
}
