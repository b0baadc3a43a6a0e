import { bytes, type Check, isData, ofServers, percent } from '../check.ts'
import { keyCount, numberOf } from '../evidence.ts'
import { fail, pass, skip, type Verdict, warn } from '../finding.ts'

const MB = 1_024 * 1_024
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** D6 to D9, D11 to D13: memory, and what is in it. */
export const memoryChecks: readonly Check[] = [
  ofServers('D6', 'Memory limit', ({ info, vendor }) => {
    const limit = numberOf(info, 'maxmemory')
    const ram = numberOf(info, 'total_system_memory') ?? 0
    if (limit === undefined) return skip('the server does not tell its maxmemory')
    if (limit === 0) {
      if (vendor?.managed) return pass(`the plan of ${vendor.name} sets the limit`)
      return warn(
        'maxmemory is 0: no limit',
        'the server grows until the system ends it, and everything in it is gone',
        'set maxmemory to at most 3/4 of the memory it may have, e.g. --maxmemory 1gb',
      )
    }
    if (ram > 0 && limit > ram) {
      return fail(
        `maxmemory is ${bytes(limit)}, the host has ${bytes(ram)}`,
        'the limit is never reached: the system ends the server before',
        'set maxmemory below the memory of the host, with room for forks and buffers',
      )
    }
    return pass(`maxmemory is ${bytes(limit)}`)
  }),

  ofServers('D7', 'Memory in use', ({ info, refusesWrites }) => {
    const used = numberOf(info, 'used_memory')
    const limit = numberOf(info, 'maxmemory') ?? 0
    if (refusesWrites === 'OOM') {
      return fail(
        'OOM: the server refuses writes, its memory is full',
        `maxmemory (${bytes(limit)}) is reached and the policy is ${info.maxmemory_policy ?? 'unknown'}`,
        'raise maxmemory, give cached entries shorter TTLs, or drop what is not needed: holdfast keys --by size, then holdfast clear <pattern> --dry-run. Not FLUSHDB: it takes limits, locks, sessions and queues with it',
      )
    }
    if (used === undefined) return skip('the server does not tell its used_memory')
    if (limit === 0) return pass(`${bytes(used)} in use`)
    const share = used / limit
    const seen = `${bytes(used)} of ${bytes(limit)} in use (${percent(share)})`
    if (share < 0.8) return pass(seen)
    const cause =
      'more is kept than fits: TTLs are long, values are large, or something grows without an end (D11, D12)'
    const mend = 'look at holdfast keys --by size; shorten TTLs; raise maxmemory'
    return share < 0.9 ? warn(seen, cause, mend) : fail(seen, cause, mend)
  }),

  ofServers('D8', 'Eviction policy', ({ info, roles }) => {
    const policy = info.maxmemory_policy
    if (policy === undefined) return skip('the server does not tell its maxmemory_policy')
    if (policy === 'noeviction') {
      if (roles.includes('data')) {
        return pass(
          roles.includes('cache')
            ? 'noeviction, and Holdfast goes on without storing when a cache write meets a full memory'
            : 'noeviction',
        )
      }
      return warn(
        'noeviction on the cache role',
        'when memory is full new entries are refused instead of old ones dropped',
        'set maxmemory-policy allkeys-lfu (or allkeys-lru) on the server of the cache',
      )
    }
    if (roles.includes('data')) {
      return fail(
        `${policy} on the server that holds queues, locks, limits and sessions`,
        'when memory is full the server drops queued messages, locks and sessions like cached pages',
        'set maxmemory-policy noeviction here, or give the cache a server of its own: REDIS_URL for the cache, REDIS_DATA_URL for the rest',
      )
    }
    if (policy.startsWith('allkeys-')) return pass(policy)
    return warn(
      `${policy} on the cache role`,
      'only keys with a TTL are dropped, in an order that is not that of their use',
      'set maxmemory-policy allkeys-lfu (or allkeys-lru)',
    )
  }),

  ofServers('D9', 'Evicted keys', (server, { last }) => {
    const total = numberOf(server.info, 'evicted_keys')
    if (total === undefined) return skip('the server does not count evictions')
    const before = last?.servers[server.address]
    const known = before !== undefined && before.runId === server.info.run_id
    const evicted = known ? total - before.evicted : total
    const since = known ? 'since the last examination' : 'since the start of the server'
    if (evicted <= 0) return pass(`none ${since}`)
    const seen = `${evicted} ${since}`
    if (isData(server)) {
      return fail(
        seen,
        'what had to be kept was dropped: messages, locks, sessions or limits are lost',
        'set maxmemory-policy noeviction, and see D8',
      )
    }
    return warn(seen, 'the cache is larger than its memory', 'raise maxmemory, or shorten TTLs')
  }),

  {
    id: 'D11',
    title: 'Keys without an end, and growth',
    judge({ driver, sample, servers, last, now }) {
      if (driver === 'embedded') return skip('process memory is bounded by itself')
      if (sample === undefined) return skip('keys could not be looked at')
      const endless = Object.values(sample.endless).reduce((sum, count) => sum + count, 0)
      const share = sample.own === 0 ? 0 : endless / sample.own
      const growth = growthOf(servers, last, now)
      const grown = growth === undefined ? '' : `; ${growth >= 0 ? '+' : ''}${percent(growth)} keys in 24 h`
      const seen = `${endless} of ${sample.own} own keys have no TTL${grown}`
      const kinds = Object.keys(sample.endless).join(', ')
      const causes = [
        ...(endless > 0
          ? [`keys of kind ${kinds} must end and do not: somebody wrote them or took their TTL away`]
          : []),
        ...((growth ?? 0) >= 0.2 ? ['more keys come than go'] : []),
      ].join('; ')
      const mend =
        'find the writer (holdfast keys <pattern>), give the keys a TTL, look at TTLs per namespace'
      if (share >= 0.01 || (growth ?? 0) > 1) return fail(seen, causes, mend)
      if (share > 0 || (growth ?? 0) >= 0.2) return warn(seen, causes, mend)
      return pass(seen)
    },
  },

  {
    id: 'D12',
    title: 'Large values',
    judge({ driver, sample }) {
      if (driver === 'embedded') return skip('process memory is bounded by itself')
      if (sample === undefined) return skip('keys could not be looked at')
      const { biggest, longest } = sample
      const size = biggest?.bytes ?? 0
      const items = longest?.items ?? 0
      const seen = `largest value ${bytes(size)}${biggest ? ` (${biggest.key})` : ''}, largest collection ${items} items${longest ? ` (${longest.key})` : ''}, of ${sample.own} keys looked at`
      if (size < MB && items < 10_000) return pass(seen)
      const cause = 'one such read or delete stops every other client of the server for milliseconds'
      const mend = 'store less per key, split it, or compress; holdfast keys --by size lists them'
      return size > 10 * MB || items >= 100_000 ? fail(seen, cause, mend) : warn(seen, cause, mend)
    },
  },

  ofServers('D13', 'Fragmentation', ({ info }) => judgeFragmentation(info)),
]

