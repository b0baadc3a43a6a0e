import { afterAll, beforeAll, describe, it } from 'vitest'
import { describeCacheContract } from '../../src/testing/cache-contract.ts'
import { SOURCES } from '../redis/sources.ts'
import { startCluster, type TestCluster } from '../support/cluster.ts'
import { LEAST_PRIVILEGE, LEAST_PRIVILEGE_LOGIN } from '../support/least-privilege.ts'
import { redisBackend } from '../support/redis-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const CLIENTS = SOURCES.filter(({ name }) => /^(redis 6|ioredis 6)$/.test(name))

/** [S2-32] [S0-28]: the suite that process memory passes, over real servers. */
describe('the cache contract on Redis', () => {
  let redis: RedisServer
  let cluster: TestCluster
  beforeAll(async () => {
    // The dangerous commands do not exist here, as on many managed servers, and the user may do little.
    redis = await startRedis(LEAST_PRIVILEGE)
    cluster = await startCluster()
  })
  afterAll(async () => {
    await redis.stop()
    await cluster.stop()
  })

  for (const client of CLIENTS) {
    describeCacheContract(
      { describe, it, beforeAll, afterAll },
      `${client.name}, one server [S4-40][S2-23]`,
      () =>
        redisBackend(() =>
          client.single({ host: '127.0.0.1', port: redis.port, login: LEAST_PRIVILEGE_LOGIN }),
        ),
    )
  }
  describeCacheContract({ describe, it, beforeAll, afterAll }, 'redis 6, cluster of three [S3-45]', () =>
    redisBackend(() => CLIENTS[0]!.cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))),
  )
})
