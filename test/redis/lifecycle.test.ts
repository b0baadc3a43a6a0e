import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { RedisUnavailable } from '../../src/base/errors.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import { startCluster } from '../support/cluster.ts'
import { startProxy } from '../support/proxy.ts'
import { startRedis } from '../support/redis-server.ts'
import { startSentinel } from '../support/sentinel.ts'

const DEADLINE = { deadline: 2_000 }
const running: { stop(): Promise<void> }[] = []

afterEach(async () => {
  for (const thing of running.splice(0).reverse()) await thing.stop()
})

/** Runs the worker over the sources; resolves with its output once it ended by itself. */
async function runWorker(sources: readonly RedisSource[]): Promise<string> {
  const worker = fileURLToPath(new URL('./lifecycle-worker.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', worker], {
    env: { ...process.env, SOURCES: JSON.stringify(sources) },
    timeout: 15_000,
  })
  return stdout.trim()
}

const both = (source: object): RedisSource[] => [
  { ...source, library: 'redis' },
  { ...source, library: 'ioredis' },
]

describe('after close()', () => {
  it('no socket is left and nothing was unhandled, on a healthy server, cluster and sentinels', async () => {
    const redis = await startRedis()
    const cluster = await startCluster()
    const setup = await startSentinel()
    running.push(redis, cluster, setup)
    const sources = [
      ...both({ url: redis.url }),
      ...both({ cluster: cluster.urls }),
      ...both({ name: setup.name, sentinels: setup.sentinels.map((at) => `${at.host}:${at.port}`) }),
    ]
    expect(await runWorker(sources)).toBe('OPEN []')
  })

  it('no socket is left and nothing was unhandled, with a dead, a frozen and a mute server', async () => {
    const [dead, frozen, alive] = [await startRedis(), await startRedis(), await startRedis()]
    running.push(dead, frozen, alive)
    const mute = await startProxy(alive.port)
    running.push(mute)
    mute.blackHole(true)
    await dead.kill()
    frozen.pause()
    const sources = [
      ...both({ url: dead.url }),
      ...both({ url: frozen.url }),
      ...both({ url: mute.url }),
      ...both({ cluster: [dead.url, frozen.url] }),
      ...both({ name: 'm', sentinels: [`127.0.0.1:${dead.port}`, `127.0.0.1:${frozen.port}`] }),
    ]
    expect(await runWorker(sources)).toBe('OPEN []')
    frozen.resume()
  })
})

describe('a port', () => {
  it('refuses more calls than it may hold, instead of growing without bound', async () => {
    const redis = await startRedis()
    running.push(redis)
    const port = connectRedis(redis.url, { maxPending: 100 })
    running.push({ stop: () => port.close() })
    await port.ready(2_000)
    redis.pause()
    const node = port.nodeFor('k')
    const calls = Array.from({ length: 150 }, () => node.send(['GET', 'k'], { deadline: 50 }))
    const ended = await Promise.allSettled(calls)
    const refused = ended.filter((end) => end.status === 'rejected' && end.reason instanceof RedisUnavailable)
    expect(refused.length).toBe(50)
    redis.resume()
  })

  it('stays out of a server that still loads its data, and is ready once it has', async () => {
    const slow = { 'key-load-delay': 500, 'loading-process-events-interval-bytes': 1024, save: '' }
    const redis = await startRedis({ config: slow })
    running.push(redis)
    await redis.cli('EVAL', "for i = 1, 3000 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end", 0)
    await redis.cli('SAVE')
    const port = connectRedis(redis.url)
    running.push({ stop: () => port.close() })
    await port.ready(2_000)
    const node = port.nodeFor('k')
    const story: string[] = []
    node.attach({ down: (cause) => story.push(cause.message) })
    let ready = 0
    let sawLoading = false
    const watch = setInterval(() => {
      sawLoading ||= /LOADING/.test(port.health().nodes[0]?.lastError ?? '')
      if (node.generation === 2 && !ready) ready = performance.now()
    }, 1)
    await redis.kill()
    await redis.restart({ keepData: true })
    await port.ready(10_000)
    clearInterval(watch)
    expect(sawLoading).toBe(true)
    expect(await node.send(['DBSIZE'], DEADLINE)).toBe(3_000)
  })

  it('speaks over a unix socket, by both libraries and with a push connection', async () => {
    const path = `/tmp/holdfast-${process.pid}-${Date.now()}.sock`
    const redis = await startRedis({ config: { unixsocket: path } })
    running.push(redis)
    for (const source of both({ path })) {
      const port = connectRedis(source)
      running.push({ stop: () => port.close() })
      await port.ready(2_000)
      const node = port.nodeFor('k')
      expect(node.address).toBe(path)
      await new Promise<void>((open) => node.bus.subscribe(['c'], { message() {}, gap() {}, open }))
      await node.bus.ping(1_000)
    }
  })
})
