import type { RedisPort } from '../../src/redis/port.ts'
import type { Subject } from './subject.ts'

const DEADLINE = { deadline: 500, as: 'text' } as const

/** What most teams write: GET, load, SET; DEL on write; a tag is a SET of keys. To show that the workload bites. */
export function naiveSubject(port: RedisPort): Subject {
  const node = port.nodeFor('any')
  const read = async (key: string): Promise<unknown> => {
    const text = await node.send(['GET', key], DEADLINE).catch(() => null)
    return typeof text === 'string' ? JSON.parse(text) : undefined
  }
  const write = async (key: string, tags: readonly string[], value: unknown, ttl: number): Promise<void> => {
    try {
      await node.send(['SET', key, JSON.stringify(value), 'PX', String(ttl)], DEADLINE)
      for (const tag of tags) await node.send(['SADD', `tag:${tag}`, key], DEADLINE)
    } catch {
      // Not stored: the next reader loads again.
    }
  }
  const subject: Subject = {
    async getOrSet(key, tags, load, options) {
      const cached = await read(key)
      if (cached !== undefined) return cached
      const all = [...tags]
      const value = await load((...more) => void all.push(...more))
      void write(key, all, value, options.ttl)
      return value
    },
    getOrSetMany: (keys, load, tags, options) =>
      Promise.all(keys.map((key) => subject.getOrSet(key, tags, () => load(key), options))),
    get: read,
    writeThrough: async (key, tags, source) => write(key, tags, await source(), 60_000),
    async invalidate({ keys = [], tags = [] }) {
      for (const key of keys) await node.send(['DEL', key], DEADLINE)
      for (const tag of tags) {
        const members = (await node.send(['SMEMBERS', `tag:${tag}`], DEADLINE)) as string[]
        await node.send(['DEL', `tag:${tag}`, ...members], DEADLINE)
      }
    },
    async deletePattern(glob) {
      const keys = (await node.send(['KEYS', glob], DEADLINE)) as string[]
      if (keys.length > 0) await node.send(['DEL', ...keys], DEADLINE)
    },
    async clear() {
      await node.send(['FLUSHALL'], DEADLINE)
    },
    async mutate(what, change) {
      await change()
      await subject.invalidate({ ...what, soft: false })
    },
    close: () => port.close(),
  }
  return subject
}
