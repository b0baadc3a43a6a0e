import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { RedisReplyError } from '../../src/base/errors.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { defineScript } from '../../src/redis/script.ts'
import { startCluster } from '../support/cluster.ts'
import { startRedis } from '../support/redis-server.ts'
import { startSentinel } from '../support/sentinel.ts'
import { until } from '../support/until.ts'
import { SOURCES, type SourceKind } from './sources.ts'

interface Deployment {
  source(kind: SourceKind): RedisSource | undefined
  /** One command on the server that owns the key. */
  cli(key: string, ...args: string[]): Promise<unknown>
  stop(): Promise<void>
}

const host = '127.0.0.1'
const DEADLINE = { deadline: 2_000 }
const ADD = defineScript('add', "return redis.call('INCRBY', KEYS[1], ARGV[1])")
const TELL = defineScript('tell', "redis.call('PUBLISH', ARGV[1], ARGV[2]) return 1")

const DEPLOYMENTS: Record<string, () => Promise<Deployment>> = {
  single: async () => {
    const server = await startRedis()
    return {
      source: (kind) => kind.single({ host, port: server.port }),
      cli: (_, ...args) => server.cli(...args),
      stop: () => server.stop(),
    }
  },
  cluster: async () => {
    const cluster = await startCluster()
    return {
      source: (kind) => kind.cluster(cluster.nodes.map(({ port }) => ({ host, port }))),
      cli: (key, ...args) => cluster.cli(key, ...args),
      stop: () => cluster.stop(),
    }
  },
  sentinel: async () => {
    const setup = await startSentinel()
    return {
      source: (kind) =>
        kind.sentinel(
          setup.name,
          setup.sentinels.map(({ port }) => ({ host, port })),
        ),
      cli: (_, ...args) => setup.master.cli(...args),
      stop: () => setup.stop(),
    }
  },
}

