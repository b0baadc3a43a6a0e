import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/base/errors.ts'
import { holdfast } from '../../src/holdfast.ts'
import { freePort } from '../support/free-port.ts'
import { redisBinary } from '../support/redis-server.ts'

const page = readFileSync(new URL('../../docs/41.tls.md', import.meta.url), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  )

interface Started {
  readonly port: number
  stop(): Promise<void>
}

/** A server with what the guide says, on another port. */
async function start(dir: string, changes: Record<string, string>): Promise<Started> {
  const port = await freePort()
  let conf = blocks('conf')[0]!.replace('tls-port 6380', `tls-port ${port}`)
  for (const [from, to] of Object.entries(changes)) conf = conf.replace(from, to)
  const name = join(dir, `${port}.conf`)
  writeFileSync(name, `${conf}bind 127.0.0.1\nsave ""\nrequirepass secret\n`)
  const child = spawn(redisBinary(), [name], { cwd: dir, stdio: 'ignore' })
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve())
        child.kill('SIGKILL')
      }),
  }
}

describe('the guide to TLS', () => {
  let dir: string
  let plain: Started
  let mutual: Started
  const file = (name: string) => readFileSync(join(dir, name), 'utf8')
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
    for (const script of blocks('sh'))
      execFileSync('sh', ['-e'], { cwd: dir, input: script, stdio: ['pipe', 'ignore', 'ignore'] })
    plain = await start(dir, {})
    mutual = await start(dir, { 'tls-auth-clients no': 'tls-auth-clients yes' })
  }, 30_000)
  afterAll(async () => {
    await plain?.stop()
    await mutual?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  const connect = (port: number, tls: object, host = 'localhost') =>
    holdfast({ redis: { host, port, password: 'secret', tls }, deadlines: { connect: '5s', read: '5s' } })

  it('[S2-22, S3-39, B10] leads to a connection by name and by address, encrypted', async () => {
    for (const host of ['localhost', '127.0.0.1']) {
      const hf = connect(plain.port, { ca: file('ca.crt') }, host)
      await hf.ready('20s')
      expect(await hf.cache.getOrSet('a', () => 1, { ttl: '1m' })).toBe(1)
      await hf.close()
    }
  })

  it('[S2-22, S3-39] leads to certificates for clients, without which nobody comes in', async () => {
    const hf = connect(mutual.port, { ca: file('ca.crt'), cert: file('app.crt'), key: file('app.key') })
    await hf.ready('20s')
    await hf.close()
    const stranger = connect(mutual.port, { ca: file('ca.crt') })
    await expect(stranger.ready('5s')).rejects.toThrow()
    await stranger.close()
  })

  it('leaves no way in without the authority, and none without TLS', async () => {
    const trusting = connect(plain.port, {})
    await expect(trusting.ready('10s')).rejects.toThrow(ConfigError)
    await trusting.close()
    const open = holdfast({ redis: `redis://:secret@localhost:${plain.port}` })
    await expect(open.ready('3s')).rejects.toThrow()
    await open.close()
  })
})
