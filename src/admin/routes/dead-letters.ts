import type { DeadLetter } from '../../queue/options.ts'
import type { DeadLetterAnswer, DeadLettersAnswer, DeadLettersChanged } from '../answers/queues.ts'
import { Refused } from '../problem.ts'
import { flag, iso, wholeNumber, word } from '../query.ts'
import { redact } from '../redact.ts'
import type { Route, RouteContext } from '../route.ts'
import { queueOf } from './queues.ts'

const MOST = 500
const PATH = '/api/v1/queues/:name/dead-letters'

export const deadLetterRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    permission: 'letters.read',
    summary: 'Messages that were given up, oldest first, with secrets redacted.',
    query: { limit: `Most letters, 1 to ${MOST}.`, cursor: 'Where to go on.' },
    handle: list,
  },
  {
    method: 'POST',
    path: `${PATH}/replay`,
    permission: 'letters.change',
    summary: 'Adds all of them again, at the end of the queue, under the same ids.',
    query: { dryRun: 'true: only count.' },
    body: {},
    handle: replayAll,
  },
  {
    method: 'POST',
    path: `${PATH}/:id/replay`,
    permission: 'letters.change',
    summary: 'Adds one of them again.',
    body: {},
    handle: replayOne,
  },
  {
    method: 'DELETE',
    path: `${PATH}/:id`,
    permission: 'letters.change',
    summary: 'Forgets one of them for good.',
    handle: drop,
  },
]

async function list(context: RouteContext): Promise<DeadLettersAnswer> {
  const queue = await queueOf(context)
  const limit = wholeNumber(context.query, 'limit', 100, MOST)
  const cursor = word(context.query, 'cursor', 12)
  if (cursor !== undefined && !/^\d+$/.test(cursor)) throw new Refused(400, 'The cursor is none of a list.')
  const offset = Number(cursor ?? 0)
  const letters = await queue.dead.list({ offset, count: limit })
  const { dead: total } = await queue.stats()
  const next = offset + letters.length
  return {
    letters: letters.map(answerOf),
    total,
    ...(letters.length === limit && next < total ? { cursor: String(next) } : {}),
  }
}

const answerOf = (letter: DeadLetter): DeadLetterAnswer => ({
  id: letter.id,
  key: letter.key ?? null,
  body: redact(letter.body),
  addedAt: iso(letter.at),
  diedAt: iso(letter.diedAt),
  attempts: letter.attempts,
  reason: letter.reason,
})

async function replayAll(context: RouteContext): Promise<DeadLettersChanged> {
  const queue = await queueOf(context)
  if (flag(context.query, 'dryRun')) {
    return { queue: queue.name, dryRun: true, would_replay: (await queue.stats()).dead }
  }
  const replayed = await queue.dead.replay('all')
  await context.record('letters.replay', queue.name, 'done', replayed)
  return { queue: queue.name, dryRun: false, replayed }
}

async function replayOne(context: RouteContext): Promise<DeadLettersChanged> {
  const queue = await queueOf(context)
  const id = context.params.id!
  const replayed = await queue.dead.replay([id])
  if (replayed === 0) throw new Refused(404, 'There is no such dead letter.')
  await context.record('letters.replay', `${queue.name} ${id}`, 'done', replayed)
  return { queue: queue.name, dryRun: false, replayed }
}

async function drop(context: RouteContext): Promise<DeadLettersChanged> {
  const queue = await queueOf(context)
  const id = context.params.id!
  const dropped = await queue.dead.drop([id])
  if (dropped === 0) throw new Refused(404, 'There is no such dead letter.')
  await context.record('letters.drop', `${queue.name} ${id}`, 'done', dropped)
  return { queue: queue.name, dryRun: false, dropped }
}
