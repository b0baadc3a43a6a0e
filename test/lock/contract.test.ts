import { afterAll, beforeAll, describe, it } from 'vitest'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { lockContract } from '../../src/testing/lock-contract.ts'
import { startRedis } from '../support/redis-server.ts'

const api = { describe, it, beforeAll, afterAll }

lockContract(api, 'memory', async () => {
  const locks = new Locks()
  return { first: locks, second: locks, close: async () => locks.close() }
})

lockContract(api, 'Redis by node-redis', async () => {
  const server = await startRedis()
  return views(
    () => connectRedis(server.url),
    () => server.stop(),
  )
})

async function views(connect: () => ReturnType<typeof connectRedis>, stop: () => Promise<void>) {
  const ports = [connect(), connect()]
  await Promise.all(ports.map((port) => port.ready(5_000)))
  const [first, second] = ports.map((redis) => new Locks({ redis, namespace: 'test' })) as [Locks, Locks]
  return {
    first,
    second,
    close: async () => {
      first.close()
      second.close()
      await Promise.all(ports.map((port) => port.close()))
      await stop()
    },
  }
}
