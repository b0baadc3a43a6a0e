import { Command } from 'commander'
import type { TokenGrant } from '../admin/bearer.ts'
import { type Edition, isEdition } from '../admin/permissions.ts'
import { type AdminServer, serveAdmin } from '../admin/server.ts'
import { CliError, type Io } from './io.ts'
import { type Common, type Session, whole, withCommon, withSession } from './session.ts'

interface ServeFlags extends Common {
  readonly host: string
  readonly port: number
  readonly dashboard: boolean
}

export function serveCommand(io: Io): Command {
  return withCommon(new Command('serve'))
    .description('admin API and dashboard beside any Redis, until Ctrl-C')
    .option('--host <address>', 'to listen on; off loopback only with tokens', '127.0.0.1')
    .option('--port <number>', '0: any that is free', whole(0, 65_535), 7_433)
    .option('--no-dashboard', 'the API alone')
    .addHelpText(
      'after',
      `
HOLDFAST_ADMIN_TOKENS=<name>:<edition>:<token>[,…] lets in who brings a token of at least 32
characters; editions are community, business and enterprise. Without it only this machine gets in.`,
    )
    .action((flags: ServeFlags) => withSession(io, flags, (session) => serve(session, flags)))
}

async function serve(session: Session, { host, port, dashboard }: ServeFlags): Promise<void> {
  const { hf, io, print, config, json } = session
  const tokens = tokensOf(io.env.HOLDFAST_ADMIN_TOKENS)
  let server: AdminServer
  try {
    server = await serveAdmin({ holdfast: hf, host, port, dashboard, ...(tokens && { tokens }) })
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error
    throw new CliError(
      `port ${port} is taken`,
      `see by whom (lsof -i :${port}), or give another: --port ${port + 1}`,
    )
  }
  json({ url: server.url, target: config.target, authenticated: tokens !== undefined })
  print.line(`${print.bold('holdfast serve')}: ${config.target}`)
  print.line(`  ${dashboard ? 'dashboard and API' : 'API'}  ${server.url}${dashboard ? '/' : '/api/v1/'}`)
  print.line(
    `  ${tokens ? `${tokens.length} tokens` : 'no tokens: whoever is on this machine may do everything'}`,
  )
  print.line(print.dim('Until Ctrl-C.'))
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve()
    io.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await server.close()
}

/** @throws CliError, never with a token in it */
function tokensOf(text: string | undefined): TokenGrant[] | undefined {
  if (!text?.trim()) return undefined
  return text.split(',').map((part, i) => {
    const [name = '', edition = '', token = '', namespace] = part.trim().split(':')
    if (name === '' || token === '' || !isEdition(edition)) {
      throw new CliError(
        `entry ${i + 1} of HOLDFAST_ADMIN_TOKENS is not <name>:<edition>:<token>`,
        'editions are community, business and enterprise',
      )
    }
    return { name, edition: edition satisfies Edition, token, namespace }
  })
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
