import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/holdfast.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const NOISE = randomBytes(72 * 1024).toString('base64')
/** A different 96 KB each, that hardly compress. */
const text = (n: number): string => `${n} ${NOISE}`

const MB = 1024 * 1024
const ENTRY = NOISE.length
const BATCH = 20

describe.each(['allkeys-lru', 'noeviction'])('a small managed server (%s)', (policy) => {
  let server: RedisServer
  beforeAll(async () => {
    // As the free plans are: 30 MB, TLS alone, a password, no CONFIG.
    const config = { maxmemory: '30mb', 'maxmemory-policy': policy }
    server = await startRedis({ tls: true, password: 'token%of/cloud', renamed: true, config })
  })
  afterAll(() => server.stop())

  it('[S4-10, S4-11, S4-12, S2-8, B10] takes twice its memory without an error in the application', async () => {
    const { ca } = server.tls!
    const hf = holdfast({
      redis: {
        host: 'localhost',
        port: server.port,
        username: 'default',
        password: 'token%of/cloud',
        tls: { ca },
      },
      cache: { l1: { maxBytes: 2 * MB } },
      deadlines: { read: '5s', write: '5s' },
    })
    await hf.ready('20s')
    const entries = (60 * MB) / ENTRY
    for (let from = 0; from < entries; from += BATCH) {
      const batch = Array.from({ length: BATCH }, (_, i) => from + i)
      const load = (n: number) => hf.cache.getOrSet(`report:${n}`, () => text(n), { ttl: '1h' })
      const values = await Promise.all(batch.map(load))
      for (const [i, value] of values.entries()) expect(value).toBe(text(batch[i]!))
    }
    const field = async (name: string) => Number((await hf.redis!.info('cache'))[0]?.[name])
    expect(await field('maxmemory')).toBe(30 * MB)
    // The server admits or refuses a script as a whole: the last batch may take it over its bound.
    expect(await field('used_memory_dataset')).toBeLessThanOrEqual(30 * MB + BATCH * ENTRY)
    expect(hf.cache.stats().store.l1Bytes).toBeLessThanOrEqual(2 * MB)
    expect(hf.cache.stats().loadErrors).toBe(0)
    await hf.close()
  })
})
