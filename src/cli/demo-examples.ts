import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Backend } from './demo-backend.ts'
import { tourTasks } from './demo-tasks.ts'
import type { Tour } from './demo-tour.ts'

/** A backend of the examples, as the demo brings it up. */
export interface Example {
  /** Inside `examples/`. */
  readonly server: string
  readonly what: string
  /** Where a backend's address leads. */
  readonly path: string
  readonly port: number
  /** Whether it keeps tables. */
  readonly hasDatabase?: true
  /** Its visitors meet limits, so that each run has a namespace of its own; all in it has a life. */
  readonly isLimited?: true
  /** A file inside `examples/` exports `tour`, where it needs what the package does not. */
  readonly tour?: string | ((backends: readonly Backend[]) => Tour)
  /** What a second process is told of the first, so that both share one world. */
  share?(first: Backend): NodeJS.ProcessEnv
}

export const EXAMPLES_FOLDER = new URL('../../examples/', import.meta.url)

export const EXAMPLES: Readonly<Record<string, Example>> = {
  culi: {
    server: 'culi/server.ts',
    what: 'an assistant over KiotViet: token, cached reads, webhooks, limits, plans that run once',
    path: '/healthz',
    port: 3100,
    tour: 'culi/tour.ts',
    share: ({ upstream = '' }) => ({ UPSTREAM_URL: upstream }),
  },
  chatbot: {
    server: 'chatbot/server.ts',
    what: 'a chat over WebSocket whose answers do not wait for the database',
    path: '/',
    port: 3101,
    hasDatabase: true,
    tour: 'chatbot/tour.ts',
    share: ({ operatorToken = '' }) => ({ OPERATOR_TOKEN: operatorToken }),
  },
  metrics: {
    server: 'metrics/server.ts',
    what: 'dashboards over Meta, Google Ads and GA4',
    path: '/api/v1/accounts',
    port: 3102,
    tour: 'metrics/tour.ts',
    share: ({ upstreams = {} }) => ({
      META_URL: upstreams.meta,
      GOOGLE_ADS_URL: upstreams['google-ads'],
      GA4_URL: upstreams.ga4,
    }),
  },
  tasks: {
    server: 'tasks/server.ts',
    what: 'a tasks API over PostgreSQL, beside a slow exchange-rate service',
    path: '/api/v1/tasks',
    port: 3103,
    hasDatabase: true,
    tour: tourTasks,
    share: ({ upstream = '', adminTokens = {} }) => ({
      UPSTREAM_URL: upstream,
      ADMIN_TOKENS: Object.entries(adminTokens)
        .map(([name, token]) => `${name}:${token}`)
        .join(),
    }),
  },
  insight: {
    server: 'insight/server.ts',
    what: 'questions over data, which an LLM answers, each paid for once',
    path: '/api/v1/models',
    port: 3104,
    hasDatabase: true,
    isLimited: true,
    tour: 'insight/tour.ts',
    share: ({ upstream = '', account = '' }) => ({ LLM_URL: upstream, ACCOUNTS: account }),
  },
}

export const isThere = (file: string): boolean => existsSync(new URL(file, EXAMPLES_FOLDER))

export const scriptOf = (file: string): string => fileURLToPath(new URL(file, EXAMPLES_FOLDER))

export async function tourOf({
  tour,
}: Example): Promise<((backends: readonly Backend[]) => Tour) | undefined> {
  if (typeof tour !== 'string') return tour
  if (!isThere(tour)) return undefined
  const file = (await import(new URL(tour, EXAMPLES_FOLDER).href)) as {
    tour(backends: readonly Backend[]): Tour
  }
  return file.tour
}
