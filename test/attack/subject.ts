/** What is attacked: Holdfast, or the delete-on-write that everybody writes first. */
import { createClient } from 'redis'
import { holdfast } from '../../src/index.ts'
import { KEYS, keyName, type Row, tagName, tagsOf } from './source-of-truth.ts'

export interface Subject {
  getOrSet(i: number, load: () => Promise<Row>): Promise<Row>
  getMany(
    list: readonly number[],
    load: (missing: readonly number[]) => Promise<Map<number, Row>>,
  ): Promise<Row[]>
  deleteKey(i: number): Promise<unknown>
  /** Write-through: `change` runs first, then its row is stored. */
  write(i: number, change: () => Row): Promise<unknown>
  mutate(i: number, change: () => void): Promise<unknown>
  invalidateTag(j: number): Promise<unknown>
  deleteGroup(g: number): Promise<unknown>
  clear(): Promise<unknown>
  close(): Promise<unknown>
}

export interface SubjectOptions {
  readonly source: string | { cluster: readonly string[] }
  readonly l1: boolean
  /** Half of the keys get their tags from the loader instead of the call. */
  readonly dynamicTags: boolean
}

const TTL = 60_000
const tagNames = (i: number): string[] => tagsOf(i).map(tagName)

export function holdfastSubject({ source, l1, dynamicTags }: SubjectOptions): Subject {
  const redis = typeof source === 'string' ? source : { cluster: [...source.cluster] }
  const { cache, close } = (() => {
    const hf = holdfast({ redis, namespace: 'attack', cache: { l1: l1 ? {} : false } })
    return { cache: hf.cache, close: () => hf.close() }
  })()
  const isDynamic = (i: number): boolean => dynamicTags && i % 2 === 0
  const indexes = new Map(Array.from({ length: KEYS }, (_, i) => [keyName(i), i]))
  return {
    getOrSet: (i, load) =>
      cache.getOrSet(
        keyName(i),
        (ctx) => {
          if (isDynamic(i)) ctx.tag(...tagNames(i))
          return load()
        },
        { ttl: TTL, tags: isDynamic(i) ? [] : tagNames(i) },
      ),
    async getMany(list, load) {
      // One call has one list of tags: an entry that lacks one of them counts as a miss.
      const loadMissing = (missing: readonly string[]): Promise<Map<string, Row>> =>
        load(missing.map((name) => indexes.get(name)!)).then(
          (rows) => new Map([...rows].map(([i, row]) => [keyName(i), row])),
        )
      const found = await cache
        .namespace('many')
        .getOrSetMany(list.map(keyName), (name) => name, loadMissing, {
          ttl: TTL,
          tags: list.flatMap(tagNames),
        })
      return [...found.values()] as Row[]
    },
    async deleteKey(i) {
      await cache.delete(keyName(i))
      await cache.namespace('many').delete(keyName(i))
    },
    async write(i, change) {
      const mark = await cache.mark()
      const row = change()
      await cache.set(keyName(i), row, { ttl: TTL, tags: tagNames(i), mark })
      await cache.namespace('many').delete(keyName(i))
    },
    async mutate(i, change) {
      await cache.mutate({ keys: [keyName(i)] }, change)
      await cache.namespace('many').delete(keyName(i))
    },
    async invalidateTag(j) {
      // Names of a namespace, tags included, are its own.
      await cache.invalidateTag(tagName(j))
      await cache.namespace('many').invalidateTag(tagName(j))
    },
    async deleteGroup(g) {
      await cache.deletePattern(`g${g}:*`)
      await cache.namespace('many').deletePattern(`g${g}:*`)
    },
    clear: () => cache.clear(),
    close,
  }
}

/** GET, load, SET; DEL on write; a SET of keys per tag. */
export async function naiveSubject(url: string): Promise<Subject> {
  const client = createClient({ url })
  client.on('error', () => undefined)
  await client.connect()
  const store = async (i: number, row: Row): Promise<void> => {
    await client.set(keyName(i), JSON.stringify(row), { PX: TTL })
    for (const tag of tagNames(i)) await client.sAdd(tag, keyName(i))
  }
  const getOrSet = async (i: number, load: () => Promise<Row>): Promise<Row> => {
    const text = await client.get(keyName(i))
    if (typeof text === 'string') return JSON.parse(text) as Row
    const row = await load()
    await store(i, row)
    return row
  }
  const dropAll = (list: readonly number[]): Promise<number> => client.del(list.map(keyName))
  const everything = Array.from({ length: KEYS }, (_, i) => i)
  return {
    getOrSet,
    getMany: (list, load) =>
      Promise.all(list.map((i) => getOrSet(i, async () => (await load([i])).get(i) as Row))),
    deleteKey: (i) => client.del(keyName(i)),
    write: (i, change) => store(i, change()),
    async mutate(i, change) {
      change()
      await client.del(keyName(i))
    },
    async invalidateTag(j) {
      const members = await client.sMembers(tagName(j))
      if (members.length > 0) await client.del([...members, tagName(j)])
    },
    deleteGroup: (g) => dropAll(everything.filter((i) => keyName(i).startsWith(`g${g}:`))),
    clear: () => dropAll(everything),
    close: () => client.close(),
  }
}
