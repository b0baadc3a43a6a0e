import type { Holdfast } from '../../src/holdfast.ts'
import type { RedisServer } from '../support/redis-server.ts'

const CHUNK = 5_000
const LIFE_MS = 3_600_000

/**
 * Many keys: of twenty, seventeen are cached entries of five namespaces, two are raw keys and one is
 * another application's. The entries are copies of real ones, so that they are valid.
 */
export async function fill(server: RedisServer, hf: Holdfast, keys: number): Promise<void> {
  const models: string[] = []
  for (let i = 0; i < 5; i++) {
    const cache = hf.cache.namespace(`part${i}`)
    await cache.set('model', { id: i, text: 'x'.repeat(40) }, { ttl: LIFE_MS, tags: [`tag${i}`] })
    models.push(String(await server.cli('GET', `hf:{${hf.namespace}:0}:e:part${i}|model`)))
  }
  const link = await server.connect()
  for (let at = 0; at < keys; at += CHUNK) {
    const sent: Promise<unknown>[] = []
    for (let i = at; i < Math.min(keys, at + CHUNK); i++) {
      const kind = i % 20
      const name =
        kind < 17
          ? `hf:{${hf.namespace}:0}:e:part${i % 5}|item:${i}`
          : kind < 19
            ? `hf:${hf.namespace}:raw:{note:${i}}`
            : `otherapp:${i}`
      const value = kind < 17 ? models[i % 5]! : `note ${i}`
      sent.push(link.send('SET', name, value, 'PX', LIFE_MS))
    }
    await Promise.all(sent)
  }
  link.close()
}
