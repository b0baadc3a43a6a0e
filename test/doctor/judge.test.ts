import { describe, expect, it } from 'vitest'
import type { Evidence } from '../../src/doctor/evidence.ts'
import type { Finding, Status } from '../../src/doctor/finding.ts'
import { CHECKS, judge } from '../../src/doctor/judge.ts'
import { recogniseVendor } from '../../src/doctor/vendor.ts'
import { evidence, lookups, NOW, queue, SAMPLE, server } from './evidence.ts'

function found(id: string, change: Partial<Evidence>): Finding {
  return judge(evidence(change)).findings.find((finding) => finding.id === id)!
}

type Servers = Parameters<typeof server>[0]
const of = (change: Servers): Partial<Evidence> => ({ servers: [server(change)] })
const info = (fields: Record<string, string>): Partial<Evidence> => of({ info: fields })
const HOUR = 3_600_000
const last = (
  counts: Partial<{ runId: string; evicted: number; dangerous: number; keys: number }>,
  ago = HOUR,
) => ({
  at: NOW - ago,
  servers: { '127.0.0.1:6379': { runId: 'a', evicted: 0, dangerous: 0, keys: 5_000, ...counts } },
})
const sample = (change: Partial<typeof SAMPLE>): Partial<Evidence> => ({ sample: { ...SAMPLE, ...change } })
const MB = 1_024 ** 2
const slow = (count: number) =>
  Array.from({ length: count }, () => ({ at: NOW / 1_000 - 60, microseconds: 20_000, command: 'HGETALL' }))

