import { type Check, ms, ofServers, percentile } from '../check.ts'
import type { Reach } from '../evidence.ts'
import { fail, pass, skip, type Verdict, warn } from '../finding.ts'
import { isWindowsArchive } from '../vendor.ts'

const FAST_MS = 2
const SLOW_MS = 10

const PLACES: Readonly<Record<Reach, string>> = {
  loopback: 'on this machine',
  private: 'in a private network',
  public: 'at a public address',
}

/** D1 to D5: is it there, does it ask who we are, and what is it. */
export const connectionChecks: readonly Check[] = [
  ofServers('D1', 'Round trip', ({ pings, address }) => {
    const p50 = percentile(pings, 0.5)
    if (p50 === undefined) {
      return fail(
        `${address} answers no PING`,
        'it is frozen, overloaded, or the network drops what is sent',
        'look at its log and its processor, and at the network in between',
      )
    }
    const seen = `PING takes ${ms(p50)} (p50 of ${pings.length})`
    if (p50 < FAST_MS) return pass(`PONG: ${seen}`)
    const cause = 'the server is far away, or busy'
    const mend =
      'put application and Redis in one zone; look at D17 and D18; the L1 copies of the cache need no round trip'
    return p50 <= SLOW_MS ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D2', 'Authentication', ({ door, reach }) => {
    if (door === 'user') return pass('the connection has a user of its own')
    if (door === 'password') return pass('the server asks for a password')
    if (door === undefined) return skip('cannot tell whether the server asks for a password')
    const cause = 'neither requirepass nor an ACL user protects the server'
    const mend =
      'write requirepass <the password itself> in redis.conf, or better an ACL user; a variable of the environment means nothing in redis.conf: pass it on the command line'
    const seen = `everybody who reaches the server is let in; it is ${PLACES[reach]}`
    return reach === 'loopback' ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D3', 'Encryption on the way', ({ tls, reach }) => {
    if (tls) return pass('TLS')
    if (reach === 'loopback') return pass('plain text, and it does not leave this machine')
    if (tls === undefined) return skip('cannot tell whether the connection is encrypted')
    const cause = 'passwords and data cross the network in plain text'
    const mend = 'give the server a tls-port and write rediss:// in REDIS_URL'
    const seen = `plain text to a server ${PLACES[reach]}`
    return reach === 'private' ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D4', 'Server version', ({ info, vendor }) => {
    const name = info.valkey_version ? 'Valkey' : info.dragonfly_version ? 'Dragonfly' : 'Redis'
    const version = info.valkey_version ?? info.redis_version ?? ''
    const by = vendor ? `, ${vendor.name}` : ''
    const seen = `${name} ${version}${by}`
    if (isWindowsArchive(vendor)) {
      return fail(
        seen,
        'this build has no streams, no UNLINK, no GETEX and no security fixes since 2016',
        'take Memurai, Redis in WSL2, or a container; on Windows nothing else is maintained',
      )
    }
    const [major = 0, minor = 0] = version.split('.').map(Number)
    const rank = major + minor / 100
    if (rank >= 7.02) return pass(seen + noteOf(vendor?.note))
    const cause = `${name} ${major}.${minor} is old`
    const mend = 'upgrade to Redis 7.2 or Valkey 8: WAITAOF, better memory use, fixes'
    return rank >= 6.02
      ? warn(seen, cause, mend)
      : fail(seen, `${cause}: commands that we need are missing`, mend)
  }),

  ofServers('D5', 'Topology', ({ topology, info, db }) => judgeTopology(topology, info, db)),
]

const noteOf = (note: string | undefined): string => (note === undefined ? '' : `; ${note}`)

function judgeTopology(
  topology: string,
  info: Readonly<Record<string, string>>,
  db: number | undefined,
): Verdict {
  const clustered = info.cluster_enabled === '1' || info.redis_mode === 'cluster'
  if (clustered && db) {
    return fail(
      `database ${db} of a cluster`,
      'a cluster has only database 0',
      'leave the number out, and keep applications apart by HOLDFAST_NAMESPACE',
    )
  }
  if (clustered && topology !== 'cluster') {
    return fail(
      'a node of a cluster is used as if it were alone',
      'most keys live on other nodes and are refused with MOVED',
      'name some nodes in REDIS_CLUSTER_NODES, or redis: { cluster: […] }',
    )
  }
  if (info.role === 'slave') {
    return warn(
      'the target is a replica',
      'a replica refuses writes, and may be behind',
      'connect to the master, or to the sentinels, which know where it is',
    )
  }
  if (topology === 'sentinel') return pass('the master that the sentinels name')
  const replicas = Number(info.connected_slaves) || 0
  return pass(`${topology === 'cluster' ? 'cluster' : 'one server'}, ${replicas} replicas of this node`)
}
