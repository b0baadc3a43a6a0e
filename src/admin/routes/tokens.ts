import type { TokenListing } from '../../token/listing.ts'
import type { TokenAnswer, TokenInvalidated } from '../answers/tokens.ts'
import { Refused } from '../problem.ts'
import { iso, pageOf } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const MOST = 1_000

export const tokenRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/tokens',
    permission: 'tokens.read',
    summary: 'OAuth tokens: fingerprint and lives, never a token.',
    query: { pattern: 'Glob of names.', limit: `Most tokens, 1 to ${MOST}.` },
    answers: 'array',
    handle: list,
  },
  {
    method: 'DELETE',
    path: '/api/v1/tokens/:name',
    permission: 'tokens.drop',
    summary: 'Forgets a token, not the grant that makes a new one.',
    handle: drop,
  },
]

async function list({ hf, query, now }: RouteContext): Promise<readonly TokenAnswer[]> {
  // One list without pages: among a million other keys a short look would find none and say so.
  const { tokens } = await hf.operations.tokens.list({ ...pageOf(query, MOST), budget: '5s' })
  return tokens.map((one) => answerOf(one, now()))
}

const answerOf = (one: TokenListing, now: number): TokenAnswer => ({
  name: one.name,
  client: one.client,
  state: one.state,
  fingerprint: one.fingerprint ?? null,
  expiresAt: one.fingerprint === undefined ? null : iso(now + one.usableForMs),
  refreshedAt: one.ageMs === undefined ? null : iso(now - one.ageMs),
  ...(one.refusedForMs > 0 ? { refusedUntil: iso(now + one.refusedForMs) } : {}),
  hasGrant: one.hasGrant,
})

async function drop({ hf, params, record }: RouteContext): Promise<TokenInvalidated> {
  const name = params.name!
  const invalidated = await hf.operations.tokens.drop(name)
  if (!invalidated) throw new Refused(404, 'There is no such token.')
  await record('tokens.invalidate', name, 'done', 1)
  return { name, invalidated }
}
