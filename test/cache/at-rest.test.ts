import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CorruptEvent, corruptions } from '../../src/cache/stats.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const SECRET = 'Nguyễn Văn An, 0912-345-678'
const keyOfLife = () => randomBytes(32).toString('base64')
const old = keyOfLife()
const recent = keyOfLife()

describe('entries at rest', () => {
  let redis: RedisServer
  let namespace: string
  const opened: LiveCache[] = []

  beforeAll(async () => {
    redis = await startRedis()
  })
  beforeEach(() => {
    namespace = freshNamespace()
  })
  afterEach(async () => {
    for (const live of opened.splice(0)) await live.close()
  })
  afterAll(() => redis.stop())

  /** Without local copies: what is written straight into Redis is what is read. */
  async function open(keys?: Record<string, string>): Promise<LiveCache['cache']> {
    const live = await openCache(redis.url, { namespace, l1: false, ...(keys && { encryption: { keys } }) })
    opened.push(live)
    return live.cache
  }
  const at = (key: string): string => `hf:{${namespace}:0}:e:${key}`
  async function raw(key: string): Promise<Buffer> {
    const client = await redis.connect()
    try {
      // Bytes as a hex text: the harness reads replies as text.
      const script =
        "return (redis.call('GET', KEYS[1]):gsub('.', function(c) return string.format('%02x', c:byte()) end))"
      return Buffer.from(String(await client.send('EVAL', script, '1', at(key))), 'hex')
    } finally {
      client.close()
    }
  }
  const write = (key: string, bytes: Buffer) => redis.cli('SET', at(key), bytes, 'KEEPTTL')

  describe('that are sensitive', () => {
    const sensitive = { sensitive: true } as const

    it('show no word of the value to who reads Redis, and read back whole [S0-19]', async () => {
      const cache = await open({ k1: recent })
      const customer = { name: SECRET, phone: '0912345678' }
      await cache.set('customer:7', customer, sensitive)
      const bytes = await raw('customer:7')
      for (const part of [...SECRET.split(/\W+/u), '0912345678', 'phone', recent]) {
        if (part.length > 3) expect(bytes.includes(part)).toBe(false)
      }
      expect(bytes.length).toBeGreaterThan(40)
      expect(await cache.get('customer:7')).toEqual(customer)
      // The same value twice is not the same bytes twice.
      await cache.set('customer:7', customer, sensitive)
      expect((await raw('customer:7')).equals(bytes)).toBe(false)
    })

    it('stay readable while the key that sealed them is listed, and are a miss afterwards', async () => {
      const before = await open({ k1: old })
      await before.set('k', SECRET, sensitive)
      const rotated = await open({ k1: old, k2: recent })
      expect(await rotated.get('k')).toBe(SECRET)
      await rotated.set('fresh', SECRET, sensitive)
      expect((await raw('fresh')).includes('k2')).toBe(true)
      const later = await open({ k2: recent })
      expect(await later.get('k')).toBeUndefined()
      expect(await later.get('fresh')).toBe(SECRET)
      expect(later.stats()).toMatchObject({ corrupt: 1, misses: 1, errors: 0 })
      expect(await later.getOrSet('k', () => 'reloaded', sensitive)).toBe('reloaded')
    })

    it('are a miss when somebody swaps them, or changes one bit', async () => {
      const cache = await open({ k1: recent })
      await cache.set('of:anna', 'for Anna only', sensitive)
      await cache.set('of:bert', 'for Bert only', sensitive)
      const [anna, bert] = [await raw('of:anna'), await raw('of:bert')]
      await write('of:anna', bert)
      const flipped = Buffer.from(bert)
      flipped[flipped.length - 1]! ^= 1
      await write('of:bert', flipped)
      expect(await cache.get('of:anna')).toBeUndefined()
      expect(await cache.get('of:bert')).toBeUndefined()
      expect(cache.stats()).toMatchObject({ corrupt: 2, misses: 2 })
      await write('of:anna', anna)
      expect(await cache.get('of:anna')).toBe('for Anna only')
    })

    it('are refused, not stored in clear, where the instance has no keys', async () => {
      const cache = await open()
      await expect(cache.set('k', SECRET, sensitive)).rejects.toMatchObject({ code: 'CONFIG' })
      const failed = cache.getOrSet('k', () => SECRET, sensitive).catch((error: unknown) => String(error))
      expect(await failed).not.toContain(SECRET)
      expect(await redis.cli('EXISTS', at('k'))).toBe(0)
    })
  })

  it('take less than 30 KB for 100 KB of JSON [S2-28]', async () => {
    const cache = await open()
    const rows = Array.from({ length: 1_000 }, (_, i) => ({
      id: 100_000 + i * 7,
      code: `SP${String(i * 7_919).padStart(7, '0')}`,
      name: `Áo thun nam cổ tròn mẫu ${i}`,
      price: 99_000 + ((i * 37) % 50) * 1_000,
      unit: 'chiếc',
    }))
    expect(Buffer.byteLength(JSON.stringify(rows))).toBeGreaterThan(100_000)
    await cache.set('products', rows)
    expect(await redis.cli('STRLEN', at('products'))).toBeLessThan(30_000)
    expect(await cache.get('products')).toEqual(rows)
  })

  describe('that are damaged', () => {
    const TOKEN = 'token-nobody-may-see'
    const damages: [string, (entry: Buffer) => Buffer][] = [
      ['the body is cut', (entry) => entry.subarray(0, entry.length - 9)],
      ['the header is cut', (entry) => entry.subarray(0, 20)],
      [
        'the body is no JSON',
        (entry) => Buffer.concat([entry.subarray(0, entry.indexOf(10) + 1), Buffer.from(TOKEN)]),
      ],
      ['it is empty', () => Buffer.alloc(0)],
      ['it is noise', () => randomBytes(300)],
      ['it is of another release', (entry) => Buffer.concat([Buffer.from('hf9'), entry.subarray(3)])],
      [
        'its flags are of another release',
        (entry) => Buffer.from(entry.toString().replace(/ - - /, ' z - ')),
      ],
      ['its numbers are none', (entry) => Buffer.from(entry.toString().replace(/ \d+ /, ' NaN '))],
      [
        'it nests a thousand deep',
        (entry) =>
          Buffer.concat([
            entry.subarray(0, entry.indexOf(10) + 1),
            Buffer.from('['.repeat(1_000) + ']'.repeat(1_000)),
          ]),
      ],
      [
        'it is larger than allowed',
        (entry) =>
          Buffer.concat([
            entry.subarray(0, entry.indexOf(10) + 1),
            Buffer.from(`"${'x'.repeat(9 * 1024 * 1024)}"`),
          ]),
      ],
    ]
    it.each(damages)('are one counted miss, and nothing else suffers: %s', async (_, damage) => {
      const cache = await open()
      await cache.set('k', { token: TOKEN })
      await cache.set('neighbour', 'fine')
      await write('k', damage(await raw('k')))
      const causes: unknown[] = []
      const hear = (event: unknown) => causes.push((event as CorruptEvent).cause)
      subscribe(corruptions.name, hear)
      expect(await cache.get('k')).toBeUndefined()
      unsubscribe(corruptions.name, hear)
      expect(causes.map(String).join()).not.toContain('token')
      const report = cache.stats()
      expect(report).toMatchObject({ misses: 1, errors: 0, hits: { l1: 0, l2: 0 } })
      expect(report.corrupt + report.store.corrupt).toBe(1)
      expect(await cache.getMany(['k', 'neighbour'])).toEqual(new Map([['neighbour', 'fine']]))
      // The breaker saw no failure, and the next load mends it.
      expect(opened.at(-1)!.port.nodes()[0]!.state).toBe('ready')
      expect(await cache.getOrSet('k', () => 'mended')).toBe('mended')
      expect(await cache.getOrSet('k', () => 'not again')).toBe('mended')
    })

    it('are a miss when the key holds another type', async () => {
      const cache = await open()
      await cache.set('k', 1)
      await redis.cli('DEL', at('k'))
      await redis.cli('RPUSH', at('k'), 'a', 'list')
      expect(await cache.get('k')).toBeUndefined()
      expect(cache.stats()).toMatchObject({ misses: 1, errors: 0 })
    })
  })
})
