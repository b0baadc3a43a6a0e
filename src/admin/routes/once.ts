import type { OnceListing } from '../../once/listing.ts'
import type { Verdict } from '../../once/verdict.ts'
import type { OnceAnswer, OnceRecordAnswer, OnceResolved } from '../answers/once.ts'
import { fieldsOf } from '../body.ts'
import { Refused } from '../problem.ts'
import { iso, PAGE_QUERY, pageOf, word } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const MOST = 500
const STATES = ['running', 'done', 'failed', 'retryable', 'indeterminate'] as const

export const onceRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/once',
    permission: 'once.read',
    summary: 'Run-once records, without their results.',
    query: { ...PAGE_QUERY, state: `Only records in this state: ${STATES.join(', ')}.` },
    handle: list,
  },
  {
    method: 'POST',
    path: '/api/v1/once/:key/resolve',
    permission: 'once.resolve',
    summary: 'Settles a key by hand: done with a result, failed for good, or free for another try.',
    body: {
      as: 'done, failed or retry.',
      result: 'With done: what callers get.',
      error: 'With failed: what callers are told.',
      force: 'true: although a run is alive; it is superseded.',
    },
    handle: resolve,
  },
]

async function list({ hf, query }: RouteContext): Promise<OnceAnswer> {
  const text = word(query, 'state')
  const state = STATES.find((one) => one === text)
  if (text !== undefined && state === undefined) {
    throw new Refused(400, `state is none of ${STATES.join(', ')}.`)
  }
  const { records, cursor, truncated } = await hf.once.list({ ...pageOf(query, MOST), state })
  return { records: records.map(answerOf), cursor, truncated }
}

const answerOf = ({ startedAt, ...record }: OnceListing): OnceRecordAnswer => ({
  ...record,
  startedAt: iso(startedAt),
})

async function resolve({ hf, params, body, record }: RouteContext): Promise<OnceResolved> {
  const key = params.key!
  const fields = fieldsOf(body, ['as', 'result', 'error', 'force'])
  const { as, force = false } = fields
  if (as !== 'done' && as !== 'failed' && as !== 'retry') {
    throw new Refused(400, 'as is none of done, failed, retry.')
  }
  if (typeof force !== 'boolean') throw new Refused(400, 'force is neither true nor false.')
  const outcome = await hf.once.resolve(key, verdictOf(as, fields), { force })
  if (outcome === 'absent') throw new Refused(404, 'Nothing is known of this key.')
  if (outcome === 'running') {
    throw new Refused(409, 'A run of this key is alive; with force it is superseded.')
  }
  await record('once.resolve', `${key} as ${as}`, 'done', 1)
  return { key, as }
}

function verdictOf(as: 'done' | 'failed' | 'retry', fields: Readonly<Record<string, unknown>>): Verdict {
  const { result, error } = fields
  if (as !== 'done' && 'result' in fields) throw new Refused(400, 'result goes with as: done.')
  if (as !== 'failed' && 'error' in fields) throw new Refused(400, 'error goes with as: failed.')
  if (as === 'retry') return 'retry'
  if (as === 'done') return { done: result }
  if (error !== undefined && typeof error !== 'string') throw new Refused(400, 'error is no text.')
  return { failed: error ?? 'settled by an operator' }
}
