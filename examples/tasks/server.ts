/**
 * The tasks backend, alone: `npx tsx examples/tasks/server.ts`. Without DATABASE_URL it brings its own
 * PostgreSQL (PGlite), without UPSTREAM_URL its own slow exchange-rate service, without REDIS_URL it
 * caches in process memory.
 */
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { configFromEnv, holdfast } from 'holdfast'
import { listen } from '../simulators/listen.ts'
import { openedParts } from '../simulators/opened.ts'
import { startPostgres } from '../simulators/postgres.ts'
import { startSlowUpstream } from '../simulators/slow-upstream.ts'
import { type AdminTokens, administration, adminTokens } from './administration.ts'
import { createApp } from './app.ts'
import { TaskTable } from './db.ts'
import { cachedRates, warmRates } from './rates.ts'

export interface TasksServer {
  url: string
  upstream: string
  database: string
  /** Where the cache lives, password masked. */
  target: string
  /** By edition: those of the environment, or those that were made up. */
  adminTokens: AdminTokens
  close(): Promise<void>
}

export async function startTasks(env: NodeJS.ProcessEnv = process.env): Promise<TasksServer> {
  const config = configFromEnv(env)
  for (const warning of config.warnings) console.warn(`warning: ${warning}`)
  const hf = holdfast({ namespace: 'tasks', ...config.options })

  const { opened, close } = openedParts(hf)
  try {
    const upstream = env.UPSTREAM_URL || opened(await startSlowUpstream()).url
    const database = env.DATABASE_URL || opened(await startPostgres()).url
    const tasks = opened(await TaskTable.open(database))
    const rates = cachedRates(hf.cache, upstream)
    if (env.WARM) await warmRates(rates, env.WARM.split(','))
    const tokens = adminTokens(env.ADMIN_TOKENS)
    const admin = opened(administration(hf, tokens))
    const app = createApp({ hf, tasks, rates, admin })
    const { port } = opened(
      await listen(createServer(getRequestListener(app.fetch)), Number(env.PORT || 3103)),
    )
    const url = `http://127.0.0.1:${port}`
    return { url, upstream, database, target: config.target, adminTokens: tokens, close }
  } catch (error) {
    await close()
    throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close, ...server } = await startTasks()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked by the demo, it reports there and ends with it; alone, it says where it is.
  if (process.connected) process.send?.(server)
  else if (process.send) await close()
  else {
    console.log(`tasks on ${server.url}/api/v1/tasks, cache in ${server.target}`)
    const made = process.env.ADMIN_TOKENS ? [] : Object.entries(server.adminTokens)
    for (const [edition, token] of made) console.log(`${edition} token: ${token}`)
  }
}
