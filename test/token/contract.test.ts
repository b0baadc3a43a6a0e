import { afterAll, beforeAll, describe, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { type TokenBackend, tokenContract } from '../../src/testing/token-contract.ts'
import { MemoryTokenStore } from '../../src/token/memory-store.ts'
import type { TokensOptions } from '../../src/token/options.ts'
import { createTokens } from '../../src/token/tokens.ts'
import { SOURCES } from '../redis/sources.ts'
import { startCluster } from '../support/cluster.ts'
import { LEAST_PRIVILEGE, LEAST_PRIVILEGE_LOGIN } from '../support/least-privilege.ts'
import { PATIENT } from '../support/patience.ts'
import { startRedis } from '../support/redis-server.ts'

const api = { describe, it, beforeAll, afterAll }
const DRIVERS = SOURCES.filter(({ name }) => name === 'redis 6' || name === 'ioredis 6')

tokenContract(api, 'memory', async () => {
  const store = new MemoryTokenStore(systemClock, systemRandom)
  return {
    open: (options: TokensOptions) => [
      createTokens({ ...options, store }),
      createTokens({ ...options, store }),
    ],
    close: () => store.close(),
  }
})

for (const { name, single, cluster } of DRIVERS) {
  tokenContract(api, `Redis by ${name}`, async () => {
    const server = await startRedis(LEAST_PRIVILEGE)
    const at = { host: '127.0.0.1', port: server.port, login: LEAST_PRIVILEGE_LOGIN }
    return views(
      () => connectRedis(single(at), PATIENT),
      () => server.stop(),
    )
  })

  tokenContract(api, `Cluster by ${name}`, async () => {
    const nodes = await startCluster()
    const at = nodes.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
    return views(
      () => connectRedis(cluster(at), PATIENT),
      () => nodes.stop(),
    )
  })
}

async function views(connect: () => RedisPort, stop: () => Promise<void>): Promise<TokenBackend> {
  const ports = [connect(), connect()] as const
  await Promise.all(ports.map((port) => port.ready(10_000)))
  return {
    open: (options: TokensOptions) => [
      createTokens({ storeDeadline: '5s', ...options, redis: ports[0], namespace: 'test' }),
      createTokens({ storeDeadline: '5s', ...options, redis: ports[1], namespace: 'test' }),
    ],
    async close() {
      await Promise.all(ports.map((port) => port.close()))
      await stop()
    },
  }
}
