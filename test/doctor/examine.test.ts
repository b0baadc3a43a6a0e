import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFromEnv } from '../../src/config.ts'
import { type ExamineOptions, examine, examineRefusal } from '../../src/doctor/examine.ts'
import type { Report } from '../../src/doctor/finding.ts'
import { holdfast } from '../../src/holdfast.ts'
import type { HoldfastOptions } from '../../src/options.ts'
import { freePort } from '../support/free-port.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../support/redis-server.ts'

afterAll(stopAllRedis)

const PATIENT = { connect: '10s', read: '10s', write: '10s' } as const

async function reportOn(redis: HoldfastOptions['redis'], options: ExamineOptions = {}): Promise<Report> {
  await using hf = holdfast({ redis, namespace: 'shop', deadlines: PATIENT })
  return await examine(hf, { redis, connectMs: 1_500, ...options })
}

const finding = (report: Report, id: string) => report.findings.find((candidate) => candidate.id === id)!
/** Without those that a busy machine may fail. */
const TIMED = new Set(['D1', 'D16', 'D17', 'D18', 'D28'])
const fails = (report: Report) =>
  report.findings.filter(({ id, status }) => status === 'fail' && !TIMED.has(id)).map(({ id }) => id)

describe('a server that is well', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({
      password: 'hidden word',
      aof: true,
      config: { maxmemory: '64mb' },
      renamed: true,
    })
  })

  it('passes without KEYS, CONFIG, FLUSHALL and FLUSHDB, and the write test too [S4-40] [B23] [S4-14] [S4-6]', async () => {
    const report = await reportOn(server.url, { writeTest: true })
    expect(fails(report)).toEqual([])
    expect(report.usable).toBe(true)
    expect(finding(report, 'D1').detail).toMatch(/^PONG/)
    expect(finding(report, 'D19')).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/INFO was used; write test: set, get, expire, delete ok/),
    })
    expect(finding(report, 'D8').detail).toContain('noeviction')
    expect(finding(report, 'D14').status).toBe('pass')
    expect(JSON.stringify(report)).not.toContain('hidden')
  })

  it('leaves one small key with a TTL behind, and none with remember: false', async () => {
    await server.cli('DEL', 'hf:shop:raw:{doctor}')
    await reportOn(server.url, { remember: false })
    expect(await server.cli('EXISTS', 'hf:shop:raw:{doctor}')).toBe(0)
    await reportOn(server.url)
    expect(Number(await server.cli('TTL', 'hf:shop:raw:{doctor}'))).toBeGreaterThan(86_400)
    expect(Number(await server.cli('MEMORY', 'USAGE', 'hf:shop:raw:{doctor}'))).toBeLessThan(1_000)
  })

  it('says that a password is needed, is wrong, or is not asked for [S4-39] [S3-38] [S2-21]', async () => {
    const bare = `redis://127.0.0.1:${server.port}`
    const none = await reportOn(bare)
    expect(none.usable).toBe(false)
    expect(finding(none, 'D2')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('none was given'),
    })
    const wrong = await reportOn(`redis://:guess@127.0.0.1:${server.port}`)
    expect(finding(wrong, 'D2').cause).toMatch(/password is wrong.*percent-encoded/)
    expect(JSON.stringify(wrong)).not.toContain('guess')
  })

  it('says that TLS was asked of a plain port [B10] [S3-39]', async () => {
    const report = await reportOn(`rediss://:x@127.0.0.1:${server.port}`)
    expect(finding(report, 'D3')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('plain text on this port'),
    })
  })
})

