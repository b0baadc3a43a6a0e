import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createCache } from '../../src/cache/create.ts'
import { createLayout } from '../../src/cache/redis-store/layout.ts'
import { createRedisStore } from '../../src/cache/redis-store/redis-store.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import type { CacheBackend } from '../../src/testing/cache-backend.ts'

/**
 * The contract is about behaviour, not about haste: on a machine that is busy with other tests, a
 * server that pauses for a second must not turn a hit into an outage.
 */
export const PATIENT = { handshakeMs: 10_000, deadAfterMs: 10_000, breakAfter: 1_000 }
export const DEADLINES = { read: 5_000, write: 5_000, invalidate: 10_000 }

let names = 0

/**
 * Two caches as two processes have them: each with its own connections and its own local copies.
 * Real time, real server.
 */
export async function redisBackend(source: () => RedisSource): Promise<CacheBackend> {
  const ports = [connectRedis(source(), PATIENT), connectRedis(source(), PATIENT)] as const
  await Promise.all(ports.map((port) => port.ready(10_000)))
  const caches: { close(): Promise<void> }[] = []
  return {
    async open(setup = {}) {
      const namespace = `contract-${process.pid}-${++names}`
      await seemOld(ports[0], namespace)
      const [first, second] = ports.map((port) => {
        const l1 = setup.l1 ?? {}
        const rest = { clock: systemClock, random: systemRandom, deadlines: DEADLINES }
        const store = createRedisStore({ port, namespace, l1, ...rest })
        return { store, cache: createCache({ ...setup, store }) }
      }) as [Made, Made]
      caches.push(first.cache, second.cache)
      return {
        first: first.cache,
        second: second.cache,
        store: first.store,
        async corrupt(key) {
          const found = await first.store.inspect(key)
          if (found.redisKey === undefined) throw new Error('nothing to corrupt')
          const node = ports[0].nodeFor(found.redisKey)
          const raw = (await node.send(['GET', found.redisKey], { deadline: 2_000, as: 'bytes' })) as Buffer
          const broken = Buffer.concat([raw.subarray(0, raw.indexOf(10) + 1), Buffer.from('{"cut')])
          await node.send(['SET', found.redisKey, broken, 'KEEPTTL'], { deadline: 2_000 })
          for (const { store } of [first, second]) {
            const copy = store.peek(key)
            if (copy) Object.assign(copy, { body: '{"cut', memo: undefined })
          }
        },
      }
    },
    advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    async close() {
      for (const cache of caches) await cache.close()
      for (const port of ports) await port.close()
    },
  }
}

interface Made {
  readonly store: ReturnType<typeof createRedisStore>
  readonly cache: ReturnType<typeof createCache>
}

/**
 * The first second of a namespace makes strict invalidations wait, since unknown processes might
 * hold copies. Here there are none, so the list of holders may look older than it is.
 */
export async function seemOld(port: RedisPort, namespace: string): Promise<void> {
  const buckets = port.topology === 'cluster' ? 16 : 1
  for (let b = 0; b < buckets; b++) {
    const { members } = createLayout(namespace, b)
    await port.nodeFor(members).send(['HSET', members, 'b', '1'], { deadline: 2_000 })
  }
}
