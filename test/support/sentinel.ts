/**
 * One master, one replica and three sentinels (quorum 2, half a second to declare a master down).
 *
 *   const setup = await startSentinel()
 *   setup.sentinels                       // [{ host, port }, …], and setup.name of the master set
 *   await setup.master.kill(); await setup.untilPromoted(setup.replica)
 *   await setup.stop()
 */
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.ts'
import { role, startReplica } from './replica.ts'
import { until } from './until.ts'

export interface SentinelSetup {
  readonly name: string
  /** Where they were at the start; roles change with failovers. */
  readonly master: RedisServer
  readonly replica: RedisServer
  readonly sentinels: readonly {
    readonly host: string
    readonly port: number
    readonly server: RedisServer
  }[]
  /** Asks the sentinels to fail over now, without waiting for a fault. */
  failover(): Promise<void>
  /** Resolves when this server is a master and every living sentinel says so. */
  untilPromoted(server: RedisServer, ms?: number): Promise<void>
  stop(): Promise<void>
}

export async function startSentinel(options: { server?: RedisServerOptions } = {}): Promise<SentinelSetup> {
  const name = 'mymaster'
  const started: RedisServer[] = []
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()))
  }
  try {
    const master = await startRedis(options.server)
    started.push(master)
    const replica = await startReplica(master, options.server)
    started.push(replica)
    const sentinels = await Promise.all(
      [0, 1, 2].map(async () => {
        const server = await startRedis({
          sentinel: true,
          config: [
            `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
            `sentinel down-after-milliseconds ${name} 500`,
            `sentinel failover-timeout ${name} 3000`,
            `sentinel parallel-syncs ${name} 1`,
            ...(options.server?.password ? [`sentinel auth-pass ${name} ${options.server.password}`] : []),
          ],
        })
        started.push(server)
        return { host: '127.0.0.1', port: server.port, server }
      }),
    )
    await until(
      'each sentinel knows the two others and the replica',
      async () => {
        for (const { server } of sentinels) {
          const known = pairs(await server.cli('SENTINEL', 'MASTER', name))
          if (known['num-other-sentinels'] !== '2' || known['num-slaves'] !== '1') return false
          const replicas = (await server.cli('SENTINEL', 'REPLICAS', name)) as unknown[]
          if (pairs(replicas[0])['master-link-status'] !== 'ok') return false
        }
        return true
      },
      30_000,
      50,
    )

    const living = () => sentinels.filter(({ server }) => server.alive)
    return {
      name,
      master,
      replica,
      sentinels,
      failover: async () => void (await living()[0]!.server.cli('SENTINEL', 'FAILOVER', name)),
      untilPromoted: async (server, ms = 20_000) => {
        await until(
          `port ${server.port} is the master`,
          async () => {
            if (!(await role(server)).startsWith('master')) return false
            for (const sentinel of living()) {
              const address = await sentinel.server.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
              if (String(address) !== `127.0.0.1,${server.port}`) return false
            }
            return true
          },
          ms,
          20,
        )
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function pairs(reply: unknown): Record<string, string> {
  const flat = (Array.isArray(reply) ? reply : []).map(String)
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 ? [] : [[name, flat[index + 1] ?? '']])))
}
