/**
 * Saves what the servers took: `REDIS_URL=… DATABASE_URL=… npx tsx examples/chatbot/worker.ts`. Start
 * as many as you like: they share the chats, each chat stays in order.
 */
import { pathToFileURL } from 'node:url'
import { configFromEnv, holdfast } from 'holdfast'
import { Background } from './background.ts'
import { Database } from './database.ts'

export async function startWorker(env: NodeJS.ProcessEnv = process.env): Promise<{ close(): Promise<void> }> {
  const config = configFromEnv(env)
  for (const warning of config.warnings) console.warn(`warning: ${warning}`)
  if (config.options.redis === undefined || !env.DATABASE_URL) {
    throw new Error('a worker needs REDIS_URL and DATABASE_URL; without them the server does its work itself')
  }
  const database = await Database.open(env.DATABASE_URL, Number(env.DATABASE_CONNECTIONS || 4))
  const hf = holdfast({ namespace: 'chatbot', ...config.options })
  new Background(hf, { database })
  return {
    async close() {
      await hf.close() // lets running batches finish
      await database.close()
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close } = await startWorker()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  if (process.connected) process.send?.({ ready: true })
  else if (process.send) await close()
  else console.log('working')
}
