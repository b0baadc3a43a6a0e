/**
 * Culi's backend, alone: `npx tsx examples/culi/server.ts`. Without UPSTREAM_URL it brings a simulated
 * KiotViet, without REDIS_URL (or REDIS_ENABLED=true) it keeps everything in this process.
 */
import { hkdfSync } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { configFromEnv, type Duration, holdfast } from 'holdfast'
import { z } from 'zod'
import { SHOPS, startKiotViet } from '../simulators/kiotviet.ts'
import { createApp, type Principal } from './app.ts'
import { KiotViet, type Shop } from './kiotviet.ts'

/** One workspace per shop; `users` by their tokens. */
const Workspaces = z.array(
  z.strictObject({
    retailer: z.string().min(1),
    clientId: z.string().min(1),
    clientSecret: z.string().min(16),
    users: z.record(z.string().min(8), z.string().min(1)),
  }),
)
type Workspace = z.infer<typeof Workspaces>[number]

const DEMO_USERS: Record<string, string>[] = [
  { 'token-of-anna': 'anna', 'token-of-binh': 'binh' },
  { 'token-of-chi': 'chi' },
]

export interface CuliServer {
  url: string
  upstream: string
  /** Where the state lives, password masked. */
  target: string
  close(): Promise<void>
}

export async function startCuli(env: NodeJS.ProcessEnv = process.env): Promise<CuliServer> {
  const config = configFromEnv(env)
  for (const warning of config.warnings) console.warn(`warning: ${warning}`)
  const workspaces = workspacesOf(env)

  const simulator = env.UPSTREAM_URL
    ? undefined
    : await startKiotViet({ port: Number(env.SIMULATOR_PORT || 0) })
  const upstream = simulator?.url ?? env.UPSTREAM_URL!
  const hf = holdfast({ namespace: 'culi', ...config.options, encryption: encryptionOf(env, workspaces) })
  try {
    const address = {
      api: upstream,
      tokenUrl: env.KIOTVIET_TOKEN_URL || `${upstream}/connect/token`,
      timeout: (env.KIOTVIET_TIMEOUT || undefined) as Duration | undefined,
    }
    const shops = new Map(workspaces.map((shop) => [shop.retailer, new KiotViet(hf, shop, address)]))
    const app = await createApp({
      hf,
      shops,
      users: usersOf(workspaces),
      planLease: (env.CULI_PLAN_LEASE || undefined) as Duration | undefined,
    })
    const url = await app.listen({ host: env.HOST || '127.0.0.1', port: Number(env.PORT || 3100) })
    const known = env.PUBLIC_URL || (simulator && url)
    // KiotViet being away is no reason not to start: what is kept is dropped by its age then.
    if (known)
      await Promise.allSettled(
        [...shops].map(([name, shop]) => shop.subscribe(`${known}/webhooks/kiotviet/${name}`)),
      )
    const close = async () => {
      await app.close() // and hf with it
      await simulator?.close()
    }
    return { url, upstream, target: config.target, close }
  } catch (error) {
    await hf.close()
    await simulator?.close()
    throw error
  }
}

function workspacesOf({ CULI_WORKSPACES: text }: NodeJS.ProcessEnv): Workspace[] {
  if (!text) return SHOPS.map((shop, i) => ({ ...shop, users: DEMO_USERS[i]! }))
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new Error('CULI_WORKSPACES is not JSON') // the parser would quote it, secrets included
  }
  return Workspaces.parse(given)
}

/** All processes need the same key. Where none is given, it follows from what they have in common. */
function encryptionOf(
  env: NodeJS.ProcessEnv,
  shops: readonly Shop[],
): { keys: Record<string, string | Uint8Array> } {
  if (env.CULI_ENCRYPTION_KEY) return { keys: { given: env.CULI_ENCRYPTION_KEY } }
  const secrets = JSON.stringify(shops.map(({ clientSecret }) => clientSecret))
  return { keys: { derived: new Uint8Array(hkdfSync('sha256', secrets, '', 'culi at rest', 32)) } }
}

function usersOf(workspaces: readonly Workspace[]): Record<string, Principal> {
  return Object.fromEntries(
    workspaces.flatMap(({ retailer, users }) =>
      Object.entries(users).map(([token, user]) => [token, { user, workspace: retailer }]),
    ),
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { close, ...server } = await startCuli()
  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(end, () => void close())
  // Forked by the demo, it reports there and ends with it; alone, it says where it is.
  if (process.connected) process.send?.({ ...server, ready: true })
  else if (process.send) await close()
  else
    console.log(`culi on ${server.url}/products, state in ${server.target}, KiotViet at ${server.upstream}`)
}
