import { type Check, isData, ms, ofServers, percentile } from '../check.ts'
import { dangerousCalls, numberOf } from '../evidence.ts'
import { fail, pass, skip, type Verdict, warn } from '../finding.ts'
import { SAVE_FAILED } from '../trouble.ts'

const HOUR_S = 3_600
const SLOW_US = 10_000
const TEN_MINUTES_S = 600

/** D14 to D18, D21, D22: how the server does its work. */
export const serverChecks: readonly Check[] = [
  ofServers('D14', 'Persistence', (server, { now }) => {
    const { info, refusesWrites, config, vendor } = server
    const broken = ['rdb_last_bgsave_status', 'aof_last_write_status', 'aof_last_bgrewrite_status'].filter(
      (field) => info[field] !== undefined && info[field] !== 'ok',
    )
    if (refusesWrites === 'MISCONF' || broken.length > 0) {
      return fail(
        `${refusesWrites === 'MISCONF' ? 'MISCONF: the server refuses writes; ' : ''}${broken.join(', ') || 'the last save'} failed`,
        SAVE_FAILED.cause,
        SAVE_FAILED.mend,
      )
    }
    if (!isData(server)) return pass('a cache may start empty')
    if (info.aof_enabled === '1') return pass('append-only file, last write ok')
    const cause = 'a crash loses queued messages, sessions and records of runs'
    const mend = 'switch the append-only file on: --appendonly yes --appendfsync everysec'
    if (info.aof_enabled === undefined) return skip('the server does not tell how it persists')
    if (vendor?.managed)
      return warn(`no append-only file at ${vendor.name}`, cause, 'choose a plan that persists')
    const savedAt = numberOf(info, 'rdb_last_save_time') ?? 0
    const startedAt = now / 1_000 - (numberOf(info, 'uptime_in_seconds') ?? 0)
    // Redis says the time of its start while it has not saved yet.
    const saves = config?.save !== undefined ? config.save !== '' : savedAt > startedAt + 5
    if (!saves) return fail('neither append-only file nor snapshots', cause, mend)
    const age = Math.max(0, now / 1_000 - savedAt)
    const old = age > HOUR_S ? `, the last ${Math.round(age / HOUR_S)} h old` : ''
    return warn(`snapshots only${old}`, 'a crash loses what came after the last snapshot', mend)
  }),

  ofServers('D15', 'Connections', ({ info }) => {
    const clients = numberOf(info, 'connected_clients')
    const most = numberOf(info, 'maxclients')
    const rejected = numberOf(info, 'rejected_connections') ?? 0
    if (clients === undefined || !most) return skip('the server does not tell how many it takes')
    const share = clients / most
    const seen = `${clients} of ${most} connections${rejected > 0 ? `, ${rejected} rejected since its start` : ''}`
    const cause = 'processes open connections and keep them, or maxclients is low'
    const mend =
      'Holdfast needs two per process: look for other clients with CLIENT LIST; raise maxclients and the limit of open files'
    if (rejected > 0 || share > 0.8) return fail(seen, cause, mend)
    return share < 0.5 ? pass(seen) : warn(seen, cause, mend)
  }),

  ofServers('D16', 'Waiting for the connection', ({ burst, pings }) => {
    const p99 = percentile(burst, 0.99)
    if (p99 === undefined) return skip('no call was answered')
    const wait = Math.max(0, p99 - (percentile(pings, 0.5) ?? 0))
    const seen = `of ${burst.length} calls of one moment the slowest percent waits ${ms(wait)} longer than one alone`
    if (wait < 5) return pass(seen)
    const cause = 'this process or the server is busy: calls stand in line behind each other'
    const mend =
      'look for long synchronous work in the process, for large values (D12) and slow commands (D17)'
    return wait <= 50 ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D17', 'Slow and dangerous commands', (server, { last, now }) => {
    const recent = server.slow?.filter(
      ({ at, microseconds }) => microseconds > SLOW_US && at > now / 1_000 - TEN_MINUTES_S,
    )
    const calls = dangerousCalls(server.info)
    const before = last?.servers[server.address]
    const rose = before !== undefined && before.runId === server.info.run_id && calls > before.dangerous
    const names = [...new Set(recent?.map(({ command }) => command))].join(', ')
    const slow =
      recent === undefined ? 'the slow log may not be read' : `${recent.length} over 10 ms in 10 minutes`
    const seen = `${slow}${names && ` (${names})`}; KEYS and MONITOR: ${calls} calls`
    const count = recent?.length ?? 0
    const cause = [
      ...(count > 0 ? ['while a slow command runs, everybody else waits'] : []),
      ...(calls > 0 ? ['KEYS walks over all keys at once, MONITOR halves the throughput'] : []),
    ].join('; ')
    const mend =
      'use SCAN or holdfast keys instead of KEYS, holdfast top instead of MONITOR; split large collections; take both commands away from applications by ACL'
    if (count > 10 || rose) return fail(seen, cause, mend)
    return count > 0 || calls > 0 ? warn(seen, cause, mend) : pass(seen)
  }),

  ofServers('D18', 'Command times', ({ info }) => {
    const found = Object.entries(info).flatMap(([name, text]) => {
      const command = /^latency_percentiles_usec_(.+)$/.exec(name)?.[1]
      const p99 = Number(/p99=([\d.]+)/.exec(text)?.[1])
      // Who waits on purpose is not slow.
      const waits = command !== undefined && /^b[lrz]|^x?read|wait|^bz/.test(command)
      return command === undefined || !Number.isFinite(p99) || waits ? [] : [{ command, ms: p99 / 1_000 }]
    })
    const slowest = found.sort((a, b) => b.ms - a.ms)[0]
    if (slowest === undefined) return skip('the server keeps no times of commands (Redis 7 does)')
    const seen = `p99 of the slowest, ${slowest.command}: ${ms(slowest.ms)}`
    if (slowest.ms < 10) return pass(seen)
    const cause = 'large values, large collections, or a processor that is busy with something else'
    const mend = 'look at D12 and D17; give the server a processor of its own'
    return slowest.ms <= 50 ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D21', 'Clock', ({ skewMs }) => {
    if (skewMs === undefined) return skip('the server does not tell its time')
    const off = Math.abs(skewMs)
    const seen = `the server's clock is ${ms(off)} ${skewMs < 0 ? 'behind' : 'ahead of'} this machine's`
    if (off < 100) return pass(seen)
    const cause = 'one of the two machines does not keep its time by NTP'
    const mend = 'switch chrony or systemd-timesyncd on, on both'
    return off < 1_000 ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D22', 'Replicas', ({ info }) => judgeReplicas(info)),
]

function judgeReplicas(info: Readonly<Record<string, string>>): Verdict {
  const cause = 'the replica cannot keep up, or the network between them is interrupted'
  const mend =
    'look at its log and at client-output-buffer-limit replica; a failover now would lose the difference'
  if (info.role === 'slave') {
    const behind = numberOf(info, 'master_last_io_seconds_ago') ?? 0
    if (info.master_link_status !== 'up') return fail('the link to the master is down', cause, mend)
    return behind > 10 ? fail(`${behind} s behind`, cause, mend) : pass(`${behind} s behind its master`)
  }
  const replicas = Object.entries(info).filter(([name]) => /^slave\d+$/.test(name))
  if (replicas.length === 0) return pass('no replicas')
  const lags = replicas.map(([, text]) => Number(/lag=(-?\d+)/.exec(text)?.[1] ?? 0))
  const offline = replicas.filter(([, text]) => !text.includes('state=online')).length
  const most = Math.max(...lags)
  const seen = `${replicas.length} replicas, ${offline} not online, up to ${most} s behind`
  if (offline > 0 || most > 10) return fail(seen, cause, mend)
  // INFO counts whole seconds, and a healthy replica reports once in each.
  return most > 1 ? warn(seen, cause, mend) : pass(seen)
}
