import { Agent, createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { healthReply } from '../../src/http/health.ts'
import { gracefulShutdown } from '../../src/http/shutdown.ts'
import { call } from '../adapters/wire.ts'
import { startWorker } from '../support/processes.ts'
import { until } from '../support/until.ts'

const serving = (handle: Parameters<typeof createServer>[1]): Promise<{ server: Server; url: string }> =>
  new Promise((resolve) => {
    const server = createServer(handle)
    server.listen(0, '127.0.0.1', () => {
      resolve({ server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
    })
  })

describe('a graceful end', () => {
  it('goes on answering for a while with a health that says 503, and closes the instance at the end', async () => {
    const hf = holdfast()
    const { server, url } = await serving((_req, res) => {
      const { status, body } = healthReply(hf)
      res.writeHead(status).end(body)
    })
    const { shutdown, draining } = gracefulShutdown(server, hf, { signals: false, delay: 400 })
    expect(draining).toBe(false)
    expect((await call(url, '/')).status).toBe(200)
    const ending = shutdown()
    const health = await call(url, '/')
    expect([health.status, health.json().status]).toEqual([503, 'draining'])
    expect(health.headers.connection).toBe('close')
    await Promise.all([ending, shutdown()])
    await expect(call(url, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(hf.health().status).toBe('down')
    expect(healthReply(hf).status).toBe(503)
  })

  it('does not wait for connections that are merely kept alive', async () => {
    const hf = holdfast()
    const { server, url } = await serving((_req, res) => res.end('x'))
    const { shutdown } = gracefulShutdown(server, hf, { signals: false, timeout: '30s' })
    const agent = new Agent({ keepAlive: true })
    await new Promise<void>((resolve) => get(url, { agent }, (res) => res.resume().on('end', resolve)))
    const started = performance.now()
    await shutdown()
    expect(performance.now() - started).toBeLessThan(10_000)
    agent.destroy()
  })

  it('cuts what does not end in time', async () => {
    const hf = holdfast()
    let began = false
    const { server, url } = await serving((_req, res) => {
      began = true
      res.write('never ends')
    })
    const { shutdown } = gracefulShutdown(server, hf, { signals: false, timeout: 100 })
    const open = call(url, '/').catch(() => ({ broken: true }))
    await until('it began', () => began)
    await shutdown()
    expect((await open).broken).toBe(true)
  })

  it('begins at a signal, answers what is open, and ends the process by that signal', async () => {
    const worker = await startWorker(new URL('./shutdown-worker.ts', import.meta.url))
    const url = await worker.ask<string>({ op: 'url' })
    const open = call(url, '/')
    await until('the request is there', () => worker.ask<boolean>({ op: 'began' }))
    process.kill(worker.pid, 'SIGTERM')
    expect((await open).body.toString()).toBe('slow but whole')
    await until('it ended', () => !worker.alive)
  })

  it('refuses options that it does not know', async () => {
    const { server } = await serving(() => {})
    expect(() => gracefulShutdown(server, holdfast(), { timeuot: 1 } as object)).toThrow(
      /did you mean 'timeout'/,
    )
    server.close()
  })
})

describe('health', () => {
  it('tells strangers no addresses, and those who ask for details everything', () => {
    const hf = holdfast()
    const brief = JSON.parse(String(healthReply(hf).body))
    expect(Object.keys(brief).sort()).toEqual(['driver', 'roles', 'since', 'status'])
    const full = JSON.parse(String(healthReply(hf, { details: true }).body))
    expect(full.cache).toMatchObject({ enabled: true })
    expect(() => healthReply(hf, { detials: true } as object)).toThrow(/details/)
  })
})
