import type { LimiterListing } from '../../limit/listing.ts'
import { subjectOf } from '../../limit/subject.ts'
import type { LimiterAnswer, LimitReset, LimitSubject } from '../answers/limits.ts'
import { Refused } from '../problem.ts'
import { iso, wholeNumber } from '../query.ts'
import type { Route, RouteContext } from '../route.ts'

const PATH = '/api/v1/limits/:name/:subject'

export const limitRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/limits',
    permission: 'limits.read',
    summary: 'Limiters, their decisions of the last hour, and who was refused most.',
    query: { top: 'Most identities of each, 1 to 100.' },
    answers: 'array',
    handle: async ({ hf, query }): Promise<readonly LimiterAnswer[]> => {
      const listed = await hf.operations.limits.list(wholeNumber(query, 'top', 20, 100))
      return listed.map(answerOf)
    },
  },
  {
    method: 'GET',
    path: PATH,
    permission: 'limits.read',
    summary: 'What a subject, user:42 or 42, has left. Takes nothing.',
    handle: readSubject,
  },
  {
    method: 'DELETE',
    path: PATH,
    permission: 'limits.reset',
    summary: 'Forgets what a subject used, and its block.',
    handle: resetSubject,
  },
]

function answerOf({ name, kind, description, counts, report }: LimiterListing): LimiterAnswer {
  return {
    name,
    kind,
    algorithm: kind === 'concurrency' ? 'leases' : (description?.algorithms.join(', ') ?? 'unknown here'),
    limits: description?.limits ?? [],
    allowed: report?.allowed ?? counts?.allowed ?? 0,
    denied: report?.denied ?? counts?.denied ?? 0,
    degraded: counts?.degraded ?? 0,
    shadow: report?.shadow ?? counts?.shadow ?? 0,
    enabled: description?.enabled ?? true,
    topDenied: (report?.top ?? []).map(({ identity, denied, lastAt }) => ({
      subject: identity,
      denied,
      ...(lastAt === undefined ? {} : { lastAt: iso(lastAt) }),
    })),
    shared: report !== undefined,
  }
}

async function readSubject({ hf, params }: RouteContext): Promise<LimitSubject> {
  const { name, subject } = params as { name: string; subject: string }
  const limiter = hf.operations.limits.find(name)
  if (!limiter) throw new Refused(404, 'No limiter of this name was made in this process.')
  const { limits, blocked } = await limiter.peek(subjectOf(subject))
  return {
    name,
    subject,
    blocked,
    limits: limits.map((one) => ({
      limit: one.kind === '' ? one.name : `${one.kind}: ${one.name}`,
      most: one.limit,
      remaining: one.remaining,
      resetAfter: Math.ceil(one.resetAfter / 1_000),
    })),
  }
}

async function resetSubject({ hf, params, record }: RouteContext): Promise<LimitReset> {
  const { name, subject } = params as { name: string; subject: string }
  if (!(await hf.operations.limits.reset(name, subject))) {
    throw new Refused(404, 'There is no limiter of this name.')
  }
  await record('limits.reset', `${name} ${subject}`, 'done', 1)
  return { name, subject, reset: true }
}
