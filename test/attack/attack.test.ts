import { afterAll, describe, expect, it } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { startProxy } from '../support/proxy.ts'
import { startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { lossyFailover, networkFaults, serverFaults } from './faults.ts'
import { attack, describeTally, type Tally } from './run.ts'

/** Seconds per attack; raise HOLDFAST_TEST_SCALE for a longer one. */
const SCALE = Number(process.env.HOLDFAST_TEST_SCALE ?? 1)
const SECONDS = 14 * SCALE
const TIMEOUT = SECONDS * 1_000 + 90_000

const lines: string[] = []

function survived(name: string, tally: Tally): void {
  lines.push(describeTally(name, tally))
  expect(tally.examples).toEqual([])
  expect(tally.violations).toBe(0)
  expect(tally.errors).toEqual({})
  expect(tally.unhandled).toBe(0)
  expect(tally.reads).toBeGreaterThan(500 * SCALE)
  expect(tally.invalidations).toBeGreaterThan(20)
}

describe('real processes against real servers while faults strike', () => {
  afterAll(() => {
    console.log(lines.join('\n'))
  })

  it(
    'finds stale reads at once in delete-on-write: the attack bites',
    async () => {
      const redis = await startRedis()
      const tally = await attack({ source: () => redis.url, processes: 4, seconds: 4, naive: true })
      lines.push(describeTally('naive', tally))
      await redis.stop()
      expect(tally.violations).toBeGreaterThan(10)
    },
    TIMEOUT,
  )

  it(
    'finds none while server, network and processes fail [S2-32] [S2-6] [S2-10] [S2-11] [S2-12]',
    async () => {
      const redis = await startRedis()
      const proxies = await Promise.all(Array.from({ length: 4 }, () => startProxy(redis.port)))
      const tally = await attack({
        source: (n) => proxies[n]!.url,
        processes: 4,
        seconds: SECONDS * 1.5,
        faults: [...serverFaults(redis), ...networkFaults(proxies)],
        processFaults: true,
      })
      for (const proxy of proxies) await proxy.stop()
      await redis.stop()
      survived('all faults', tally)
    },
    TIMEOUT,
  )

  it(
    'finds none across failovers that lose acknowledged writes',
    async () => {
      const master = await startRedis()
      const replica = await startReplica(master)
      const proxies = await Promise.all(Array.from({ length: 4 }, () => startProxy(master.port)))
      const tally = await attack({
        source: (n) => proxies[n]!.url,
        processes: 4,
        seconds: SECONDS,
        faults: [lossyFailover([master, replica], proxies)],
      })
      for (const proxy of proxies) await proxy.stop()
      await replica.stop()
      await master.stop()
      survived('failover', tally)
    },
    TIMEOUT,
  )

  it(
    'finds none with L2 alone under kills, freezes and evictions',
    async () => {
      const redis = await startRedis()
      const tally = await attack({
        source: () => redis.url,
        processes: 4,
        seconds: SECONDS / 2,
        l1: false,
        faults: serverFaults(redis),
      })
      await redis.stop()
      survived('no local copies', tally)
    },
    TIMEOUT,
  )

  it(
    'finds none on a cluster of three masters [S1-24] [S2-44] [S3-45]',
    async () => {
      const cluster = await startCluster()
      const tally = await attack({
        source: () => ({ cluster: cluster.nodes.map((node) => node.url) }),
        processes: 4,
        seconds: SECONDS / 2,
        faults: cluster.nodes.flatMap((node) =>
          serverFaults(node).filter(
            ({ name }) => name.startsWith('CLIENT') || name.startsWith('40') || name.startsWith('SCRIPT'),
          ),
        ),
        processFaults: true,
      })
      await cluster.stop()
      survived('cluster', tally)
    },
    TIMEOUT,
  )
})