describe('a server that is not well', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })

  it('has KEYS in its counters, which is a warning, and a failure once it goes on [S3-29] [B16]', async () => {
    await server.cli('KEYS', 'chat_session:*')
    expect(finding(await reportOn(server.url), 'D17')).toMatchObject({
      status: 'warn',
      mend: expect.stringContaining('SCAN'),
    })
    await server.cli('KEYS', '*')
    expect(finding(await reportOn(server.url), 'D17').status).toBe('fail')
  })

  it('has slow commands in its log', async () => {
    await server.cli('DEBUG', 'SLEEP', '0.02')
    expect(finding(await reportOn(server.url), 'D17').detail).toMatch(/1 over 10 ms in 10 minutes \(DEBUG\)/)
  })

  it('holds keys without an end, secrets in names, secrets in values and huge collections [S2-24]', async () => {
    const jwt = `eyJ${'a'.repeat(20)}.eyJ${'b'.repeat(20)}.c`
    await server.cli('SET', 'hf:shop:session:{7}', 'x')
    await server.cli('SET', `hf:{shop:0}:e:token:${jwt}`, 'not an entry', 'EX', '100')
    await server.cli(
      'SET',
      'hf:{shop:0}:e:users|7',
      'hf1 e 1 1 1 1 1 - - \n{"password":"s3cret"}',
      'EX',
      '100',
    )
    await server.cli(
      'EVAL',
      "for i = 1, 100000 do redis.call('RPUSH', KEYS[1], i) end",
      '1',
      'hf:shop:raw:{list}',
    )
    const report = await reportOn(server.url)
    expect(finding(report, 'D11')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('session'),
    })
    expect(finding(report, 'D12')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('100000 items'),
    })
    expect(finding(report, 'D24').status).toBe('warn')
    expect(finding(report, 'D26').detail).toMatch(/JWT \(1\)/)
    expect(JSON.stringify(report)).not.toMatch(/s3cret|eyJa/)
    await server.cli('DEL', `hf:{shop:0}:e:token:${jwt}`)
    expect(finding(await reportOn(server.url), 'D26').detail).toMatch(/users \(password\)/)
    const shown = await reportOn(server.url, { publicNamespaces: ['users'] })
    expect(finding(shown, 'D26').status).toBe('warn')
    for (const key of ['hf:shop:raw:{list}', 'hf:shop:session:{7}', 'hf:{shop:0}:e:users|7'])
      await server.cli('DEL', key)
  })

  it('has a queue that nobody works on [S1-22] [S1-25]', async () => {
    await using hf = holdfast({ redis: server.url, namespace: 'shop', deadlines: PATIENT })
    await hf.ready('20s')
    await hf.queue<{ n: number }>('messages', { partitions: 1, deadline: '10s' }).add({ n: 1 })
    const report = await reportOn(server.url)
    expect(finding(report, 'D23')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('nobody works on messages'),
    })
  })

  it('is full: OOM, named with its mend, and nothing is flushed [S4-37] [B26]', async () => {
    await server.cli('SET', 'otherapp:x', 'stays')
    await server.cli('CONFIG', 'SET', 'maxmemory', '1mb')
    const report = await reportOn(server.url, { writeTest: true })
    expect(report.usable).toBe(false)
    expect(finding(report, 'D7')).toMatchObject({ status: 'fail', detail: expect.stringContaining('OOM') })
    expect(finding(report, 'D19').detail).toContain("the write test failed at 'set'")
    expect(await server.cli('GET', 'otherapp:x')).toBe('stays')
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
  })

  it('evicts what must stay [B11]', async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '3mb')
    await server.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    for (let i = 0; i < 40; i++) await server.cli('SET', `filler:${i}`, 'x'.repeat(100_000))
    const report = await reportOn(server.url)
    expect(fails(report)).toEqual(expect.arrayContaining(['D8', 'D9']))
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    await server.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  })

  it('cannot save: MISCONF, with what not to do about it [S4-36] [B26]', async () => {
    // The snapshot cannot take the place of a directory.
    mkdirSync(join(server.dir, 'dump.rdb', 'full'), { recursive: true })
    await server.cli('CONFIG', 'SET', 'save', '3600 1')
    await server.cli('BGSAVE')
    await expect
      .poll(() => server.cli('INFO', 'persistence'), { timeout: 10_000 })
      .toContain('rdb_last_bgsave_status:err')
    const report = await reportOn(server.url)
    expect(report.usable).toBe(false)
    expect(finding(report, 'D14')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('MISCONF'),
      mend: expect.stringContaining('Do not set stop-writes-on-bgsave-error no'),
    })
    await server.cli('CONFIG', 'SET', 'save', '')
  })

  it('denies a command that is needed, and the rule that mends it is named [S3-40]', async () => {
    await server.cli(
      'ACL',
      'SETUSER',
      'app',
      'on',
      '>word',
      '~hf:*',
      '&hf:*',
      '+@all',
      '-xadd',
      '-config',
      '-acl',
      '+acl|whoami',
    )
    const report = await reportOn(`redis://app:word@127.0.0.1:${server.port}`)
    expect(finding(report, 'D2').detail).toContain('a user of its own')
    expect(finding(report, 'D19')).toMatchObject({
      status: 'fail',
      mend: expect.stringContaining('+xadd ~hf:* &hf:*'),
    })
  })

  it('is a replica', async () => {
    const replica = await startRedis({ config: { replicaof: `127.0.0.1 ${server.port}` } })
    const report = await reportOn(replica.url)
    expect(finding(report, 'D5')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('replica'),
    })
    await replica.stop()
  })

  it('is frozen, and the examination still ends [S2-13]', { timeout: 60_000 }, async () => {
    server.pause()
    try {
      const report = await reportOn(server.url, { connectMs: 1_500 })
      expect(report.usable).toBe(false)
      expect(finding(report, 'D1')).toMatchObject({
        status: 'fail',
        cause: expect.stringContaining('frozen'),
      })
    } finally {
      server.resume()
    }
  })
})

