import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { freePort } from '../support/free-port.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../support/redis-server.ts'
import { cli } from './cli-run.ts'

/**
 * One server for all: KEYS, CONFIG, FLUSHALL and FLUSHDB do not exist on it, and the user of the
 * commands may not use MONITOR either.
 */
let server: RedisServer
let env: Record<string, string>
let hf: Holdfast
/** Checks that a busy machine may fail. */
const TIMED = new Set(['D1', 'D16', 'D17', 'D18', 'D28'])
const dir = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))

beforeAll(async () => {
  server = await startRedis({
    renamed: true,
    config: { maxmemory: '200mb' },
    acl: ['app on >secret-word ~hf:* ~otherapp:* &hf:* +@all -monitor -debug'],
  })
  const url = `redis://app:secret-word@127.0.0.1:${server.port}/0`
  env = { REDIS_URL: url, HOLDFAST_NAMESPACE: 'shop' }
  hf = holdfast({ redis: url, namespace: 'shop', deadlines: { connect: '10s', read: '10s', write: '10s' } })
  await hf.ready('20s')
})
afterAll(async () => {
  await hf.close()
  await stopAllRedis()
  rmSync(dir, { recursive: true })
})

beforeEach(async () => {
  const names = await server.cli('SCAN', '0', 'COUNT', '100000')
  const [, keys] = names as unknown as [string, string[]]
  const ours = keys.filter((key) => !/^hf:\{shop:\d+\}:[wm]$/.test(key))
  if (ours.length > 0) await server.cli('DEL', ...ours)
})

const on = (...args: string[]) => cli(args, { env })

async function fill(count = 25): Promise<void> {
  await hf.cache.setMany(
    Array.from({ length: count }, (_, i) => [`task:${i}`, { title: `task ${i}`, password: 'hush' }] as const),
    { ttl: '5m', tags: ['tasks'] },
  )
}

