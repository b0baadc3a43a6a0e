/**
 * A replica of a test server, in sync when this resolves.
 *
 *   const master = await startRedis(); const replica = await startReplica(master)
 */
import { configLines, type RedisServer, type RedisServerOptions, startRedis } from './redis-server.ts'
import { until } from './until.ts'

export async function startReplica(
  master: RedisServer,
  options: RedisServerOptions = {},
): Promise<RedisServer> {
  const replica = await startRedis({
    ...options,
    config: [`replicaof 127.0.0.1 ${master.port}`, ...configLines(options.config)],
  })
  try {
    await until('the replica is in sync', async () => (await role(replica)).includes('connected'))
    return replica
  } catch (error) {
    await replica.stop()
    throw error
  }
}

/** The answer to ROLE as flat words: `master 0 …`, or `slave 127.0.0.1 <port> connected <offset>`. */
export async function role(server: RedisServer): Promise<string> {
  return [await server.cli('ROLE')].flat(3).join(' ')
}
