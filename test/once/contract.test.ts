import { afterAll, beforeAll, describe, it } from 'vitest'
import { createOnce, type Once } from '../../src/once/once.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import { onceContract } from '../../src/testing/once-contract.ts'
import { startRedis } from '../support/redis-server.ts'

const api = { describe, it, beforeAll, afterAll }

onceContract(api, 'memory', async () => {
  const once = createOnce()
  return { first: once, second: once, close: async () => once.close() }
})

onceContract(api, 'Redis by node-redis', async () => {
  const server = await startRedis()
  return views(
    () => connectRedis(server.url),
    () => server.stop(),
  )
})

async function views(connect: () => ReturnType<typeof connectRedis>, stop: () => Promise<void>) {
  const ports = [connect(), connect()]
  await Promise.all(ports.map((port) => port.ready(5_000)))
  const [first, second] = ports.map((redis) => createOnce({ redis, namespace: 'test' })) as [Once, Once]
  return {
    first,
    second,
    close: async () => {
      await Promise.all(ports.map((port) => port.close()))
      await stop()
    },
  }
}