describe('every command', () => {
  it.each([
    [['nope'], /unknown command 'nope'/],
    [['keys', '--limit', '-1'], /limit/],
    [['keys', '--limit', '1000000000'], /1 to 10000/],
    [['keys', '--by', 'colour'], /size, heat, ttl/],
    [['get'], /missing required argument 'key'/],
    [['get', 'a', 'b'], /too many arguments/],
    [['doctor', '--writetest'], /--write-test/],
    [['clear', 'a*', '--tag', 't'], /not both/],
    [['clear', ''], /pattern is empty/],
    [['top', '--interval', 'fast'], /whole number/],
    [['queue', 'replay', 'mail'], /which letters/],
    [['queue', 'ls', '--nope'], /unknown option/],
    [['restore', '/nowhere/at/all'], /ENOENT/],
    [['warm'], /--manifest/],
    [['keys', '--redis', 'http://x'], /redis:\/\//],
    [['keys', '--cursor', 'zzz'], /cursor/],
  ] as const)('exits 2 with one clear line for %j, and prints nothing else', async (args, line) => {
    const { code, out, err } = await on(...args)
    expect(code).toBe(2)
    expect(err).toMatch(line)
    expect(err).not.toMatch(/\n\s+at /)
    expect(out).toBe('')
  })

  it('needs a Redis, says which variable, and never prints a password [S1-11] [S1-12] [S1-13]', async () => {
    const none = await cli(['stats'])
    expect(none.code).toBe(2)
    expect(none.err).toContain('REDIS_URL')
    const parts = {
      REDIS_HOST: '127.0.0.1',
      REDIS_PORT: String(server.port),
      REDIS_DB: '0',
      REDIS_USERNAME: 'app',
      REDIS_PASSWORD: 'secret-word',
    }
    const byParts = await cli(['doctor', '--no-remember'], { env: parts })
    const byUrl = await cli(['doctor', '--no-remember'], { env: { REDIS_URL: env.REDIS_URL } })
    const target = `redis://app:***@127.0.0.1:${server.port}/0`
    for (const { out, err } of [byParts, byUrl]) {
      expect(out).toContain(target)
      expect(out + err).not.toContain('secret-word')
    }
    const gone = await cli(['stats', '--redis', `redis://:secret-word@127.0.0.1:${await freePort()}`])
    expect(gone.code).toBe(2)
    expect(gone.err).toContain('ECONNREFUSED')
    expect(gone.err).not.toContain('secret-word')
  })

  it('says when variables contradict each other [B20]', async () => {
    const { err } = await cli(['stats'], { env: { ...env, REDIS_PORT: '6380' } })
    expect(err).toMatch(/warning: REDIS_URL wins; REDIS_PORT differs/)
  })

  it('paints for terminals alone, and not where NO_COLOR is set', async () => {
    const plain = await cli(['doctor'], { env })
    const painted = await cli(['doctor'], { env: { ...env, NO_COLOR: '' }, isTTY: true })
    const refused = await cli(['doctor'], { env, isTTY: true })
    expect(plain.out + refused.out).not.toContain('\u001b[3')
    expect(painted.out).toContain('\u001b[3')
  })
})

describe('holdfast doctor', () => {
  it('covers the whole checklist in one run, ends with a score and exits 0 or 1 [S4-13] [S4-48] [S1-21]', async () => {
    const { code, out } = await on('doctor', '--write-test')
    expect(out).toMatch(/✓ D1 .*PONG/)
    for (let i = 1; i <= 29; i++) expect(out).toMatch(new RegExp(`^. D${i} `, 'm'))
    expect(out).toContain('write test: set, get, expire, delete ok')
    expect(out).toMatch(/Score \d+ of 100: \d+ passed/)
    // It keeps nothing on disk, which this server was told not to do.
    expect(code).toBe(1)
    const report = (await on('doctor', '--json')).json<{
      findings: { id: string; status: string }[]
      score: number
    }>()
    expect(
      report.findings.filter(({ id, status }) => status === 'fail' && !TIMED.has(id)).map(({ id }) => id),
    ).toEqual(['D14'])
  })

  it('exits 0 where nothing failed, 2 where Redis cannot be used [S4-34] [S4-35]', async () => {
    expect((await cli(['doctor'])).code).toBe(0)
    const gone = await cli(['doctor', '--json'], {
      env: { REDIS_URL: `redis://127.0.0.1:${await freePort()}` },
    })
    expect(gone.code).toBe(2)
    expect(gone.json()).toMatchObject({ usable: false })
    const broken = await cli(['doctor'], { env: { REDIS_URL: 'redis://localhost', REDIS_SSL: 'true' } })
    expect(broken.code).toBe(2)
    expect(broken.out).toMatch(/✗ D25 .*REDIS_SSL asks for TLS/)
  })

  it('fails where several processes share nothing [S0-32]', async () => {
    const { code, out } = await cli(['doctor'], { env: { WEB_CONCURRENCY: '4' } })
    expect(code).toBe(1)
    expect(out).toMatch(/✗ D27 .*4 processes/)
  })
})

describe('holdfast stats, keys, get and explain', () => {
  it('stats tells server, memory, policy and keys [S0-34] [S4-28] [S4-30] [B23]', async () => {
    await fill()
    const { code, out } = await on('stats')
    expect(code).toBe(0)
    expect(out).toMatch(/eviction policy +noeviction/)
    const stats = (await on('stats', '--json')).json()
    expect(stats).toMatchObject({
      namespace: 'shop',
      memory: { maxmemory_bytes: 200 * 1_024 * 1_024, eviction_policy: 'noeviction' },
      stats: { total_keys: 25 },
    })
  })

  it('keys lists what matches, a page at a time, without KEYS [S1-23] [S4-31] [B16] [B24]', async () => {
    await fill()
    await hf.cache.set('chat_session:ä b/7', 1, { ttl: '5m' })
    expect((await on('keys', 'chat_session:*')).out).toBe('chat_session:ä b/7\n')
    const seen = new Set<string>()
    let cursor: string | null | undefined
    for (let pages = 0; cursor !== null && pages < 10; pages++) {
      const more = cursor === undefined ? [] : ['--cursor', cursor]
      const page = (await on('keys', 'task:*', '--limit', '10', '--json', ...more)).json<{
        keys: string[]
        cursor: string | null
      }>()
      expect(page.keys.length).toBeLessThanOrEqual(10)
      for (const key of page.keys) seen.add(key)
      cursor = page.cursor
    }
    expect(seen.size).toBe(25)
    expect((await on('keys', 'task:[12]')).out.trim().split('\n').sort()).toEqual(['task:1', 'task:2'])
  })

  it('keys --raw shows limits, sessions and locks too, foreign keys only when asked', async () => {
    await hf.limiter('chat', '20/minute').consume({ user: '7' })
    await server.cli('SET', 'otherapp:x', '1')
    const own = (await on('keys', '--raw', '*', '--json')).json<{ keys: string[] }>().keys
    expect(own.some((key) => key.startsWith('hf:shop:rl:chat:'))).toBe(true)
    expect(own).not.toContain('otherapp:x')
    expect((await on('keys', '--raw', 'otherapp:*', '--foreign')).out).toBe('otherapp:x\n')
  })

  it('keys --by size, ttl and heat rank a bounded sample [S3-35]', async () => {
    await fill(5)
    await hf.cache.set('task:big', 'x'.repeat(50_000), { ttl: '1h', compress: false })
    const bySize = (await on('keys', '--by', 'size', '--limit', '2', '--json')).json<{
      keys: { key: string; rank: number }[]
    }>()
    expect(bySize.keys[0]).toMatchObject({ key: 'task:big' })
    expect(bySize.keys[0]!.rank).toBeGreaterThan(50_000)
    expect(bySize.keys).toHaveLength(2)
    const byTtl = (await on('keys', '--by', 'ttl', '--json')).json<{ keys: { key: string }[] }>()
    expect(byTtl.keys[0]!.key).toBe('task:big')
    const byHeat = (await on('keys', '--by', 'heat', '--json')).json<{ unit: string; looked: number }>()
    expect(byHeat).toMatchObject({ unit: 'idle s', looked: 6 })
    const some = (await on('keys', '--by', 'size', '--sample', '3', '--json')).json()
    expect(some).toMatchObject({ looked: 3, complete: false })
    expect((await on('keys', '--by', 'size')).out).toMatch(/KEY +BYTES/)
  })

  it('get shows a value with secrets redacted, revealed only when told to, and exits 1 without one [S4-32] [S4-14]', async () => {
    await fill(1)
    const hidden = await on('get', 'task:0')
    expect(hidden.code).toBe(0)
    expect(hidden.out).toContain('"password": "[redacted]"')
    expect(hidden.out).not.toContain('hush')
    expect((await on('get', 'task:0', '--reveal')).out).toContain('hush')
    const { value, ttl } = (await on('get', 'task:0', '--json')).json<{
      value: { title: string }
      ttl: number
    }>()
    expect(value.title).toBe('task 0')
    expect(ttl).toBeGreaterThan(200)
    expect(await on('get', 'absent')).toMatchObject({ code: 1, err: 'there is no such entry\n' })
  })

  it('explain says why a key is served or not', async () => {
    await fill(1)
    const fresh = await on('explain', 'task:0')
    expect(fresh).toMatchObject({ code: 0, out: expect.stringMatching(/task:0: fresh[\s\S]*tasks/) })
    await hf.cache.invalidateTag('tasks')
    const gone = await on('explain', 'task:0', '--json')
    expect(gone.code).toBe(1)
    expect(gone.json()).toMatchObject({ state: expect.stringMatching(/invalid|absent/) })
  })
})

describe('holdfast clear', () => {
  it('only counts with --dry-run, asks before it drops, and refuses where nobody can answer [S4-33] [B25]', async () => {
    await fill()
    await hf.cache.set('task:a b', 1, { ttl: '5m' })
    expect((await on('clear', 'task:*', '--dry-run', '--json')).json()).toMatchObject({ would_delete: 26 })
    expect(await on('clear', 'task:*')).toMatchObject({ code: 2, err: expect.stringContaining('--yes') })
    expect((await cli(['clear', 'task:*'], { env, answers: ['n'] })).code).toBe(1)
    expect(await hf.cache.has('task:a b')).toBe(true)
    expect((await cli(['clear', 'task:*'], { env, answers: ['y'] })).out).toBe('dropped 26 entries\n')
    expect(await hf.cache.has('task:a b')).toBe(false)
    expect((await on('clear', 'task:*', '--yes')).out).toBe('dropped 0 entries\n')
  })

  it('drops everything only for who names the namespace, and spares all that is no cache [B7] [S4-7]', async () => {
    await fill()
    await hf.limiter('chat', '20/minute').consume({ user: '7' })
    await server.cli('SET', 'otherapp:x', 'stays')
    expect((await on('clear')).code).toBe(2)
    expect((await on('clear', '--confirm', 'store')).err).toContain('nothing was dropped')
    expect((await on('keys', '--json')).json<{ keys: string[] }>().keys).toHaveLength(25)
    expect((await on('clear', '--confirm', 'shop')).code).toBe(0)
    expect((await on('keys')).out).toBe('')
    expect(await server.cli('GET', 'otherapp:x')).toBe('stays')
    expect((await on('keys', '--raw', 'hf:shop:rl:chat:*')).out).toContain('hf:shop:rl:chat:')
  })

  it('invalidates a tag, and counts before', async () => {
    await fill(3)
    expect((await on('clear', '--tag', 'tasks', '--dry-run', '--json')).json()).toMatchObject({
      would_invalidate: 3,
    })
    expect(await hf.cache.has('task:0')).toBe(true)
    expect((await on('clear', '--tag', 'tasks', '--yes')).code).toBe(0)
    expect(await hf.cache.has('task:0')).toBe(false)
  })

  it('shows in the audit log who did it', async () => {
    await fill(1)
    await on('clear', 'task:*', '--yes')
    const log = JSON.stringify(await server.cli('XRANGE', 'hf:shop:raw:{admin:audit}', '-', '+'))
    expect(log).toMatch(/cli:\w+/)
    expect(log).toContain('cache.clear')
  })
})

describe('holdfast warm', () => {
  let origin: Server
  let url: string
  beforeAll(async () => {
    origin = createServer((req, res) => {
      res.statusCode = req.url === '/broken' ? 500 : 200
      res.end(JSON.stringify({ path: req.url }))
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => origin.once('listening', resolve))
    url = `http://127.0.0.1:${(origin.address() as { port: number }).port}`
  })
  afterAll(() => origin.close())

  const manifest = (entries: unknown): string => {
    const file = join(dir, 'manifest.json')
    writeFileSync(file, typeof entries === 'string' ? entries : JSON.stringify(entries))
    return file
  }

  it('loads what a manifest names, once, with TTLs and tags, and says what failed [S2-45] [S3-42]', async () => {
    const file = manifest([
      ...Array.from({ length: 30 }, (_, i) => ({
        key: `rate:${i}`,
        url: `${url}/${i}`,
        ttl: '10m',
        tags: ['rates'],
      })),
      { key: 'fixed', namespace: 'settings', value: { on: true }, ttl: 60_000 },
    ])
    const first = await cli(['warm', '--manifest', file, '--json'], { env })
    expect(first.code).toBe(0)
    expect(first.json()).toMatchObject({ loaded: 31, present: 0, failed: [], unstored: 0 })
    expect(await hf.cache.get('rate:7')).toEqual({ path: '/7' })
    expect(await hf.cache.namespace('settings').get('fixed')).toEqual({ on: true })
    expect((await hf.cache.inspect('rate:7')).tags).toEqual(['rates'])
    expect((await on('warm', '--manifest', file, '--json')).json()).toMatchObject({ loaded: 0, present: 31 })
    const half = await on(
      'warm',
      '--manifest',
      manifest([
        { key: 'a', url: `${url}/broken` },
        { key: 'b', value: 1 },
      ]),
    )
    expect(half).toMatchObject({
      code: 1,
      out: expect.stringMatching(/1 loaded, 0 were there, 1 failed\n {2}a: answered 500/),
    })
  })

  it('shows how far it is on a terminal, and loads nothing with --dry-run or a wrong manifest', async () => {
    const file = manifest(Array.from({ length: 3 }, (_, i) => ({ key: `seen:${i}`, value: i })))
    const shown = await cli(['warm', '--manifest', file], { env, isTTY: true })
    expect(shown.err).toMatch(/warming \[#+\] 100 % 3 of 3/)
    expect((await on('warm', '--manifest', file, '--dry-run')).out).toMatch(/3 entries .* nothing was loaded/)
    for (const [bad, line] of [
      ['{', /not JSON/],
      [[{ key: 'a' }], /entry 1 .* needs either value or url/],
      [[{ key: 'a', value: 1, tll: 1 }], /entry 1 .* 'tll'/],
      [[{ key: 'a', value: 1, ttl: 'soon' }], /ttl/],
      [[{ key: 'a', url: 'file:///etc/passwd' }], /http/],
    ] as const) {
      expect(await on('warm', '--manifest', manifest(bad))).toMatchObject({
        code: 2,
        err: expect.stringMatching(line),
      })
    }
  })
})

describe('holdfast backup and restore', () => {
  const file = join(dir, 'backup.jsonl')

  it('bring everything back as it was, TTLs included, and check the file before they write [S2-47]', async () => {
    const users = hf.sessions<{ name: string }>('user', { idle: '30m' })
    const session = await users.create({ name: 'Ada' }, { user: '7' })
    for (let i = 0; i < 120; i++) await hf.redis!.command('SET', `note:${i}`, `text ${i}`, 'EX', '600')
    await hf.limiter('chat', '20/minute').consume({ user: '7' })
    await hf.redis!.command('ZADD', 'leaderboard', '10', 'ada')
    await server.cli('SET', 'otherapp:x', 'not ours')
    const before = await dump()
    const written = (await on('backup', file, '--json')).json<{ keys: number }>()
    expect(written.keys).toBeGreaterThanOrEqual(before.size)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).not.toContain('otherapp')
    await server.cli('DEL', ...before.keys())
    const dry = await on('restore', file, '--dry-run')
    expect(dry.out).toContain('nothing was written')
    expect((await dump()).size).toBe(0)
    const { restored } = (await on('restore', file, '--json')).json<{ restored: number }>()
    expect(restored).toBeGreaterThanOrEqual(before.size)
    const after = await dump()
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort())
    for (const [key, { value, ttl }] of before) {
      expect(after.get(key)!.value).toBe(value)
      expect(Math.abs(after.get(key)!.ttl - ttl)).toBeLessThan(30_000)
    }
    const twice = (await on('restore', file, '--json')).json<{ restored: number; same: number }>()
    expect(twice.restored).toBe(0)
    expect(twice.same).toBeGreaterThanOrEqual(before.size)
    expect((await users.load(session.id))?.data.name).toBe('Ada')
    await hf.redis!.command('SET', 'note:7', 'changed since')
    const again = await on('restore', file)
    expect(again).toMatchObject({ code: 1, out: expect.stringContaining('there already') })
    expect((await on('restore', file, '--replace')).code).toBe(0)
  })

  it('refuse a file that was cut, changed, or is of somebody else, and then write nothing', async () => {
    for (let i = 0; i < 5; i++) await hf.redis!.command('SET', `note:${i}`, 'text', 'EX', '600')
    await fill(5)
    expect((await on('backup', file)).out).toMatch(/\d keys of shop/)
    const whole = readFileSync(file, 'utf8')
    const lines = whole.trimEnd().split('\n')
    for (let i = 0; i < 5; i++) await hf.redis!.command('DEL', `note:${i}`)
    const notes = async () => (await on('keys', '--raw', 'hf:shop:raw:*note*')).out
    for (const [text, line] of [
      [lines.slice(0, -1).join('\n'), /was cut/],
      [[lines[0], ...lines.slice(2)].join('\n'), /checksum/],
      [whole.replace('"t":', '"t":1'), /checksum/],
      ['{"format":"something"}\n', /no backup/],
      ['not json', /no backup/],
      ['', /empty/],
    ] as const) {
      writeFileSync(file, text)
      expect(await on('restore', file)).toMatchObject({ code: 2, err: expect.stringMatching(line) })
    }
    expect(await notes()).toBe('')
    writeFileSync(file, whole)
    const foreign = await on('restore', file, '--namespace', 'store')
    expect(foreign).toMatchObject({ code: 2, err: expect.stringContaining('not of the namespace store') })
    expect(await notes()).toBe('')
  })

  async function dump(): Promise<Map<string, { value: string; ttl: number }>> {
    const found = new Map<string, { value: string; ttl: number }>()
    const [, keys] = (await server.cli('SCAN', '0', 'MATCH', 'hf:*', 'COUNT', '100000')) as unknown as [
      string,
      string[],
    ]
    for (const key of keys) {
      // Limiters of this process write their figures at any time.
      if (key.startsWith('hf:{') || key.startsWith('hf:shop:rl:')) continue
      const type = String(await server.cli('TYPE', key))
      const read: Record<string, string[]> = {
        string: ['GET', key],
        zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
        hash: ['HGETALL', key],
        stream: ['XRANGE', key, '-', '+'],
      }
      const value = await server.cli(...read[type]!)
      // The order of a hash is nobody's business.
      const stable = type === 'hash' && Array.isArray(value) ? [...value].sort() : value
      found.set(key, { value: JSON.stringify(stable), ttl: Number(await server.cli('PTTL', key)) })
    }
    return found
  }
})

describe('holdfast queue', () => {
  it('lists, replays, drops, pauses and resumes, and makes no queue by asking for it [S1-22]', async () => {
    let fails = true
    const handled: string[] = []
    const mail = hf.queue<{ to: string; password: string }>('mail', {
      partitions: 1,
      deadline: '10s',
      id: ({ to }) => to,
      handle: async (batch) => {
        if (fails) return batch.map(() => ({ dead: 'no route' }))
        handled.push(...batch.map(({ id }) => id))
        return undefined
      },
    })
    for (const to of ['a', 'b', 'c']) await mail.add({ to, password: 'hush' })
    await expect.poll(async () => (await mail.stats()).dead, { timeout: 20_000 }).toBe(3)
    expect((await on('queue', 'ls')).out).toMatch(/QUEUE +WAITING[^\n]*\nmail +0 .* 3 +\d+ +runs/)
    const { letters } = (await on('queue', 'dead', 'mail', '--json')).json<{
      letters: { id: string; body: unknown }[]
    }>()
    expect(letters.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c'])
    expect(letters[0]!.body).toMatchObject({ password: '[redacted]' })
    expect((await on('queue', 'replay', 'mail', '--all', '--dry-run', '--json')).json()).toMatchObject({
      would_replay: 3,
    })
    fails = false
    expect((await on('queue', 'replay', 'mail', 'a')).out).toBe('replayed 1 dead letters\n')
    await expect.poll(() => handled, { timeout: 20_000 }).toEqual(['a'])
    expect((await on('queue', 'drop', 'mail', 'b')).code).toBe(2)
    expect((await cli(['queue', 'drop', 'mail', 'b'], { env, answers: ['no'] })).code).toBe(1)
    expect((await on('queue', 'drop', 'mail', '--all', '--yes', '--json')).json()).toMatchObject({
      dropped: 2,
    })
    expect((await on('queue', 'replay', 'mail', 'absent')).code).toBe(1)
    await on('queue', 'pause', 'mail')
    expect((await on('queue', 'ls')).out).toContain('paused')
    await on('queue', 'resume', 'mail')
    expect((await on('queue', 'ls')).out).toContain('runs')
    expect((await on('queue', 'pause', 'post')).err).toContain("there is no queue 'post'")
    expect(await server.cli('EXISTS', 'hf:shop:queue:{post}:about')).toBe(0)
  })
})

describe('holdfast bench', () => {
  it('--check prints five steps and exits 0, in process memory too [S3-24]', async () => {
    for (const args of [
      ['bench', '--check'],
      ['bench', '--check', '--redis', env.REDIS_URL!],
    ]) {
      const { code, out } = await cli(args)
      expect(out.match(/^✓ [1-5] /gm)).toHaveLength(5)
      expect(out).toMatch(
        /connectivity[\s\S]*hit and miss[\s\S]*invalidation[\s\S]*concurrency[\s\S]*metrics/,
      )
      expect(code).toBe(0)
    }
  })

  it('--json reports operations, response times, load, memory and hit rate, and leaves nothing [S2-33]', async () => {
    const { code, json } = await on('bench', '--seconds', '1', '--concurrency', '8', '--json')
    expect(code).toBe(0)
    const report = json<{
      operations: { name: string; perSecond: number; p99Ms: number }[]
      load: unknown[]
      memory: { bytesPerEntry: number }
      hitRate: { percent: number }
    }>()
    expect(report.operations.map(({ name }) => name)).toEqual([
      'set',
      'get, hit',
      'getOrSet, miss',
      'getMany of 100',
    ])
    for (const row of report.operations)
      expect(row).toMatchObject({ perSecond: expect.any(Number), p99Ms: expect.any(Number) })
    expect(report.load).toHaveLength(3)
    expect(report.memory.bytesPerEntry).toBeGreaterThan(900)
    expect(report.hitRate.percent).toBeGreaterThan(50)
    expect((await on('keys', '--raw', 'hf:{holdfast-bench-*}:e:*', '--foreign')).out).toBe('')
  })
})

describe('what the server saw', () => {
  it('was no KEYS, no MONITOR, no FLUSH, and CONFIG from the doctor alone [S3-29] [S4-40] [S4-29]', async () => {
    await server.cli('ACL', 'LOG', 'RESET')
    await fill()
    for (const args of [
      ['stats'],
      ['keys'],
      ['keys', '--by', 'size'],
      ['keys', '--raw', '*'],
      ['get', 'task:1'],
      ['explain', 'task:1'],
      ['clear', '*', '--dry-run'],
      ['clear', '--confirm', 'shop'],
      ['queue', 'ls'],
      ['top', '--count', '1', '--interval', '100'],
    ]) {
      expect((await on(...args)).code).toBe(0)
    }
    expect(await server.cli('ACL', 'LOG')).toEqual([])
    const info = String(await server.cli('INFO', 'all'))
    expect(info).not.toMatch(/cmdstat_(?:keys|monitor|flushall|flushdb):/)
    await on('doctor')
    expect(String(await server.cli('INFO', 'all'))).not.toMatch(
      /cmdstat_(?:keys|monitor|flushall|flushdb|config\|get):/,
    )
  })
})
