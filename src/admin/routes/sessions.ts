import { encodeName } from '../../base/key.ts'
import type { SessionListing } from '../../session/listing.ts'
import type { Sessions } from '../../session/sessions.ts'
import type { SessionAnswer, SessionsAnswer, SessionsRevoked } from '../answers/sessions.ts'
import { Refused } from '../problem.ts'
import { iso, wholeNumber, word } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const MOST = 500
const BUDGET_MS = 250

export const sessionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/sessions',
    permission: 'sessions.read',
    summary: 'How many sessions of each kind there are; those of one kind, or of one user, without values.',
    query: {
      store: 'Kind of sessions.',
      user: 'Only those of this user; needs store.',
      limit: `Most sessions, 1 to ${MOST}.`,
      cursor: 'Where to go on.',
    },
    handle: list,
  },
  {
    method: 'DELETE',
    path: '/api/v1/sessions/:store/:idHash',
    permission: 'sessions.revoke',
    summary: 'Ends one session.',
    handle: revokeOne,
  },
  {
    method: 'DELETE',
    path: '/api/v1/sessions/:store/users/:user',
    permission: 'sessions.revoke',
    summary: 'Ends every session of a user.',
    handle: revokeUser,
  },
]

async function list({ hf, query }: RouteContext): Promise<SessionsAnswer> {
  const store = word(query, 'store')
  const user = word(query, 'user')
  if (user !== undefined && store === undefined) throw new Refused(400, 'user needs store.')
  const limit = wholeNumber(query, 'limit', 100, MOST)
  const cursor = word(query, 'cursor', 64)
  const { counts, truncated } = await hf.operations.countSessions(BUDGET_MS)
  const stores = [...counts].map(([name, count]) => ({ name, count, truncated }))
  stores.sort((a, b) => (a.name < b.name ? -1 : 1))
  if (store === undefined) return { stores, sessions: [] }
  const page = await sessionsOf(hf, store).list({ limit, cursor, user })
  return { stores, sessions: page.sessions.map((one) => answerOf(store, one)), cursor: page.cursor }
}

/** @throws Refused (404), InvalidKey */
function sessionsOf(hf: RouteContext['hf'], store: string): Sessions {
  encodeName(store, 'kind of sessions')
  const sessions = hf.operations.sessions(store)
  if (sessions) return sessions
  throw new Refused(404, 'There are no sessions of this kind.')
}

const answerOf = (store: string, one: SessionListing): SessionAnswer => ({
  store,
  idHash: one.ref,
  user: one.user ?? null,
  createdAt: iso(one.createdAt),
  lastSeenAt: iso(one.lastSeenAt),
  expiresAt: iso(one.expiresAt),
  fields: one.fields,
})

async function revokeOne({ hf, params, record }: RouteContext): Promise<SessionsRevoked> {
  const { store, idHash } = params as { store: string; idHash: string }
  const ended = await sessionsOf(hf, store).revoke(idHash)
  if (!ended) throw new Refused(404, 'There is no such session.')
  await record('sessions.revoke', `${store} ${idHash}`, 'done', 1)
  return { store, revoked: 1 }
}

async function revokeUser({ hf, params, record }: RouteContext): Promise<SessionsRevoked> {
  const { store, user } = params as { store: string; user: string }
  const revoked = await sessionsOf(hf, store).revokeUser(user)
  await record('sessions.revoke-user', `${store} ${user}`, 'done', revoked)
  return { store, revoked }
}