// What a redis.conf has where somebody expected a variable.
const LITERAL = ['$', '{REDIS_PASSWORD}'].join('')

describe('a server that cannot be reached', () => {
  it('is refused, unknown, or something else [S4-34] [S4-35] [S4-38]', async () => {
    const refused = await reportOn(`redis://127.0.0.1:${await freePort()}`, { connectMs: 1_500 })
    expect(refused.usable).toBe(false)
    expect(finding(refused, 'D1')).toMatchObject({
      cause: expect.stringContaining('nothing listens'),
      mend: expect.stringMatching(/docker compose up.*6380/),
    })
    expect(finding(refused, 'D7').status).toBe('skip')
    const unknown = await reportOn('redis://no-such-host.invalid:6379', { connectMs: 1_500 })
    expect(finding(unknown, 'D1').cause).toMatch(/unknown here/)
    const web = createServer((_, res) => res.end('no')).listen(0, '127.0.0.1')
    await new Promise((resolve) => web.once('listening', resolve))
    const { port } = web.address() as { port: number }
    const other = await reportOn(`redis://127.0.0.1:${port}`, { connectMs: 1_500 })
    web.close()
    expect(finding(other, 'D1').mend).toContain('lsof -i')
  })

  it('took a variable in redis.conf for the password itself [B9]', async () => {
    const literal = await startRedis({ password: LITERAL })
    const report = await reportOn(`redis://:real-one@127.0.0.1:${literal.port}`)
    expect(finding(report, 'D2')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining(`the text ${LITERAL} itself`),
      mend: expect.stringContaining('--requirepass "$REDIS_PASSWORD"'),
    })
    await literal.stop()
  })

  it('has no password although one is given: its requirepass did not take effect [B9]', async () => {
    const open = await startRedis()
    const report = await reportOn(`redis://:word@127.0.0.1:${open.port}`)
    expect(finding(report, 'D2').cause).toMatch(/did not take effect|neither requirepass/)
    await open.stop()
  })

  it('speaks TLS on a port that was taken for a plain one, or has a certificate of nobody [B10] [S2-22]', async () => {
    const tls = await startRedis({ tls: true, password: 'word' })
    const plain = await reportOn(`redis://:word@127.0.0.1:${tls.port}`)
    expect(finding(plain, 'D3')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('speaks TLS'),
      mend: expect.stringContaining('rediss://'),
    })
    const stranger = await reportOn(tls.url)
    expect(finding(stranger, 'D3').mend).toContain('tls.ca')
    const known = { url: tls.url, tls: { ca: tls.tls!.ca } }
    expect(finding(await reportOn(known), 'D3')).toMatchObject({ status: 'pass', detail: 'TLS' })
    await tls.stop()
  })
})

describe('without a server', () => {
  it('looks at process memory, and at how many processes have one each [S0-31] [S0-32]', async () => {
    await using hf = holdfast()
    const report = await examine(hf, { writeTest: true, nodeVersion: '22.1.0' })
    expect(fails(report)).toEqual([])
    expect(finding(report, 'D27').status).toBe('pass')
    expect(fails(await examine(hf, { processes: 3 }))).toEqual(['D27'])
  })

  it('names what contradicts in the environment, or cannot work at all [B20] [S1-11]', async () => {
    const env = { REDIS_URL: 'redis://:pw@127.0.0.1:1', REDIS_PORT: '6380' }
    const { warnings } = configFromEnv(env)
    await using hf = holdfast()
    expect(finding(await examine(hf, { warnings }), 'D25')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('REDIS_PORT differs'),
    })
    let error: unknown
    try {
      configFromEnv({ REDIS_URL: 'redis://localhost', REDIS_SSL: 'true' })
    } catch (thrown) {
      error = thrown
    }
    const refused = examineRefusal(error)
    expect(refused.usable).toBe(false)
    expect(finding(refused, 'D25')).toMatchObject({
      status: 'fail',
      mend: expect.stringContaining('rediss://'),
    })
  })

  it('refuses options that it does not know', async () => {
    await using hf = holdfast()
    await expect(examine(hf, { writetest: true } as ExamineOptions)).rejects.toThrow(/writeTest/)
  })
})
