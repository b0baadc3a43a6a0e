import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Holdfast, holdfast } from '../../src/holdfast.ts'
import { cli } from '../cli/cli-run.ts'
import { startProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../support/redis-server.ts'
import { fill } from './fill.ts'
import { serverTimes, walkAdmin, walkCommands } from './walk.ts'

/** `npm run scale` does the same with a million. */
const KEYS = 50_000
const dir = mkdtempSync(join(tmpdir(), 'holdfast-scale-'))

let server: RedisServer
let hf: Holdfast
beforeAll(async () => {
  server = await startRedis({ config: { 'slowlog-log-slower-than': 10_000, 'slowlog-max-len': 1_000 } })
  const deadlines = { connect: '10s', read: '10s', write: '10s' } as const
  hf = holdfast({ redis: server.url, namespace: 'scale', deadlines })
  await hf.ready('20s')
  await fill(server, hf, KEYS)
  await serverTimes(server)
})
afterAll(async () => {
  await hf.close()
  await stopAllRedis()
  rmSync(dir, { recursive: true })
})

describe('with many keys', () => {
  it('every answer of the administration is bounded in time, size and memory, and no command holds the server up [S3-22]', async () => {
    for (const row of await walkAdmin(hf)) {
      expect(row).toMatchObject({ ok: true })
      expect(row.ms).toBeLessThan(20_000)
      expect(row.grownMb).toBeLessThan(100)
    }
    const { calls, slowest, over10Ms } = await serverTimes(server)
    expect(slowest.averageUs).toBeLessThan(10_000)
    expect(over10Ms).toBeLessThanOrEqual(Math.ceil(calls / 50))
  })

  it('so is every command, which shows how far it is [B16] [B24]', async () => {
    const told: string[] = []
    const rows = await walkCommands(server.url, dir, true, ({ what, err }) => {
      if (err.includes('\r')) told.push(what)
    })
    for (const row of rows) {
      expect(row).toMatchObject({ ok: true })
      expect(row.ms).toBeLessThan(30_000)
      expect(row.grownMb).toBeLessThan(150)
    }
    expect(told).toEqual(expect.arrayContaining(['holdfast keys --by size', 'holdfast backup /backup.jsonl']))
    const { calls, slowest, over10Ms } = await serverTimes(server)
    expect(slowest.averageUs).toBeLessThan(10_000)
    expect(over10Ms).toBeLessThanOrEqual(Math.ceil(calls / 50))
  })

  it('a server far away costs time, and no command waits without an end [S2-13]', async () => {
    const proxy = await startProxy(server.port)
    proxy.latency(20)
    const on = async (...args: string[]) => {
      const began = performance.now()
      const { code } = await cli(args, { env: { REDIS_URL: proxy.url, HOLDFAST_NAMESPACE: 'scale' } })
      return { code, ms: performance.now() - began }
    }
    for (const args of [
      ['stats'],
      ['keys', '--limit', '10'],
      ['keys', '--raw', 'hf:scale:raw:*', '--limit', '10'],
      ['keys', '--by', 'size', '--sample', '500'],
      ['doctor', '--no-remember'],
    ]) {
      const { code, ms } = await on(...args)
      expect(code).toBeLessThan(2)
      expect(ms).toBeLessThan(25_000)
    }
    await proxy.stop()
  })
})
