import { randomBytes } from 'node:crypto'
import { configFromEnv, type HoldfastOptions } from 'holdfast'

/** Lives by cache namespace, in seconds: CACHE_TTL_DATASET_LIST and so on override them. */
export const TTLS = {
  dataset_list: 60,
  dataset_content: 300,
  query_result: 300,
  session_state: 1_800,
  pg_connection: 600,
  llm_models: 3_600,
}

/** Of each user and of each address, independent of each other: RATE_LIMIT_QUERY and so on override them. */
export const LIMITS = {
  default: '100/hour',
  query: '20/minute',
  upload: '50/hour',
  dataset_ops: '200/hour',
  auth: '10/minute',
}

export interface Settings {
  options: HoldfastOptions
  target: string
  warnings: string[]
  /** 32 bytes as base64: encrypts sessions, cached connections, and those in the table. */
  encryptionKey: string
}

export function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  const { options, target, warnings } = configFromEnv(env, { ttls: TTLS, limits: LIMITS })
  if (options.redis !== undefined && !env.ENCRYPTION_KEY) {
    warnings.push('ENCRYPTION_KEY is not set: no other process can read sessions and connections of this one')
  }
  const encryptionKey = env.ENCRYPTION_KEY || randomBytes(32).toString('base64')
  const namespaces = options.cache?.namespaces ?? {}
  const cache = {
    ...options.cache,
    namespaces: {
      ...namespaces,
      pg_connection: { ...namespaces.pg_connection, sensitive: true },
      // An answer is waited for; what is past its life is for when there is no other.
      query_result: {
        ...namespaces.query_result,
        stale: Number(env.QUERY_STALE || 0) * 1_000,
        timeout: { soft: false, hard: '60s' },
      },
    },
  } as const
  const encryption = { keys: { k1: encryptionKey } }
  return { options: { namespace: 'insight', ...options, cache, encryption }, target, warnings, encryptionKey }
}
