/**
 * The chatbot, alone: `npx tsx examples/chatbot/server.ts`. Without DATABASE_URL it brings its own
 * PostgreSQL (PGlite), without REDIS_URL it keeps cache, conversations and queues in this process and
 * a local file. With REDIS_URL the writing is left to `worker.ts`, unless WORKER=inline.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { configFromEnv, holdfast } from 'holdfast'
import { createAdmin } from 'holdfast/admin'
import { listen } from '../simulators/listen.ts'
import { startPostgres } from '../simulators/postgres.ts'
import { createApp } from './app.ts'
import { Background } from './background.ts'
import { ChatCache } from './chat-cache.ts'
import { ChatService } from './chat-service.ts'
import { Conversations } from './conversation.ts'
import { Database } from './database.ts'
import { serveSockets } from './sockets.ts'

export interface ChatbotServer {
  url: string
  database: string
  /** Where cache and queues live, password masked. */
  target: string
  operatorToken: string
  /** The administration's, where ADMIN_TOKEN names one. */
  adminTokens?: { enterprise: string }
  close(): Promise<void>
}

export async function startChatbot(env: NodeJS.ProcessEnv = process.env): Promise<ChatbotServer> {
  const config = configFromEnv(env)
  for (const warning of config.warnings) console.warn(`warning: ${warning}`)
  const started: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const end of started.splice(0)) await end()
  }
  try {
    const wantedPort = Number(env.PORT || 3101)
    let url = env.DATABASE_URL
    // Of this server alone; started again on its port, it finds what it had taken.
    let directory = join(env.CHATBOT_DIR || join(tmpdir(), 'holdfast-chatbot'), String(wantedPort))
    if (!url) {
      const postgres = await startPostgres()
      started.unshift(() => postgres.close())
      url = postgres.url
      // What waits for a database that ends with us has nowhere to go later.
      directory = await mkdtemp(join(tmpdir(), 'holdfast-chatbot-'))
      started.unshift(() => rm(directory, { recursive: true, force: true }))
    }
    const database = await Database.open(url)
    started.unshift(() => database.close())
    const hf = holdfast({ namespace: 'chatbot', ...config.options })
    started.unshift(() => hf.close())

    const works = config.options.redis === undefined || env.WORKER === 'inline'
    const background = new Background(hf, { directory, ...(works && { database }) })
    const chats = new ChatCache(hf.cache, database)
    const service = new ChatService({ chats, conversations: new Conversations(hf), background, database })

    const operatorToken = env.OPERATOR_TOKEN || randomBytes(18).toString('base64url')
    const token = env.ADMIN_TOKEN
    const tokens = [{ name: 'ops', edition: 'enterprise' as const, token }]
    const admin = token ? createAdmin({ holdfast: hf, basePath: '/admin', tokens }) : undefined
    if (admin) started.unshift(() => admin.close())
    const app = createApp({ hf, service, background, database, operatorToken, admin })
    const server = createServer(getRequestListener(app.fetch))
    const sockets = serveSockets(server, service, { origins: env.ORIGINS?.split(',') ?? [] })
    const { port, close: stopListening } = await listen(server, wantedPort)
    started.unshift(() => sockets.close().then(stopListening))
    const about = token && { adminTokens: { enterprise: token } }
    return {
      url: `http://127.0.0.1:${port}`,
      database: url,
      target: config.target,
      operatorToken,
      ...about,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close, ...server } = await startChatbot()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked by the demo, it reports there and ends with it; alone, it says where it is.
  if (process.connected) process.send?.({ ...server, ready: true })
  else if (process.send) await close()
  else {
    console.log(`chat on ${server.url}/, queue in ${server.target}`)
    console.log(`operator token: ${server.operatorToken}`)
  }
}
