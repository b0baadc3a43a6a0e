import { afterAll, beforeAll, describe, it } from 'vitest'
import { createQueue, queueRedis } from '../../src/queue/create.ts'
import type { Queue } from '../../src/queue/queue.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { QueueBackendUnderTest } from '../../src/testing/queue-backend.ts'
import { queueContract } from '../../src/testing/queue-contract.ts'
import { postgresMissing, startPostgres } from '../support/postgres-server.ts'
import { PATIENT } from '../support/redis-cache.ts'
import { REDIS_PLACES } from '../support/redis-places.ts'

const api = { describe, it, beforeAll, afterAll }

queueContract(api, 'process memory', async () => keeping(undefined, async () => {}))

for (const [name, open] of REDIS_PLACES) {
  queueContract(api, `BullMQ on ${name}`, async () => {
    const { source, stop } = await open()
    const port = connectRedis(source, PATIENT)
    await port.ready(10_000)
    const patient = () => connectRedis(source as RedisSource, { ...PATIENT, recheckMs: 3_600_000 })
    return keeping(queueRedis(port, patient), async () => {
      await port.close()
      await stop()
    })
  })
}

describe.skipIf(postgresMissing() !== undefined)(postgresMissing() ?? 'with PostgreSQL', () => {
  queueContract(api, "BullMQ's PostgreSQL backend", async () => {
    const server = await startPostgres({ config: { max_connections: 200 } })
    const postgres = { connectionString: server.url, max: 3 }
    return keeping(undefined, () => server.stop(), { postgres })
  })
})

function keeping(
  redis: ReturnType<typeof queueRedis> | undefined,
  stop: () => Promise<void>,
  more: { readonly postgres?: Readonly<Record<string, unknown>> } = {},
): QueueBackendUnderTest {
  const made: Queue<never>[] = []
  return {
    create(name, options) {
      const queue = createQueue({
        deadline: 5_000,
        grace: 100,
        ...options,
        ...more,
        name,
        namespace: 'test',
        redis,
      })
      made.push(queue as unknown as Queue<never>) // only to close it
      // No test has more than a few; what idles on only costs.
      if (made.length > 4) void made.shift()?.close()
      return queue
    },
    async close() {
      await Promise.all(made.map((queue) => queue.close()))
      await stop()
    },
  }
}
