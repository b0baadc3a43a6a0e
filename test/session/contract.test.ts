import { afterAll, beforeAll, describe, it } from 'vitest'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import type { SessionsOptions } from '../../src/session/options.ts'
import { createSessions } from '../../src/session/sessions.ts'
import { type SessionBackend, sessionContract } from '../../src/testing/session-contract.ts'
import { SOURCES } from '../redis/sources.ts'
import { startCluster } from '../support/cluster.ts'
import { LEAST_PRIVILEGE, LEAST_PRIVILEGE_LOGIN } from '../support/least-privilege.ts'
import { PATIENT } from '../support/patience.ts'
import { startRedis } from '../support/redis-server.ts'

const api = { describe, it, beforeAll, afterAll }
const DRIVERS = SOURCES.filter(({ name }) => name === 'redis 6' || name === 'ioredis 6')

sessionContract(api, 'memory', async () => ({
  open<T extends object>(options: SessionsOptions) {
    const first = createSessions<T>(options)
    const known = shared.get(options.name ?? '')
    const store = known ?? first.store
    shared.set(options.name ?? '', store)
    return [createSessions<T>({ ...options, store }), createSessions<T>({ ...options, store })]
  },
  close: async () => shared.clear(),
}))
const shared = new Map<string, ReturnType<typeof createSessions>['store']>()

for (const { name, single, cluster } of DRIVERS) {
  sessionContract(api, `Redis by ${name}`, async () => {
    const server = await startRedis(LEAST_PRIVILEGE)
    const at = { host: '127.0.0.1', port: server.port, login: LEAST_PRIVILEGE_LOGIN }
    return views(
      () => connectRedis(single(at), PATIENT),
      () => server.stop(),
    )
  })

  sessionContract(api, `Cluster by ${name}`, async () => {
    const nodes = await startCluster()
    const at = nodes.nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
    return views(
      () => connectRedis(cluster(at), PATIENT),
      () => nodes.stop(),
    )
  })
}

async function views(connect: () => RedisPort, stop: () => Promise<void>): Promise<SessionBackend> {
  const ports = [connect(), connect()] as const
  await Promise.all(ports.map((port) => port.ready(10_000)))
  return {
    open<T extends object>(options: SessionsOptions) {
      return [
        createSessions<T>({ deadline: '5s', ...options, redis: ports[0], namespace: 'test' }),
        createSessions<T>({ deadline: '5s', ...options, redis: ports[1], namespace: 'test' }),
      ]
    },
    async close() {
      await Promise.all(ports.map((port) => port.close()))
      await stop()
    },
  }
}