describe('every check', () => {
  it('passes on a healthy instance, and the score is 100', () => {
    const report = judge(evidence())
    expect(report.findings.filter(({ status }) => status !== 'pass')).toEqual([])
    expect(report).toMatchObject({ score: 100, usable: true })
  })

  it('has a number of its own, 1 to 29', () => {
    expect(CHECKS.map(({ id }) => id)).toEqual(Array.from({ length: 29 }, (_, i) => `D${i + 1}`))
  })

  const CASES: readonly (readonly [string, Status, string, Partial<Evidence>, RegExp])[] = [
    ['D1', 'warn', 'slow round trips', of({ pings: [5, 5, 5] }), /5\.0 ms/],
    ['D1', 'fail', 'very slow round trips', of({ pings: [15, 15, 15] }), /15 ms/],
    ['D1', 'fail', 'no PONG', of({ pings: [] }), /answers no PING/],
    ['D2', 'warn', 'no password on loopback', of({ door: 'anybody' }), /on this machine/],
    ['D2', 'fail', 'no password in a network', of({ door: 'anybody', reach: 'private' }), /private network/],
    ['D3', 'warn', 'plain text in a private network', of({ reach: 'private' }), /plain text/],
    ['D3', 'fail', 'plain text to a public host', of({ reach: 'public' }), /public address/],
    ['D4', 'warn', 'Redis 7.0', info({ redis_version: '7.0.15' }), /7\.0\.15/],
    ['D4', 'fail', 'Redis 5', info({ redis_version: '5.0.7' }), /5\.0\.7/],
    ['D5', 'warn', 'a replica', info({ role: 'slave', master_link_status: 'up' }), /replica/],
    ['D5', 'fail', 'a database in a cluster', of({ db: 2, info: { cluster_enabled: '1' } }), /database 2/],
    ['D5', 'fail', 'one node of a cluster alone', info({ cluster_enabled: '1' }), /alone/],
    ['D6', 'warn', 'no limit', info({ maxmemory: '0' }), /no limit/],
    ['D6', 'fail', 'a limit above the host', info({ maxmemory: String(64 * 1_024 ** 3) }), /64 GB/],
    ['D7', 'warn', '85 % in use', info({ maxmemory: '1000', used_memory: '850' }), /85 %/],
    ['D7', 'fail', '95 % in use', info({ maxmemory: '1000', used_memory: '950' }), /95 %/],
    ['D7', 'fail', 'OOM', of({ refusesWrites: 'OOM' }), /OOM/],
    ['D8', 'fail', 'eviction of what must stay', info({ maxmemory_policy: 'allkeys-lru' }), /allkeys-lru/],
    ['D8', 'warn', 'a cache that cannot evict', of({ roles: ['cache'] }), /noeviction/],
    [
      'D8',
      'warn',
      'a cache that evicts by TTL',
      of({ roles: ['cache'], info: { maxmemory_policy: 'volatile-ttl' } }),
      /volatile-ttl/,
    ],
    [
      'D9',
      'fail',
      'evicted data',
      { ...info({ evicted_keys: '7' }), last: last({ evicted: 2 }) },
      /5 since the last/,
    ],
    [
      'D9',
      'warn',
      'evicted entries',
      of({ roles: ['cache'], info: { evicted_keys: '7' } }),
      /7 since the start/,
    ],
    ['D10', 'warn', 'a middling hit rate', { namespaces: { users: lookups(75, 25) } }, /users 75 %/],
    [
      'D10',
      'fail',
      'a poor hit rate',
      { namespaces: { users: lookups(60, 40), a: lookups(99, 1) } },
      /^users 60 %$/,
    ],
    ['D11', 'warn', 'a few keys without an end', sample({ endless: { entry: 5 } }), /5 of 1000/],
    ['D11', 'fail', 'many keys without an end', sample({ endless: { entry: 20 } }), /20 of 1000/],
    [
      'D11',
      'fail',
      'keys that double in a day',
      { last: last({ keys: 2_000 }, 24 * HOUR) },
      /\+150 % keys in 24 h/,
    ],
    ['D11', 'warn', 'keys that grow', { last: last({ keys: 4_000 }, 24 * HOUR) }, /\+25 %/],
    ['D12', 'warn', 'a large value', sample({ biggest: { key: 'a:#1', bytes: 5 * MB } }), /5 MB/],
    ['D12', 'fail', 'a huge value', sample({ biggest: { key: 'a:#1', bytes: 50 * MB } }), /50 MB/],
    [
      'D12',
      'fail',
      'a huge collection',
      sample({ longest: { key: 'a:#1', items: 100_000 } }),
      /100000 items/,
    ],
    ['D13', 'warn', 'fragmentation', info({ mem_fragmentation_ratio: '1.8' }), /1\.8/],
    ['D13', 'warn', 'swapping', info({ mem_fragmentation_ratio: '0.7' }), /0\.7/],
    ['D13', 'fail', 'much fragmentation', info({ mem_fragmentation_ratio: '2.5' }), /2\.5/],
    ['D14', 'fail', 'no persistence of data', info({ aof_enabled: '0' }), /neither/],
    [
      'D14',
      'warn',
      'snapshots only',
      of({
        config: { bind: '127.0.0.1', save: '3600 1' },
        info: { aof_enabled: '0', rdb_last_save_time: String(NOW / 1_000 - 7_200) },
      }),
      /2 h old/,
    ],
    [
      'D14',
      'fail',
      'MISCONF',
      of({ refusesWrites: 'MISCONF', info: { rdb_last_bgsave_status: 'err' } }),
      /MISCONF/,
    ],
    ['D15', 'warn', 'many connections', info({ connected_clients: '6000' }), /6000 of 10000/],
    ['D15', 'fail', 'rejected connections', info({ rejected_connections: '3' }), /3 rejected/],
    ['D16', 'warn', 'calls in line', of({ burst: [1, 20] }), /20 ms/],
    ['D16', 'fail', 'calls in a long line', of({ burst: [1, 90] }), /90 ms/],
    ['D17', 'warn', 'a slow command', of({ slow: slow(2) }), /2 over 10 ms.*HGETALL/],
    ['D17', 'fail', 'many slow commands', of({ slow: slow(11) }), /11 over/],
    ['D17', 'warn', 'KEYS was seen', info({ cmdstat_keys: 'calls=4,usec=9' }), /4 calls/],
    [
      'D17',
      'fail',
      'KEYS goes on',
      { ...info({ cmdstat_keys: 'calls=4,usec=9' }), last: last({ dangerous: 1 }) },
      /4 calls/,
    ],
    ['D18', 'warn', 'slow commands', info({ latency_percentiles_usec_get: 'p50=1,p99=20000' }), /get: 20 ms/],
    ['D18', 'fail', 'very slow commands', info({ latency_percentiles_usec_get: 'p50=1,p99=80000' }), /80 ms/],
    ['D19', 'warn', 'no CONFIG', of({ config: undefined }), /INFO was used/],
    ['D19', 'fail', 'a denied command', of({ denied: { XADD: 'NOPERM no' } }), /XADD/],
    [
      'D19',
      'fail',
      'a write test that failed',
      { writeTest: { steps: [{ name: 'set', ok: false, why: 'OOM' }] } },
      /'set': OOM/,
    ],
    [
      'D20',
      'fail',
      'a server open to all',
      of({ door: 'anybody', config: { bind: '* -::*' } }),
      /without a password/,
    ],
    ['D20', 'warn', 'a server open to passwords', of({ config: { bind: '0.0.0.0' } }), /with a password/],
    [
      'D20',
      'fail',
      'an open administration',
      { admin: { host: '0.0.0.0', authenticated: false } },
      /without authentication/,
    ],
    [
      'D20',
      'warn',
      'a reachable administration',
      { admin: { host: '0.0.0.0', authenticated: true } },
      /0\.0\.0\.0/,
    ],
    ['D21', 'warn', 'a clock that is off', of({ skewMs: 500 }), /500 ms ahead/],
    ['D21', 'fail', 'a clock that is far off', of({ skewMs: -5_000 }), /5000 ms behind/],
    [
      'D22',
      'warn',
      'a replica behind',
      info({ slave0: 'ip=1,port=2,state=online,offset=1,lag=5' }),
      /5 s behind/,
    ],
    [
      'D22',
      'fail',
      'a replica far behind',
      info({ slave0: 'ip=1,port=2,state=online,offset=1,lag=30' }),
      /30 s/,
    ],
    ['D22', 'fail', 'a broken link', info({ role: 'slave', master_link_status: 'down' }), /down/],
    ['D23', 'warn', 'a queue that waits', { queues: [queue({ oldestMs: 30_000 })] }, /30 s old/],
    ['D23', 'fail', 'a queue that stands', { queues: [queue({ oldestMs: 90_000 })] }, /90 s/],
    ['D23', 'fail', 'a queue without workers', { queues: [queue({ workers: 0 })] }, /3 messages/],
    ['D23', 'fail', 'dead letters', { queues: [queue({ dead: 5 })] }, /5 dead letters/],
    ['D24', 'warn', 'foreign entries', sample({ formats: { hf1: 5, 'something else': 1 } }), /1 entries/],
    ['D24', 'fail', 'another release', sample({ formats: { hf1: 5, hf2: 2 } }), /hf2/],
    ['D25', 'warn', 'a contradiction', { warnings: ['REDIS_URL wins; REDIS_PORT differs'] }, /REDIS_PORT/],
    [
      'D25',
      'fail',
      'a refusal',
      { refused: { what: 'REDIS_PORT is no port', mend: 'correct it' } },
      /no port/,
    ],
    [
      'D26',
      'warn',
      'declared public values',
      { ...sample({ plainSecrets: { demo: 'password' } }), publicNamespaces: ['demo'] },
      /demo/,
    ],
    ['D26', 'fail', 'secrets in names', sample({ secretNames: { JWT: 2 } }), /JWT \(2\)/],
    [
      'D26',
      'fail',
      'secrets in the clear',
      sample({ plainSecrets: { users: 'password' } }),
      /users \(password\)/,
    ],
    [
      'D27',
      'fail',
      'processes that share nothing',
      { driver: 'embedded', servers: [], processes: 4 },
      /4 processes/,
    ],
    ['D28', 'warn', 'slow messages', of({ echo: 200 }), /200 ms/],
    ['D28', 'fail', 'lost messages', of({ echo: 'lost' }), /did not come back/],
    ['D29', 'warn', 'Node.js 20', { nodeVersion: '20.20.2' }, /20\.20\.2/],
    ['D29', 'fail', 'Node.js 18', { nodeVersion: '18.0.0' }, /18\.0\.0/],
  ]

  it.each(CASES)(
    '%s says %s for %s, with cause and mend [S3-34] [S3-35] [S3-36]',
    (id, status, _what, change, seen) => {
      const finding = found(id, change)
      expect(finding.status).toBe(status)
      expect(finding.detail).toMatch(seen)
      expect(finding.cause).toMatch(/\w{3}/)
      expect(finding.mend).toMatch(/\w{3}/)
    },
  )

  it('is forced to warn or fail at least once above', () => {
    expect(new Set(CASES.map(([id]) => id))).toEqual(new Set(CHECKS.map(({ id }) => id)))
  })

  it('is skipped where it cannot be made, which costs no points', () => {
    const report = judge(
      evidence({ driver: 'embedded', servers: [], sample: undefined, queues: [], namespaces: {} }),
    )
    expect(report.findings.find(({ id }) => id === 'D8')?.status).toBe('skip')
    expect(report).toMatchObject({ score: 100, usable: true })
  })
})

