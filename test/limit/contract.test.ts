import { afterAll, beforeAll, describe, it } from 'vitest'
import { createLimiter, type Limiter } from '../../src/limit/limiter.ts'
import type { LimiterSettings } from '../../src/limit/options.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { limitContract } from '../../src/testing/limit-contract.ts'
import { SOURCES } from '../redis/sources.ts'
import { startCluster } from '../support/cluster.ts'
import { LEAST_PRIVILEGE, LEAST_PRIVILEGE_LOGIN } from '../support/least-privilege.ts'
import { startRedis } from '../support/redis-server.ts'

const api = { describe, it, beforeAll, afterAll }

limitContract(api, 'process memory', async () => {
  const made = new Map<string, Limiter>()
  const make = (settings: LimiterSettings) => {
    const name = JSON.stringify([settings.namespace, settings.name])
    const limiter = made.get(name) ?? createLimiter(settings)
    made.set(name, limiter)
    return limiter
  }
  return { first: make, second: make, close: async () => {} }
})

for (const name of ['redis 6', 'ioredis 6']) {
  const kind = SOURCES.find((source) => source.name === name)!
  limitContract(api, `one Redis by ${name}`, async () => {
    const server = await startRedis(LEAST_PRIVILEGE)
    return views(
      () => kind.single({ host: '127.0.0.1', port: server.port, login: LEAST_PRIVILEGE_LOGIN }),
      () => server.stop(),
    )
  })
}

const kind = SOURCES.find((source) => source.name === 'redis 6')!
limitContract(api, 'Redis Cluster', async () => {
  const cluster = await startCluster()
  const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
  return views(
    () => kind.cluster(nodes),
    () => cluster.stop(),
  )
})

async function views(source: () => RedisSource, stop: () => Promise<void>) {
  const ports = [connectRedis(source()), connectRedis(source())]
  await Promise.all(ports.map((port) => port.ready(10_000)))
  const limiters: Limiter[] = []
  const by = (redis: RedisPort) => (settings: LimiterSettings) => {
    const limiter = createLimiter({ ...settings, redis })
    limiters.push(limiter)
    return limiter
  }
  return {
    first: by(ports[0]!),
    second: by(ports[1]!),
    async close() {
      await Promise.all(limiters.map((limiter) => limiter.close()))
      await Promise.all(ports.map((port) => port.close()))
      await stop()
    },
  }
}
