import { afterEach, describe, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { SLOTS, slotOf } from '../../src/redis/slot.ts'
import { readSlots } from '../../src/redis/slot-map.ts'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { startRedis } from '../support/redis-server.ts'
import { startSentinel } from '../support/sentinel.ts'
import { until } from '../support/until.ts'

const DEADLINE = { deadline: 2_000 }
const running: { stop(): Promise<void> }[] = []

afterEach(async () => {
  for (const thing of running.splice(0).reverse()) await thing.stop()
})

function keep(port: RedisPort): RedisPort {
  running.push({ stop: () => port.close() })
  return port
}

describe('a cluster', () => {
  async function setup(options: Parameters<typeof startCluster>[0] = {}) {
    const cluster: TestCluster = await startCluster(options)
    running.push(cluster)
    // One seed only: the others must be found.
    const port = keep(connectRedis({ cluster: [cluster.url] }))
    await port.ready(5_000)
    return { cluster, port }
  }

  it('gives the owner of each key, as the servers themselves count slots', async () => {
    const { cluster, port } = await setup()
    for (const key of [
      'a',
      'b',
      'x{tag}y',
      '{}empty',
      '{}{b}',
      'foo{}{bar}',
      'ký tự',
      'hf:{shop:3}:e:1',
      '',
    ]) {
      const owner = await cluster.ownerOf(key)
      expect(port.nodeFor(key).address).toBe(`127.0.0.1:${owner.port}`)
      expect(slotOf(key)).toBe(Number(await owner.cli('CLUSTER', 'KEYSLOT', key)))
      await port.nodeFor(key).send(['SET', key, 'v'], DEADLINE)
    }
    expect(port.nodes().length).toBe(3)
  })

  it('follows a slot that moved: MOVED reaches the caller, and the next look finds the new owner', async () => {
    const { cluster, port } = await setup()
    const key = 'moving'
    const from = port.nodeFor(key)
    const to = cluster.nodes.findIndex((node) => !from.address.endsWith(`:${node.port}`))
    let told = 0
    port.onTopology(() => told++)
    await cluster.moveSlot(key, to)
    await expect(from.send(['GET', key], DEADLINE)).rejects.toMatchObject({ prefix: 'MOVED' })
    await until('the new owner is known', () => port.nodeFor(key) !== from, 3_000)
    expect(told).toBeGreaterThan(0)
    await port.nodeFor(key).send(['SET', key, 'v'], DEADLINE)
    expect(from.state).toBe('ready')
  })

  it('goes over to the promoted replica when a master dies, closes the dead one and tells', async () => {
    const { cluster, port } = await setup({ replicas: true })
    const key = 'k'
    const dead = port.nodeFor(key)
    let told = 0
    port.onTopology(() => told++)
    await (await cluster.ownerOf(key)).kill()
    await until('the death is noticed', () => dead.state !== 'ready', 2_000)
    await expect(dead.send(['GET', key], DEADLINE)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await until(
      'the replica serves the key',
      async () => (await port.nodeFor(key).send(['SET', key, 'v'], DEADLINE)) === 'OK',
      20_000,
      50,
    )
    expect(dead.state).toBe('closed')
    expect(port.nodes()).not.toContain(dead)
    expect(told).toBeGreaterThan(0)
    await expect(dead.send(['GET', key], DEADLINE)).rejects.toThrow(/is no master of the cluster any more/)
  })

  it('refuses calls for a slot that nobody owns, and serves the others', async () => {
    const { cluster, port } = await setup({ server: { config: ['cluster-require-full-coverage no'] } })
    const slot = slotOf('lost')
    for (const node of cluster.nodes) {
      await node.cli('CLUSTER', 'DELSLOTS', slot).catch(() => {})
    }
    await port
      .nodeFor('lost')
      .send(['GET', 'lost'], DEADLINE)
      .catch(() => {})
    await until('the hole is known', () => port.nodeFor('lost').address === 'unknown', 5_000)
    await expect(port.nodeFor('lost').send(['GET', 'lost'], DEADLINE)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    const other = 'a'
    expect(slotOf(other)).not.toBe(slot)
    await port.nodeFor(other).send(['GET', other], DEADLINE)
  })

  it('says so when the server is no cluster', async () => {
    const redis = await startRedis()
    running.push(redis)
    const port = keep(connectRedis({ cluster: [redis.url] }))
    await expect(port.ready(2_000)).rejects.toMatchObject({ code: 'CONFIG' })
  })

  it('names the command that a user lacks to see the map', async () => {
    const rules = '~* &* +@read +@write +@connection +info +time'
    const cluster = await startCluster({
      server: { acl: [`app on >pw ${rules}`, `seer on >pw ${rules} +cluster|slots`] },
    })
    running.push(cluster)
    const blind = keep(connectRedis({ cluster: cluster.urls, username: 'app', password: 'pw' }))
    await expect(blind.ready(2_000)).rejects.toMatchObject({
      code: 'CONFIG',
      mend: expect.stringContaining('+cluster|slots'),
    })
    await keep(connectRedis({ cluster: cluster.urls, username: 'seer', password: 'pw' })).ready(5_000)
  })

  it('reads an empty host in the map as the host that was asked', () => {
    const asked = { host: 'seed.example', port: 1 }
    const row = (host: string | null) => [0, SLOTS - 1, [host, 7000, 'id']]
    for (const host of ['', null, '?']) {
      expect(readSlots([row(host)], asked)).toEqual([
        { from: 0, to: SLOTS - 1, master: { host: 'seed.example', port: 7000 } },
      ])
    }
    expect(readSlots([row('10.0.0.1')], asked)[0]?.master.host).toBe('10.0.0.1')
  })
})

describe('sentinels', () => {
  it('lead to the new master after a failover, and the data written there is read', async () => {
    const setup = await startSentinel()
    running.push(setup)
    const port = keep(
      connectRedis({ name: setup.name, sentinels: setup.sentinels.map((at) => `${at.host}:${at.port}`) }),
    )
    await port.ready(5_000)
    const node = port.nodeFor('k')
    const before = node.incarnation
    expect(node.address).toBe(`127.0.0.1:${setup.master.port}`)
    const story: string[] = []
    node.bus.subscribe(['c'], {
      message: () => {},
      gap: () => story.push('gap'),
      open: () => story.push('open'),
    })
    await until('the bus is open', () => story.length === 1)
    await setup.master.kill()
    await setup.untilPromoted(setup.replica)
    await until('the new master is ready', () => node.state === 'ready', 10_000)
    expect(node.address).toBe(`127.0.0.1:${setup.replica.port}`)
    expect(node.incarnation).not.toBe(before)
    await node.send(['SET', 'k', 'v'], DEADLINE)
    await until('the bus is open on the new master', () => story.join() === 'open,gap,open', 5_000)
    expect(await setup.replica.cli('GET', 'k')).toBe('v')
  })

  it('are all asked: dead and frozen ones cost no more than a moment', async () => {
    const setup = await startSentinel()
    running.push(setup)
    await setup.sentinels[0]!.server.kill()
    setup.sentinels[1]!.server.pause()
    const from = performance.now()
    const port = keep(
      connectRedis({ name: setup.name, sentinels: setup.sentinels.map((at) => `${at.host}:${at.port}`) }),
    )
    await port.ready(2_000)
    expect(performance.now() - from).toBeLessThan(1_000)
    setup.sentinels[1]!.server.resume()
  })

  it('are told from a wrong name', async () => {
    const setup = await startSentinel()
    running.push(setup)
    const sentinels = setup.sentinels.map((at) => `${at.host}:${at.port}`)
    const port = keep(connectRedis({ name: 'nobody', sentinels }))
    await expect(port.ready(2_000)).rejects.toThrow(/no sentinel knows a master named 'nobody'/)
  })
})
