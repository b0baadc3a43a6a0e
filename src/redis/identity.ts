import { RedisUnavailable } from '../base/errors.ts'
import type { Session } from './session.ts'

/** What a connection proved about the server behind it. */
export interface Identity {
  readonly runId: string
  readonly replid: string
  readonly role: string
  readonly version: string | undefined
  readonly clock: TimeSample
}

/** One reading of the server's clock: it showed `server` ms between `from` and `to` on ours. */
export interface TimeSample {
  readonly server: number
  readonly from: number
  readonly to: number
}

/**
 * Asks a fresh link who is there. INFO travels on this very socket, so a proxy or a failover
 * between two connections cannot mislead us.
 */
export async function identify(session: Session, deadline: number, mono: () => number): Promise<Identity> {
  const options = { deadline, as: 'text' } as const
  const [server, replication, clock] = await Promise.all([
    session.send(['INFO', 'server'], options),
    session.send(['INFO', 'replication'], options),
    readTime(session, deadline, mono),
    // A server that still loads its data answers INFO and TIME, but LOADING to this.
    session.send(['PING'], options),
  ])
  const serverInfo = parseInfo(server)
  const replicationInfo = parseInfo(replication)
  const role = replicationInfo.get('role') ?? ''
  if (!role) throw new RedisUnavailable(`${session.link.address} does not tell its role in INFO replication`)
  return {
    runId: serverInfo.get('run_id') || startSecond(serverInfo, clock),
    replid: replicationInfo.get('master_replid') ?? '',
    role,
    version: serverInfo.get('valkey_version') ?? serverInfo.get('redis_version'),
    clock,
  }
}

/** Role and replication id alone: what can change while a socket stays open. */
export async function recheck(session: Session, deadline: number, mono: () => number) {
  const [replication, clock] = await Promise.all([
    session.send(['INFO', 'replication'], { deadline, as: 'text' }),
    readTime(session, deadline, mono),
  ])
  const info = parseInfo(replication)
  return { role: info.get('role') ?? '', replid: info.get('master_replid') ?? '', clock }
}

/** `run_id.master_replid`: changes on restart, on failover and on a full resynchronisation. */
export const incarnationOf = (identity: Pick<Identity, 'runId' | 'replid'>): string =>
  `${identity.runId}.${identity.replid}`

async function readTime(session: Session, deadline: number, mono: () => number): Promise<TimeSample> {
  const from = mono()
  const reply = await session.send(['TIME'], { deadline, as: 'text' })
  const [seconds, micros] = Array.isArray(reply) ? reply : []
  const server = Number(seconds) * 1_000 + Number(micros) / 1_000
  if (!Number.isFinite(server)) throw new RedisUnavailable(`${session.link.address} does not tell the TIME`)
  return { server, from, to: mono() }
}

/** For servers that hide run_id: the second they started, which differs after a restart. */
function startSecond(info: ReadonlyMap<string, string>, clock: TimeSample): string {
  const uptime = Number(info.get('uptime_in_seconds'))
  return Number.isFinite(uptime) ? `start-${Math.round(clock.server / 1_000 - uptime)}` : ''
}

export function parseInfo(reply: unknown): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of String(reply).split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && line[0] !== '#') fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}
