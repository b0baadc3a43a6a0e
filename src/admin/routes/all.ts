import { openApi } from '../openapi.ts'
import type { Route } from '../route.ts'
import { cacheRoutes } from './cache.ts'
import { deadLetterRoutes } from './dead-letters.ts'
import { explainRoutes } from './explain.ts'
import { limitRoutes } from './limits.ts'
import { lockRoutes } from './locks.ts'
import { meRoutes, versionOf } from './me.ts'
import { namespaceRoutes } from './namespaces.ts'
import { onceRoutes } from './once.ts'
import { operationRoutes } from './operations.ts'
import { overviewRoutes } from './overview.ts'
import { queueRoutes } from './queues.ts'
import { sessionRoutes } from './sessions.ts'
import { slowlogRoutes } from './slowlog.ts'
import { tagRoutes } from './tags.ts'
import { tokenRoutes } from './tokens.ts'

/** Every route; the first that fits is the one. */
export const ROUTES: readonly Route[] = [
  ...meRoutes,
  ...overviewRoutes,
  ...cacheRoutes,
  ...explainRoutes,
  ...namespaceRoutes,
  ...tagRoutes,
  ...limitRoutes,
  ...lockRoutes,
  ...onceRoutes,
  ...sessionRoutes,
  ...tokenRoutes,
  ...queueRoutes,
  ...deadLetterRoutes,
  ...slowlogRoutes,
  ...operationRoutes,
  {
    method: 'GET',
    path: '/api/v1/openapi.json',
    permission: 'me',
    summary: 'This document.',
    tenants: true,
    handle: async ({ basePath }) => openApi(ROUTES, basePath, versionOf()),
  },
]
