/**
 * The insight backend, alone: `npx tsx examples/insight/server.ts`. Without DATABASE_URL it brings its own
 * PostgreSQL (PGlite), without LLM_URL its own simulated LLM, without REDIS_URL it keeps cache, limits and
 * sessions in process memory.
 */
import { pathToFileURL } from 'node:url'
import { type Clock, holdfast } from 'holdfast'
import { createAdmin } from 'holdfast/admin'
import { LLM_KEY, startLlm } from '../simulators/llm.ts'
import { openedParts } from '../simulators/opened.ts'
import { startPostgres } from '../simulators/postgres.ts'
import { Accounts } from './accounts.ts'
import { Analyst } from './analyst.ts'
import { createApp } from './app.ts'
import { Connections } from './connection.ts'
import { Database } from './database.ts'
import { settingsFrom } from './settings.ts'

export interface InsightServer {
  url: string
  upstream: string
  database: string
  /** Where the cache lives, password masked. */
  target: string
  /** `name:password` of the account that was made up, where ACCOUNTS named none. */
  account?: string
  /** The administration's, where ADMIN_TOKEN names one. */
  adminTokens?: { enterprise: string }
  close(): Promise<void>
}

/** @param clock of the cache and the limits, for simulation */
export async function startInsight(
  env: NodeJS.ProcessEnv = process.env,
  clock?: Clock,
): Promise<InsightServer> {
  const { options, target, warnings, encryptionKey } = settingsFrom(env)
  for (const warning of warnings) console.warn(`warning: ${warning}`)
  const accounts = new Accounts(env.ACCOUNTS)
  const connections = new Connections(encryptionKey, env.PG_HOSTS)
  const hf = holdfast({ ...options, clock })

  const { opened, close } = openedParts(hf)
  try {
    const upstream = env.LLM_URL || opened(await startLlm()).url
    const databaseUrl = env.DATABASE_URL || opened(await startPostgres()).url
    const database = opened(await Database.open(databaseUrl))
    const analyst = new Analyst(upstream, env.LLM_API_KEY || LLM_KEY)
    const sessionLife = Number(options.cache?.namespaces?.session_state?.ttl)
    const secureCookie = env.COOKIE_SECURE === 'true'
    const token = env.ADMIN_TOKEN
    const tokens = [{ name: 'ops', edition: 'enterprise' as const, token }]
    const admin = token ? createAdmin({ holdfast: hf, basePath: '/admin', tokens }) : undefined
    const app = opened(
      await createApp({ hf, database, analyst, accounts, connections, sessionLife, secureCookie, admin }),
    )
    const url = await app.listen({ host: env.HOST || '127.0.0.1', port: Number(env.PORT || 3104) })
    const account = accounts.made && `${accounts.made.user}:${accounts.made.password}`
    const about = { ...(account && { account }), ...(token && { adminTokens: { enterprise: token } }) }
    return { url, upstream, database: databaseUrl, target, ...about, close }
  } catch (error) {
    await close()
    throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close, ...server } = await startInsight()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked by the demo, it reports there and ends with it; alone, it says where it is.
  if (process.connected) process.send?.({ ...server, ready: true })
  else if (process.send) await close()
  else {
    console.log(`insight on ${server.url}/api/v1, cache in ${server.target}`)
    if (server.account) console.log(`account: ${server.account}`)
  }
}
