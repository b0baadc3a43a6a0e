import type { AuditAnswer } from '../answers/audit.ts'
import type { DoctorAnswer } from '../answers/doctor.ts'
import { wholeNumber, word } from '../query.ts'
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
    path: '/api/v1/doctor',
    permission: 'doctor',
    summary: 'Examines the instance and its servers: each finding with cause and mend. Takes some seconds.',
    handle: async ({ services }): Promise<DoctorAnswer> => {
      const { score, findings } = await services.doctor()
      return { score, findings }
    },
  },
  {
    method: 'GET',
    path: '/api/v1/audit',
    permission: 'audit',
    summary: 'Who did what, newest first.',
    query: { limit: 'Most entries, 1 to 1000.', cursor: 'Where to go on.' },
    handle: async ({ audit, query }): Promise<AuditAnswer> =>
      audit.read(wholeNumber(query, 'limit', 100, 1_000), word(query, 'cursor', 40)),
  },
]
