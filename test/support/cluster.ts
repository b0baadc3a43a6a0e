/**
 * A Redis Cluster of masters (three by default) on loopback, serving all 16384 slots.
 *
 *   const cluster = await startCluster()
 *   cluster.url                                  // of one node; clients find the rest
 *   await cluster.moveSlot('some-key', 2)        // reshards the slot of a key, keys included
 *   await cluster.stop()
 */

import { freePort } from './free-port.ts'
import { configLines, type RedisServer, type RedisServerOptions, startRedis } from './redis-server.ts'
import { until } from './until.ts'

export interface TestCluster {
  readonly nodes: readonly RedisServer[]
  /** One replica per master where asked for, in the order of the masters. */
  readonly replicas: readonly RedisServer[]
  readonly url: string
  readonly urls: readonly string[]
  ownerOf(key: string): Promise<RedisServer>
  /** Runs one command on the master that owns `key`. */
  cli(key: string, ...args: (string | number)[]): Promise<unknown>
  /** Moves the slot of `key` with its keys to the node of that index. */
  moveSlot(key: string, to: number): Promise<void>
  /** Resolves when every living node agrees that the cluster is up and covered. */
  untilOk(ms?: number): Promise<void>
  stop(): Promise<void>
}

export interface ClusterOptions {
  readonly masters?: number
  /** One replica for each master. @default false */
  readonly replicas?: boolean
  readonly server?: RedisServerOptions
}

const SLOTS = 16_384

export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const count = options.masters ?? 3
  const busPorts = await Promise.all(Array.from({ length: count * 2 }, () => freePort()))
  const nodes: RedisServer[] = []
  const replicas: RedisServer[] = []
  const stop = async () => {
    await Promise.all([...nodes, ...replicas].map((node) => node.stop()))
  }
  const start = (busPort: number) =>
    startRedis({
      ...options.server,
      config: [
        'cluster-enabled yes',
        `cluster-port ${busPort}`,
        'cluster-node-timeout 1500',
        'cluster-require-full-coverage yes',
        'cluster-replica-validity-factor 0',
        ...configLines(options.server?.config),
      ],
    })
  try {
    nodes.push(...(await Promise.all(busPorts.slice(0, count).map(start))))
    if (options.replicas) replicas.push(...(await Promise.all(busPorts.slice(count).map(start))))
    await wire(nodes, replicas, busPorts)
    const cluster = new Cluster(nodes, replicas, stop)
    await cluster.untilOk(30_000)
    return cluster
  } catch (error) {
    await stop()
    throw error
  }
}

async function wire(nodes: RedisServer[], replicas: RedisServer[], busPorts: number[]): Promise<void> {
  const share = Math.ceil(SLOTS / nodes.length)
  await Promise.all(
    nodes.map((node, index) =>
      node.cli('CLUSTER', 'ADDSLOTSRANGE', index * share, Math.min(SLOTS, (index + 1) * share) - 1),
    ),
  )
  const all = [...nodes, ...replicas]
  for (const [index, node] of all.entries()) await node.cli('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
  for (const [index, node] of all.entries()) {
    if (index > 0) await all[0]!.cli('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[index]!)
  }
  for (const [index, replica] of replicas.entries()) {
    const id = String(await nodes[index]!.cli('CLUSTER', 'MYID'))
    await until('the replica knows its master', async () =>
      String(await replica.cli('CLUSTER', 'NODES')).includes(`${id} 127.0.0.1:${nodes[index]!.port}`),
    )
    await until('the replica follows', () => replica.cli('CLUSTER', 'REPLICATE', id))
  }
}

class Cluster implements TestCluster {
  readonly nodes: readonly RedisServer[]
  readonly replicas: readonly RedisServer[]
  readonly stop: () => Promise<void>

  constructor(nodes: readonly RedisServer[], replicas: readonly RedisServer[], stop: () => Promise<void>) {
    this.nodes = nodes
    this.replicas = replicas
    this.stop = stop
  }

  get url(): string {
    return this.nodes[0]!.url
  }

  get urls(): readonly string[] {
    return this.nodes.map((node) => node.url)
  }

  async ownerOf(key: string): Promise<RedisServer> {
    const alive = this.#alive()
    const slot = Number(await alive[0]!.cli('CLUSTER', 'KEYSLOT', key))
    const ranges = (await alive[0]!.cli('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
    const range = ranges.find(([from, to]) => from <= slot && slot <= to)
    const owner = [...this.nodes, ...this.replicas].find((node) => node.port === range?.[2][1])
    if (!owner) throw new Error(`slot ${slot} has no owner`)
    return owner
  }

  async cli(key: string, ...args: (string | number)[]): Promise<unknown> {
    return (await this.ownerOf(key)).cli(...args)
  }

  async moveSlot(key: string, to: number): Promise<void> {
    const from = await this.ownerOf(key)
    const target = this.nodes[to]!
    if (from === target) return
    const slot = Number(await from.cli('CLUSTER', 'KEYSLOT', key))
    const [fromId, targetId] = [await from.cli('CLUSTER', 'MYID'), await target.cli('CLUSTER', 'MYID')].map(
      String,
    )
    await target.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId!)
    await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId!)
    for (;;) {
      const keys = (await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) break
      await from.cli('MIGRATE', '127.0.0.1', target.port, '', 0, 5_000, 'KEYS', ...keys)
    }
    for (const node of [target, from, ...this.nodes.filter((node) => node !== target && node !== from)]) {
      if (node.alive) await node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', targetId!)
    }
  }

  async untilOk(ms = 20_000): Promise<void> {
    await until(
      'the cluster is up and covered',
      async () => {
        for (const node of this.#alive()) {
          const info = String(await node.cli('CLUSTER', 'INFO'))
          if (!info.includes('cluster_state:ok') || !info.includes(`cluster_slots_ok:${SLOTS}`)) return false
        }
        return this.#knowEachOther()
      },
      ms,
      20,
    )
  }

  async #knowEachOther(): Promise<boolean> {
    const expected = this.nodes.length + this.replicas.length
    for (const node of this.#alive()) {
      const lines = String(await node.cli('CLUSTER', 'NODES'))
        .trim()
        .split('\n')
      if (lines.length < expected || lines.some((line) => line.includes('handshake'))) return false
    }
    return true
  }

  #alive(): RedisServer[] {
    return [...this.nodes, ...this.replicas].filter((node) => node.alive)
  }
}