describe('the verdicts on the seeds', () => {
  it('one process in its own memory needs no Redis; two do, and it says what breaks [S0-31] [S0-32]', () => {
    const alone = { driver: 'embedded', servers: [], sample: undefined } as const
    expect(found('D27', { ...alone, processes: 1 }).status).toBe('pass')
    expect(found('D27', { ...alone, processes: 2 })).toMatchObject({
      status: 'fail',
      cause: expect.stringMatching(/limits count per process.*locks.*invalidation.*tokens/),
      mend: expect.stringContaining('REDIS_URL'),
    })
  })

  it('hit rates below 70 % fail, below 80 % warn, by namespace and not by server [S3-30] [S4-45] [B18]', () => {
    const busy = info({ keyspace_hits: '1', keyspace_misses: '99999' })
    expect(found('D10', { ...busy, namespaces: { users: lookups(90, 10) } }).status).toBe('pass')
    expect(found('D10', { ...busy, namespaces: {} })).toMatchObject({
      status: 'skip',
      detail: expect.stringContaining('no measure of one cache'),
    })
  })

  it('memory under 80 % passes, and growth in keys is told [S3-31] [S3-32] [S3-28]', () => {
    expect(found('D7', info({ maxmemory: '1000', used_memory: '790' })).status).toBe('pass')
    expect(found('D11', { last: last({ keys: 4_900 }, 24 * HOUR) }).detail).toContain('+2 % keys in 24 h')
  })

  it('reads the policy from INFO as maxmemory_policy, without CONFIG [B23] [S2-30] [S4-28]', () => {
    expect(
      found('D8', { ...of({ config: undefined, info: { maxmemory_policy: 'allkeys-lru' } }) }).status,
    ).toBe('fail')
  })

  it('never tells to flush, nor to write on past a failed save [B26] [S4-36] [S4-37]', () => {
    const oom = found('D7', of({ refusesWrites: 'OOM' })).mend!
    expect(oom).toMatch(/Not FLUSHDB/)
    const misconf = found('D14', of({ refusesWrites: 'MISCONF' })).mend!
    expect(misconf).toMatch(/Do not set stop-writes-on-bgsave-error no/)
    const mends = CHECKS.flatMap(({ id }) => found(id, of({ door: 'anybody', denied: {} })).mend ?? [])
    expect(mends.join('\n')).not.toMatch(/FLUSHALL|KEYS \*/)
  })

  it('knows the Windows build of the 3 line by name [B15] [S1-9] [S1-10] [S4-8]', () => {
    const fields = { redis_version: '3.0.504', os: 'Windows  ' }
    const finding = found('D4', of({ vendor: recogniseVendor('localhost', fields), info: fields }))
    expect(finding).toMatchObject({ status: 'fail', detail: expect.stringContaining('MicrosoftArchive') })
    expect(finding.mend).toMatch(/Memurai/)
    expect(recogniseVendor('localhost', { redis_version: '7.2.5', memurai_version: '4.1' })?.name).toBe(
      'Memurai',
    )
  })

  it.each([
    ['eu1-cosmic-cod-38.upstash.io', 'Upstash'],
    ['redis-12345.c1.eu-west-1-3.ec2.redns.redis-cloud.com', 'Redis Cloud'],
    ['redis-12345.c1.us-east-1-2.ec2.cloud.redislabs.com', 'Redis Cloud'],
    ['master.shop.abc123.euw1.cache.amazonaws.com', 'Amazon ElastiCache'],
    ['shop.redis.cache.windows.net', 'Azure Cache for Redis'],
    ['shop.eu.redis.azure.net', 'Azure Cache for Redis'],
  ])('knows %s as %s, and asks no CONFIG there [S4-10] [S4-11] [S4-12]', (host, name) => {
    const vendor = recogniseVendor(host, { redis_version: '7.2.4' }, false)
    expect(vendor).toMatchObject({ name, managed: true })
    const findings = judge(evidence(of({ vendor, config: undefined, reach: 'public', tls: true }))).findings
    expect(findings.find(({ id }) => id === 'D19')?.status).toBe('pass')
    expect(findings.find(({ id }) => id === 'D6')?.status).toBe('pass')
  })

  it('knows a service whose CONFIG is closed, whoever runs it [S4-12]', () => {
    expect(recogniseVendor('10.0.0.3', { redis_version: '7.2.4' }, false)).toMatchObject({ managed: true })
    expect(recogniseVendor('10.0.0.3', { redis_version: '7.2.4' }, true)).toBeUndefined()
  })
})
