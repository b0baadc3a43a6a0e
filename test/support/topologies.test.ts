import { afterAll, describe, expect, it } from 'vitest'
import { startCluster } from './cluster.ts'
import { startRedis, stopAllRedis } from './redis-server.ts'
import { role, startReplica } from './replica.ts'
import { startSentinel } from './sentinel.ts'
import { until } from './until.ts'

afterAll(stopAllRedis)

describe('the test topologies', () => {
  it('replicate', async () => {
    const master = await startRedis()
    const replica = await startReplica(master)
    await master.cli('SET', 'a', '1')
    await until('the write arrives', async () => (await replica.cli('GET', 'a')) === '1')
    await replica.stop()
    await master.stop()
  })

  it('form a cluster whose slots can move with their keys', async () => {
    const cluster = await startCluster()
    await cluster.cli('k', 'SET', 'k', 'v')
    const target = (await cluster.ownerOf('k')) === cluster.nodes[0] ? 1 : 0
    await cluster.moveSlot('k', target)
    expect(await cluster.ownerOf('k')).toBe(cluster.nodes[target])
    expect(await cluster.nodes[target]!.cli('GET', 'k')).toBe('v')
    await cluster.stop()
  })

  it('fail over in a cluster with replicas', async () => {
    const cluster = await startCluster({ replicas: true })
    await until('replicas are in sync', async () => (await role(cluster.replicas[0]!)).includes('connected'))
    await cluster.nodes[0]!.kill()
    await until('the replica took over', async () => (await role(cluster.replicas[0]!)).startsWith('master'))
    await cluster.untilOk()
    await cluster.stop()
  })

  it('fail over through sentinels', async () => {
    const setup = await startSentinel()
    await setup.master.kill()
    await setup.untilPromoted(setup.replica)
    await setup.stop()
  })
})
