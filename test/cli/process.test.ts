import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { cli } from './cli-run.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MAIN = [process.execPath, '--import', 'tsx', 'src/cli/main.ts']

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(stopAllRedis)

function start(command: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(command[0]!, command.slice(1), {
    cwd: ROOT,
    env: { ...process.env, REDIS_URL: server.url, HOLDFAST_NAMESPACE: 'shop', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => {
    out += String(chunk)
  })
  child.stderr.on('data', (chunk) => {
    err += String(chunk)
  })
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, code, out: () => out, err: () => err }
}

describe('the process', () => {
  it('has the exit code of its command, and writes errors to stderr alone', { timeout: 60_000 }, async () => {
    const wrong = start([...MAIN, 'keys', '--limit', 'many'])
    const fine = start([...MAIN, 'keys', '--json'])
    expect(await wrong.code).toBe(2)
    expect(wrong.out()).toBe('')
    expect(wrong.err()).toContain('--limit')
    expect(await fine.code).toBe(0)
    expect(JSON.parse(fine.out())).toMatchObject({ keys: [] })
  })
})

describe('holdfast top', () => {
  it('is live on a terminal: another screen, redrawn in place, ended by q [S3-29] [S4-29]', {
    timeout: 60_000,
  }, async () => {
    const line = [...MAIN, 'top', '--interval', '100'].map((word) => `'${word}'`).join(' ')
    // script gives it a pseudo-terminal.
    const top = start(['script', '-qec', line, '/dev/null'])
    try {
      await until('two frames were drawn', () => top.out().split('\u001b[H').length > 2, 40_000, 20)
      const frame = top.out()
      expect(frame).toContain('\u001b[?1049h')
      expect(frame).toMatch(/holdfast top/)
      expect(frame).toMatch(/operations +[\d.]+\/s/)
      expect(frame).toMatch(/memory/)
      expect(frame).not.toContain('\u001b[?1049l')
      top.child.stdin.write('q')
      expect(await top.code).toBe(0)
      expect(top.out()).toContain('\u001b[?1049l')
    } finally {
      top.child.kill('SIGKILL')
    }
  })

  it('follows frame on frame in a pipe, and writes one line a frame with --json [S3-29] [S4-29]', async () => {
    await using hf = holdfast({ redis: server.url, namespace: 'shop', deadlines: { connect: '10s' } })
    await hf.ready('20s')
    const busy = setInterval(() => void hf.cache.get('absent').catch(() => {}), 2)
    const args = ['top', '--interval', '150', '--count', '2', '--redis', server.url]
    const lines = (await cli([...args, '--json'])).out.trim().split('\n')
    const plain = await cli(args)
    clearInterval(busy)
    expect(lines).toHaveLength(2)
    const frame = JSON.parse(lines[1]!)
    expect(frame.opsPerSecond).toBeGreaterThan(0)
    expect(frame.commands.length).toBeGreaterThan(0)
    expect(plain.out.match(/holdfast top/g)).toHaveLength(2)
    expect(plain.out).not.toContain('\u001b')
  })
})

describe('holdfast serve', () => {
  const TOKEN = 'x'.repeat(40)

  it('is the admin API and the dashboard beside any Redis, until it is told to end [S3-37]', async () => {
    const end = new AbortController()
    const env = { REDIS_URL: server.url }
    const running = serveUntil(end.signal, ['--port', '0', '--json'], env)
    const { url } = await running.ready
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const stats = await fetch(`${url}/api/v1/cache/stats`)
    expect(stats.status).toBe(200)
    expect(await stats.json()).toMatchObject({ driver: 'redis' })
    const remote = await cli(['stats', '--admin', url, '--json'])
    expect(remote.json()).toMatchObject({ driver: 'redis' })
    const taken = await cli(['serve', '--port', new URL(url).port], { env })
    expect(taken).toMatchObject({ code: 2, err: expect.stringMatching(/is taken.*lsof/) })
    end.abort()
    expect(await running.code).toBe(0)
    await expect(fetch(url)).rejects.toThrow()
    expect((await cli(['stats', '--admin', url])).err).toContain('does not answer')
  })

  it('asks for tokens where it is given some, and never listens to all without [S3-37] [S3-40] [B28]', async () => {
    const env = { REDIS_URL: server.url }
    const open = await cli(['serve', '--host', '0.0.0.0', '--port', '0'], { env })
    expect(open).toMatchObject({ code: 2, err: expect.stringContaining('without authentication') })
    const wrong = await cli(['serve'], { env: { ...env, HOLDFAST_ADMIN_TOKENS: `ops:boss:${TOKEN}` } })
    expect(wrong).toMatchObject({
      code: 2,
      err: expect.stringContaining('community, business and enterprise'),
    })
    expect(wrong.err).not.toContain(TOKEN)
    const end = new AbortController()
    const running = serveUntil(end.signal, ['--port', '0', '--json'], {
      ...env,
      HOLDFAST_ADMIN_TOKENS: `ops:enterprise:${TOKEN}`,
    })
    const { url } = await running.ready
    const refused = await cli(['keys', '--json'], { env })
    expect(refused.code).toBe(0)
    expect((await cli(['get', 'a', '--admin', url])).code).toBe(2)
    expect((await cli(['get', 'a', '--admin', url], { env: { HOLDFAST_ADMIN_TOKEN: TOKEN } })).code).toBe(1)
    end.abort()
    expect(await running.code).toBe(0)
  })

  /** In this process: `ready` when it printed where it listens. */
  function serveUntil(signal: AbortSignal, args: readonly string[], env: Record<string, string>) {
    let told: (document: { url: string }) => void = () => {}
    const ready = new Promise<{ url: string }>((resolve) => {
      told = resolve
    })
    const code = cli(['serve', ...args], { env, signal, onOut: (text) => told(JSON.parse(text)) }).then(
      (outcome) => outcome.code,
    )
    return { ready, code }
  }
})
