import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { startRedis, stopAllRedis } from './redis-server.ts'

afterAll(stopAllRedis)

describe('the test server', () => {
  it('answers, is empty again after a crash and a restart, and keeps data when asked', async () => {
    const redis = await startRedis()
    await redis.cli('SET', 'a', '1')
    await redis.restart({ keepData: true })
    expect(await redis.cli('GET', 'a')).toBe('1')
    await redis.kill()
    expect(redis.alive).toBe(false)
    await expect(redis.cli('PING')).rejects.toThrow()
    await redis.restart()
    expect(await redis.cli('DBSIZE')).toBe(0)
    await redis.stop()
    expect(existsSync(redis.dir)).toBe(false)
  })

  it('freezes and thaws', async () => {
    const redis = await startRedis()
    redis.pause()
    const answer = redis.cli('PING')
    const early = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))])
    expect(early).toBe('silence')
    redis.resume()
    expect(await answer).toBe('PONG')
    await redis.stop()
  })

  it('speaks TLS alone, with and without a client certificate, and checks passwords and ACLs', async () => {
    const mutual = await startRedis({ tls: 'mutual', password: 'p w"'.replace('"', '') })
    expect(await mutual.cli('PING')).toBe('PONG')
    await mutual.stop()
    const limited = await startRedis({ tls: true, acl: ['app on >secret ~hf:* +@all'] })
    const app = await limited.connect({ username: 'app', password: 'secret' })
    await expect(app.send('GET', 'other')).rejects.toThrow('NOPERM')
    app.close()
    await limited.stop()
  })

  it('can lack the dangerous commands and keep an append-only file over a crash', async () => {
    const redis = await startRedis({ renamed: true, aof: 'always' })
    await expect(redis.cli('CONFIG', 'GET', 'port')).rejects.toThrow('unknown command')
    await redis.cli('SET', 'a', '1')
    await redis.kill()
    await redis.restart()
    expect(await redis.cli('GET', 'a')).toBe('1')
    await redis.stop()
  })

  it('leaves no server behind when the process that started it is killed', async () => {
    const module = fileURLToPath(new URL('./redis-server.ts', import.meta.url))
    const program = `import { startRedis } from '${module}'
      const r = await startRedis(); r.pause(); console.log(JSON.stringify([r.pid, r.dir])); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [pid, dir] = JSON.parse(
      await new Promise((resolve) => child.stdout.once('data', (d) => resolve(String(d)))),
    )
    child.kill('SIGKILL')
    await expect.poll(() => existsSync(dir) || isAlive(pid), { timeout: 5_000 }).toBe(false)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
