import { wholeNumber } from '../query.ts'
import type { Route } from '../route.ts'

export const operationRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/health',
    permission: 'health',
    summary: 'What this process knows of its connections; never asks the server.',
    handle: async ({ hf }) => hf.health(),
  },
  {
    method: 'GET',
    path: '/api/v1/audit',
    permission: 'audit',
    summary: 'Who did what, newest first.',
    query: { limit: 'Most entries, 1 to 1000.' },
    handle: async ({ audit, query }) => ({
      entries: await audit.read(wholeNumber(query, 'limit', 100, 1_000)),
    }),
  },
]
