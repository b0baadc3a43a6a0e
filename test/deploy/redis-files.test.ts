import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { freePort } from '../support/free-port.ts'
import { connectResp, type RespClient } from '../support/resp.ts'
import { until } from '../support/until.ts'

const folder = fileURLToPath(new URL('../../deploy/redis', import.meta.url))
/** What a shell or a configuration file would stumble over. */
const OPERATOR = `op" '$HOME \${REDIS_PASSWORD}\\#`
const APPLICATION = 'application-of-the-test'

const running: { process: ChildProcess; dir: string }[] = []
afterEach(async () => {
  for (const { process: child, dir } of running.splice(0)) {
    const gone = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await gone
    }
    rmSync(dir, { recursive: true, force: true })
  }
})

/** As the container starts it, but for port, folder and address. */
async function start(conf: string, environment: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-deploy-'))
  const port = await freePort()
  const own = ['--port', `${port}`, '--dir', dir, '--bind', '127.0.0.1', '--appendonly', 'yes']
  const child = spawn('sh', [join(folder, 'start.sh'), join(folder, conf), ...own], {
    env: { PATH: process.env.PATH, REDIS_RUN_DIR: dir, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push({ process: child, dir })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  return { port, child, said: () => said }
}

const PASSWORDS = { REDIS_PASSWORD: OPERATOR, HOLDFAST_PASSWORD: APPLICATION }

/** As soon as the server answers; a refused password is no answer to wait for. */
function connected(port: number, username: string, password: string): Promise<RespClient> {
  return until(
    'the server that start.sh starts answers',
    async () => {
      const link = await connectResp({ port, username, password })
      await link.send('PING')
      return link
    },
    15_000,
  )
}

describe('the Redis that is shipped', () => {
  it('[S2-39, S2-40, S2-41, S2-42, B9] bounds the cache, evicts the least recently used, keeps a file and asks for the real password', async () => {
    const { port, said } = await start('cache.conf', PASSWORDS)
    const operator = await connected(port, 'default', OPERATOR)
    const setting = async (name: string) => ((await operator.send('CONFIG', 'GET', name)) as string[])[1]
    expect(await setting('maxmemory')).toBe(String(1024 ** 3))
    expect(await setting('maxmemory-policy')).toBe('allkeys-lru')
    expect(await setting('appendonly')).toBe('yes')
    expect(await setting('requirepass')).not.toBe(OPERATOR)
    const stranger = await connectResp({ port })
    await expect(stranger.send('PING')).rejects.toThrow(/NOAUTH/)
    for (const literal of [`\${REDIS_PASSWORD}`, '', '@OPERATOR@']) {
      await expect(stranger.send('AUTH', 'default', literal)).rejects.toThrow(/WRONGPASS/)
    }
    expect(said()).not.toContain(APPLICATION)
    await stranger.close()
    await operator.close()
  })

  it('[B11, S2-41] never evicts on the server of queues, locks and sessions', async () => {
    const { port } = await start('data.conf', PASSWORDS)
    const operator = await connected(port, 'default', OPERATOR)
    const info = String(await operator.send('INFO'))
    expect(info).toMatch(/maxmemory:536870912\r/)
    expect(info).toMatch(/maxmemory_policy:noeviction\r/)
    expect(info).toMatch(/aof_enabled:1\r/)
    await operator.close()
  })

  it('lets an application work, and reach nothing but its keys [S2-21, S2-23, S4-40]', async () => {
    const { port } = await start('single.conf', PASSWORDS)
    const user = await connected(port, 'holdfast', APPLICATION)
    for (const command of [
      ['KEYS', '*'],
      ['CONFIG', 'GET', 'dir'],
      ['FLUSHALL'],
      ['FLUSHDB'],
      ['ACL', 'LIST'],
      ['GET', 'otherapp:x'],
      ['CLUSTER', 'RESET'],
      ['SHUTDOWN'],
      ['MONITOR'],
      ['PUBLISH', 'otherapp', 'x'],
    ]) {
      await expect(user.send(...(command as [string])), command.join(' ')).rejects.toThrow(/NOPERM/)
    }
    await user.close()
    const hf = holdfast({
      redis: `redis://holdfast:${APPLICATION}@127.0.0.1:${port}/0`,
      deadlines: { read: '5s', write: '5s' },
    })
    await hf.ready('20s')
    expect(await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })).toBe(1)
    expect((await hf.limiter('chat', '5/minute', { deadline: '5s' }).consume('ada')).allowed).toBe(true)
    expect(await hf.lock('plan').run(() => 2)).toBe(2)
    await hf.close()
  })

  it('starts nothing without passwords, or with one for both', async () => {
    for (const environment of [
      {},
      { REDIS_PASSWORD: 'a' },
      { REDIS_PASSWORD: 'a', HOLDFAST_PASSWORD: 'a' },
    ]) {
      const { child, said } = await start('cache.conf', environment as Record<string, string>)
      const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
      expect(code).not.toBe(0)
      expect(said()).toMatch(/openssl rand|an application would be an operator/)
    }
  })
})
