import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { defineScript } from '../../src/redis/script.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const DEADLINE = { deadline: 2_000 }

describe('a port made from a URL', () => {
  let server: RedisServer
  let port: RedisPort

  beforeAll(async () => {
    server = await startRedis()
    port = connectRedis(server.url)
    await port.ready(2_000)
  })
  afterAll(async () => {
    await port.close()
    await server.stop()
  })

  it('sends commands and gives text or bytes exactly', async () => {
    const node = port.nodeFor('a')
    const bytes = Buffer.from([0, 255, 128, 13, 10])
    await node.send(['SET', 'a', bytes], DEADLINE)
    expect(await node.send(['GET', 'a'], { ...DEADLINE, as: 'bytes' })).toEqual(bytes)
    await node.send(['SET', 'b', 'xin chào'], DEADLINE)
    expect(await node.send(['GET', 'b'], DEADLINE)).toBe('xin chào')
  })

  it('runs scripts, also after SCRIPT FLUSH', async () => {
    const script = defineScript('add', "return redis.call('INCRBY', KEYS[1], ARGV[1])")
    const node = port.nodeFor('n')
    expect(await node.eval(script, ['n'], ['2'], DEADLINE)).toBe(2)
    expect(await node.eval(script, ['n'], ['2'], DEADLINE)).toBe(4)
    await server.cli('SCRIPT', 'FLUSH')
    expect(await node.eval(script, ['n'], ['2'], DEADLINE)).toBe(6)
  })

  it('delivers pushes before the reply to a later ping, and closes the gap after a kill', async () => {
    const node = port.nodeFor('n')
    const seen: string[] = []
    let opened = 0
    let gaps = 0
    const leave = node.bus.subscribe(['chan'], {
      message: (message) => seen.push(message),
      open: () => opened++,
      gap: () => gaps++,
    })
    await expect.poll(() => opened).toBe(1)
    await node.send(['PUBLISH', 'chan', 'm1'], DEADLINE)
    await node.bus.ping(1_000)
    expect(seen).toEqual(['m1'])
    await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => gaps).toBe(1)
    await expect.poll(() => opened).toBe(2)
    leave()
  })
})
