import type { History, Overview } from '../answers/overview.ts'
import { wholeNumber } from '../query.ts'
import type { Route } from '../route.ts'

const HOUR = 3_600

export const overviewRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/overview',
    permission: 'stats',
    summary: 'The last minute: hits, misses, times, memory, limits, locks, queues, and what is degraded.',
    handle: async ({ services }): Promise<Overview> => services.rolling.overview(),
  },
  {
    method: 'GET',
    path: '/api/v1/history',
    permission: 'stats',
    summary: 'The last hour in steps of seconds.',
    query: { seconds: `How far back, 1 to ${HOUR}.` },
    handle: async ({ services, query }): Promise<History> =>
      services.rolling.history(wholeNumber(query, 'seconds', HOUR, HOUR)),
  },
  {
    method: 'GET',
    path: '/api/v1/stream',
    permission: 'stats',
    summary:
      'Server-Sent Events: overview each second, audit, invalidation, state. At most 50 in all and 5 of one name.',
    answers: 'stream',
    handle: async ({ services, principal }) => services.streams.response(principal),
  },
]