describe.each(Object.keys(DEPLOYMENTS))('a port on %s', (topology) => {
  let deployment: Deployment
  beforeAll(async () => {
    deployment = await DEPLOYMENTS[topology]!()
  })
  afterAll(() => deployment.stop())

  const kinds = SOURCES.filter((kind) => topology !== 'sentinel' || kind.name !== 'redis 5')
  describe.each(kinds.map((kind) => [kind.name, kind] as const))('from %s', (_, kind) => {
    let port: RedisPort
    beforeEach(async () => {
      port = connectRedis(deployment.source(kind)!)
      await port.ready(5_000)
    })
    afterEach(() => port.close())

    it('gives text as text and bytes as the very bytes, for bulk strings, arrays and status', async () => {
      const node = port.nodeFor('{a}1')
      const bytes = Buffer.from([0, 255, 128, 13, 10, 36, 45])
      expect(await node.send(['SET', '{a}1', bytes], DEADLINE)).toBe('OK')
      await node.send(['SET', '{a}2', 'xin chào\r\n'], DEADLINE)
      const both = ['MGET', '{a}1', '{a}2', '{a}none']
      expect(await node.send(both, { ...DEADLINE, as: 'bytes' })).toEqual([
        bytes,
        Buffer.from('xin chào\r\n'),
        null,
      ])
      expect(await node.send(['GET', '{a}2'], DEADLINE)).toBe('xin chào\r\n')
      expect(await node.send(['STRLEN', '{a}1'], DEADLINE)).toBe(7)
      expect(await node.send(['SET', '{a}2', 'x'], { ...DEADLINE, as: 'bytes' })).toEqual(Buffer.from('OK'))
    })

    it('answers in the flat shapes of RESP2, whatever protocol the client speaks', async () => {
      const node = port.nodeFor('{h}')
      await node.send(['DEL', 'h{h}', 's{h}', 'z{h}'], DEADLINE)
      await node.send(['HSET', 'h{h}', 'f', '1', 'g', '2'], DEADLINE)
      await node.send(['SADD', 's{h}', 'm'], DEADLINE)
      await node.send(['ZADD', 'z{h}', '1.5', 'm'], DEADLINE)
      expect(await node.send(['HGETALL', 'h{h}'], DEADLINE)).toEqual(['f', '1', 'g', '2'])
      expect(await node.send(['SMEMBERS', 's{h}'], DEADLINE)).toEqual(['m'])
      expect(await node.send(['ZSCORE', 'z{h}', 'm'], DEADLINE)).toBe('1.5')
    })

    it('keeps the order of calls made in one tick', async () => {
      const node = port.nodeFor('order')
      await node.send(['DEL', 'order'], DEADLINE)
      const calls = Array.from({ length: 200 }, (_, i) => node.send(['RPUSH', 'order', String(i)], DEADLINE))
      expect(await Promise.all(calls)).toEqual(calls.map((_, i) => i + 1))
      const list = await node.send(['LRANGE', 'order', '0', '-1'], DEADLINE)
      expect(list).toEqual(calls.map((_, i) => String(i)))
    })

    it('runs scripts, also after somebody flushed the script cache', async () => {
      const node = port.nodeFor('n')
      await node.send(['DEL', 'n'], DEADLINE)
      expect(await node.eval(ADD, ['n'], ['2'], DEADLINE)).toBe(2)
      expect(await node.eval(ADD, ['n'], ['2'], DEADLINE)).toBe(4)
      await deployment.cli('n', 'SCRIPT', 'FLUSH')
      const many = await Promise.all(Array.from({ length: 20 }, () => node.eval(ADD, ['n'], ['1'], DEADLINE)))
      expect(many.at(-1)).toBe(24)
    })

    it('rejects with the first word of a refusal and without what was sent', async () => {
      const node = port.nodeFor('k')
      const refused = node.send(['NOSUCHCOMMAND', 'the-secret', 'more'], DEADLINE)
      await expect(refused).rejects.toBeInstanceOf(RedisReplyError)
      await expect(refused).rejects.not.toThrow(/the-secret/)
      await node.send(['SET', 'k', 'text'], DEADLINE)
      await expect(node.send(['LPUSH', 'k', '1'], DEADLINE)).rejects.toMatchObject({ prefix: 'WRONGTYPE' })
      const wrong = node.eval(
        defineScript('wrong', "return redis.error_reply('LATE too late')"),
        ['k'],
        [],
        DEADLINE,
      )
      await expect(wrong).rejects.toMatchObject({ prefix: 'LATE' })
    })

    it('delivers every push before the reply to a later ping, in commit order [S0-16]', async () => {
      const node = port.nodeFor('n')
      const seen: string[] = []
      let opened = 0
      node.bus.subscribe(['chan'], {
        message: (message, channel) => seen.push(`${channel}:${message}`),
        open: () => opened++,
        gap() {},
      })
      await until('the bus is open', () => opened === 1)
      for (let round = 0; round < 20; round++) {
        const sent = [0, 1, 2].map((i) => node.eval(TELL, ['n'], ['chan', `${round}.${i}`], DEADLINE))
        await Promise.all(sent)
        await node.bus.ping(1_000)
        expect(seen.splice(0)).toEqual([0, 1, 2].map((i) => `chan:${round}.${i}`))
      }
    })

    it('names topology, address and version in health(), and knows the server clock', async () => {
      expect(port.topology).toBe(topology)
      const health = port.health()
      expect(health.nodes.length).toBe(topology === 'cluster' ? 3 : 1)
      for (const node of health.nodes) {
        expect(node.state).toBe('ready')
        expect(node.address).toMatch(/^127\.0\.0\.1:\d+$/)
        expect(node.serverVersion).toMatch(/^\d+\.\d+/)
      }
      const node = port.nodeFor('n')
      expect(node.incarnation).toMatch(/^[0-9a-f]{40}\.[0-9a-f]{40}$/)
      const before = node.serverNow()
      const [seconds, micros] = (await node.send(['TIME'], DEADLINE)) as [string, string]
      const server = Number(seconds) * 1_000 + Number(micros) / 1_000
      expect(before).toBeLessThanOrEqual(server)
      expect(server - node.serverNow()).toBeLessThan(50)
    })

    it('refuses with Closed after close()', async () => {
      const node = port.nodeFor('n')
      await port.close()
      await expect(node.send(['GET', 'n'], DEADLINE)).rejects.toMatchObject({ code: 'CLOSED' })
      await expect(port.nodeFor('n').send(['GET', 'n'], DEADLINE)).rejects.toMatchObject({ code: 'CLOSED' })
    })
  })
})
