import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startRedis, stopAllRedis } from '../support/redis-server.ts'

interface State {
  backends: {
    name: string
    sentences: string[]
    urls: string[]
    dashboard?: { url: string }
    figures: { asked: number; failed: number }
  }[]
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const running = new Set<ReturnType<typeof start>>()

afterEach(async () => {
  for (const program of running) {
    program.killAll()
    await program.code
  }
  running.clear()
})
afterAll(stopAllRedis)

describe('holdfast demo', () => {
  it('shows what the cache does, on process memory [S3-1]', { timeout: 150_000 }, async () => {
    const demo = start(['tasks', '--once', '--json', '--port', '0'])
    expect(await demo.code).toBe(0)
    const report = JSON.parse(demo.stdout())
    expect(report).toMatchObject({ demo: 'tasks', ok: true, driver: 'embedded' })
    expectFigures(report.figures)
    expect(report.backends).toHaveLength(1)
  })

  it('shows several over Redis, each with two processes [S0-5][S1-17][S4-2]', {
    timeout: 240_000,
  }, async () => {
    const redis = await startRedis({ password: 'hidden' })
    const names = ['tasks', 'chatbot', 'insight']
    const demo = start([...names, '--once', '--json', '--port', '0'], { REDIS_URL: redis.url })
    expect(await demo.code).toBe(0)
    expect(demo.stderr()).toContain('shared by two processes')
    expect(demo.stderr()).toMatch(/100 parallel misses over two processes .* 1 upstream call\b/)
    expect(demo.stdout() + demo.stderr()).not.toContain('hidden')
    const [tasks, chatbot, insight] = JSON.parse(demo.stdout())
    for (const [index, report] of [tasks, chatbot, insight].entries()) {
      expect(report).toMatchObject({ demo: names[index], ok: true, driver: 'redis' })
      expect(report.backends).toHaveLength(2)
    }
    expectFigures(tasks.figures)
    expect(chatbot.figures).toMatchObject({ saved: true, silent: true })
    expect(insight.figures).toMatchObject({ upstreamCalls: 1, updateFresh: true, limited: true })
  })

  it('stays up, serves, and ends cleanly on SIGTERM', { timeout: 150_000 }, async () => {
    const demo = start(['tasks', '--port', '0'], { NO_COLOR: '1' })
    await expect.poll(demo.stdout, { timeout: 100_000 }).toContain('Serving until Ctrl-C')
    expect(demo.stdout()).not.toContain('\u001b')
    const curls = demo.stdout().match(/curl .*/g)!
    expect(curls).toHaveLength(3)
    const url = /http:\S+/.exec(curls[1]!)![0]
    const answer = await fetch(url)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-status')).toBe('holdfast; hit')
    demo.child.kill('SIGTERM')
    expect(await demo.code).toBe(0)
    await expect(fetch(url)).rejects.toThrow()
  })

  it('brings up all five behind one page, and leaves nothing behind when npm, which passes no signals on, is told to end', {
    timeout: 240_000,
  }, async () => {
    const npm = start([], { NO_COLOR: '1' }, ['npm', 'start', '--silent', '--', '--port', '0'])
    await expect.poll(npm.stdout, { timeout: 180_000 }).toContain('Serving until Ctrl-C')
    const page = /http:\S+(?= {2}all of them on one page)/.exec(npm.stdout())![0]
    expect(await (await fetch(page)).text()).toContain('Five backends on Holdfast')
    const read = async () => (await (await fetch(`${page}state`)).json()) as State
    const { backends } = await read()
    expect(backends.map(({ name }) => name)).toEqual(['culi', 'chatbot', 'metrics', 'tasks', 'insight'])
    for (const { name, sentences, urls, dashboard } of backends) {
      expect([name, sentences.length, urls.length]).toEqual([name, 3, 1])
      for (const url of [...urls, ...(dashboard ? [new URL('/healthz', dashboard.url).href] : [])]) {
        expect([url, (await fetch(url)).status]).toEqual([url, 200])
      }
    }
    // The visitors are about, and nobody is turned away for a fault of ours.
    const seen = async () =>
      (await read()).backends.every(({ figures }) => figures.asked > 8 && figures.failed === 0)
    await expect.poll(seen, { timeout: 60_000 }).toBe(true)
    npm.child.kill('SIGTERM')
    for (const url of [page, ...backends.flatMap(({ urls }) => urls)]) {
      const isUp = () =>
        fetch(url).then(
          () => true,
          () => false,
        )
      await expect.poll(isUp, { timeout: 30_000 }).toBe(false)
    }
  })

  it('says what is wrong when the Redis it was given is not there, without the password', {
    timeout: 60_000,
  }, async () => {
    const demo = start(['tasks', '--once'], { REDIS_URL: `redis://:hidden@127.0.0.1:${await freePort()}` })
    expect(await demo.code).toBe(2)
    expect(demo.stdout()).toMatch(/names a Redis at redis:\/\/:\*\*\*@127\.0\.0\.1:\d+.*unset REDIS_URL/)
    expect(demo.stdout() + demo.stderr()).not.toContain('hidden')
  })

  it('says in the published package that it needs a clone', async () => {
    const bare = mkdtempSync(join(tmpdir(), 'holdfast-bare-'))
    try {
      for (const part of ['src', 'package.json', 'tsconfig.json'])
        cpSync(join(ROOT, part), join(bare, part), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules'), join(bare, 'node_modules'))
      const demo = start([], {}, [process.execPath, '--import', 'tsx', 'src/cli/main.ts', 'demo'], bare)
      expect(await demo.code).toBe(2)
      expect(demo.stdout()).toContain('Clone the repository and run: npm ci && npm start')
    } finally {
      rmSync(bare, { recursive: true })
    }
  })

  it('refuses a name that it does not know', async () => {
    const demo = start(['nothing'])
    expect(await demo.code).toBe(2)
    expect(demo.stdout()).toContain('there is: culi, chatbot, metrics, tasks, insight')
  })
})

function expectFigures(figures: Record<string, number>) {
  expect(figures).toMatchObject({ parallelMisses: 100, upstreamCalls: 1, taskHit: true, updateFresh: true })
  expect(figures.firstMs).toBeGreaterThan(290)
  expect(figures.secondMs).toBeLessThan(figures.firstMs! / 3)
}

const DEMO = [process.execPath, '--import', 'tsx', 'src/cli/main.ts', 'demo']

function start(args: string[], env: NodeJS.ProcessEnv = {}, command = DEMO, cwd = ROOT) {
  const clean = { ...process.env, REDIS_URL: '', DATABASE_URL: '', UPSTREAM_URL: '' }
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    cwd,
    env: { ...clean, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: what npm started keeps the pipes open after npm is gone.
    detached: true,
  })
  const killAll = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // All of them are gone already.
    }
  }
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = once(child, 'close').then(([exit]) => exit as number | null)
  const process_ = { child, code, killAll, stdout: () => stdout, stderr: () => stderr }
  running.add(process_)
  return process_
}