function judgeFragmentation(info: Readonly<Record<string, string>>): Verdict {
  const used = numberOf(info, 'used_memory') ?? 0
  const ratio = numberOf(info, 'mem_fragmentation_ratio')
  if (ratio === undefined) return skip('the server does not tell its fragmentation')
  if (used <= 100 * MB) return skip(`says nothing below 100 MB (${bytes(used)} in use)`)
  const seen = `mem_fragmentation_ratio ${ratio}`
  if (ratio >= 1 && ratio <= 1.5) return pass(seen)
  if (ratio < 1) {
    return warn(seen, 'part of the memory was swapped out', 'give the host more memory, or lower maxmemory')
  }
  const cause = 'freed memory is scattered and cannot be given back'
  const mend = 'switch activedefrag on, or restart the server at a quiet hour'
  return ratio <= 2 ? warn(seen, cause, mend) : fail(seen, cause, mend)
}

type Servers = Parameters<Check['judge']>[0]['servers']
type Last = Parameters<Check['judge']>[0]['last']

/** Of the number of keys, as a share per 24 h; undefined without an examination an hour old or older. */
function growthOf(servers: Servers, last: Last, now: number): number | undefined {
  if (last === undefined || now - last.at < HOUR_MS) return undefined
  const then = servers.reduce((sum, { address }) => sum + (last.servers[address]?.keys ?? 0), 0)
  const today = servers.reduce((sum, { info }) => sum + keyCount(info), 0)
  // Some hundred keys more or less are no trend.
  if (then < 1_000) return undefined
  return ((today - then) / then) * (DAY_MS / (now - last.at))
}
