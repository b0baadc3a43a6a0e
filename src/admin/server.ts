import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { type Admin, type AdminOptions, createAdmin } from './admin.ts'
import { answerNode } from './node.ts'

/** What `serveAdmin` takes: who may come in, and where it listens. */
export interface ServeAdminOptions extends Omit<AdminOptions, 'bound'> {
  /**
   * Address to listen on. Off loopback it needs `tokens` or `jwt`; put TLS before it.
   * @default '127.0.0.1'
   */
  readonly host?: string | undefined
  /** 0: any that is free. @default 7433 */
  readonly port?: number | undefined
}

/** An administration that listens. */
export interface AdminServer {
  /** `http://127.0.0.1:7433`, base path included. */
  readonly url: string
  readonly admin: Admin
  readonly server: Server
  /** Ends streams, lets open answers end, then closes the port. The instance stays open. Idempotent. */
  close(): Promise<void>
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/
/** Longest that an answer other than a stream may take to end once the server closes, ms. */
const GRACE_MS = 5_000
const SWEEP_MS = 20
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000

/**
 * The administration and its dashboard as a server of its own. On loopback without `tokens` and `jwt`
 * whoever is on this machine is Enterprise.
 * @throws InvalidOption for an address off loopback without authentication, and as `createAdmin`; the
 * error of node:http when the port cannot be had
 */
export async function serveAdmin(options: ServeAdminOptions): Promise<AdminServer> {
  const { host = '127.0.0.1', port = 7433, ...rest } = options
  const authenticated = rest.jwt !== undefined || (rest.tokens?.length ?? 0) > 0
  if (typeof host !== 'string' || host === '') {
    throw new InvalidOption('host is no address', "write one such as '127.0.0.1'")
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidOption('port is none', 'give a whole number from 0 to 65535')
  }
  if (!authenticated && !LOOPBACK.test(host)) {
    throw new InvalidOption(
      'an administration without authentication may not listen beyond this machine',
      "give tokens or jwt, or listen on '127.0.0.1'",
    )
  }
  const open = authenticated ? rest.open : true
  const admin = createAdmin({ ...rest, open, bound: { host, authenticated } })
  const server = createServer((req, res) => void answerNode(admin, req, res))
  server.headersTimeout = HEADERS_MS
  server.requestTimeout = REQUEST_MS
  try {
    await listen(server, port, host)
  } catch (error) {
    await admin.close()
    throw error
  }
  const { address, family, port: bound } = server.address() as AddressInfo
  const shown = family === 'IPv6' ? `[${address}]` : address
  let closing: Promise<void> | undefined
  return {
    url: `http://${shown}:${bound}${rest.basePath ?? ''}`,
    admin,
    server,
    close() {
      closing ??= end(admin, server, rest.clock ?? systemClock)
      return closing
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function end(admin: Admin, server: Server, clock: Clock): Promise<void> {
  await admin.close()
  const cut = clock.after(GRACE_MS, () => server.closeAllConnections())
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  // A connection whose stream has just ended is idle a moment later, and would be kept for the next request.
  let next: Timer
  const sweep = () => {
    server.closeIdleConnections()
    next = clock.after(SWEEP_MS, sweep)
  }
  sweep()
  await closed
  next!.cancel()
  cut.cancel()
}
