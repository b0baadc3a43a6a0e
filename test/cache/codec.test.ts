import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/base/random.ts'
import { Codec } from '../../src/cache/codec.ts'
import { COMPRESS_FROM_BYTES } from '../../src/cache/compress.ts'
import { KeyRing } from '../../src/cache/encrypt.ts'
import { deepFreeze } from '../../src/cache/entry.ts'
import { MAX_DEPTH } from '../../src/cache/json.ts'
import type { CacheOptions } from '../../src/cache/options.ts'
import { resolveSettings } from '../../src/cache/settings.ts'

const LIMIT = 8 * 1024 * 1024
const settings = (options: CacheOptions = {}) => resolveSettings(options, '', [])
const oldKey = Buffer.alloc(32, 1)
const newKey = Buffer.alloc(32, 2).toString('base64')
const ring = (keys: Record<string, Buffer | string>, current?: string) =>
  new KeyRing({ keys, current }, systemRandom)
const codec = new Codec(ring({ old: oldKey }), 'shop')
// JSON has no -0, so neither have the samples.
const plainData = fc
  .jsonValue({ maxDepth: 5 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
  .filter((value) => !/"(__proto__|constructor|prototype)"/.test(JSON.stringify(value)))

const roundTrip = async (value: unknown, options: CacheOptions) => {
  const s = settings(options)
  await codec.prepare(s.codec, '')
  const { body, flags } = codec.encode('k', value, s)
  return codec.decode('k', body, flags, LIMIT)
}

/** A sealed or packed body with one byte changed. */
const flip = (body: Buffer, at: number) => {
  const copy = Buffer.from(body)
  copy[at % copy.length]! ^= 1
  return copy
}

describe('the codec', () => {
  it.each<[string, CacheOptions]>([
    ['json', {}],
    ['v8', { codec: 'v8' }],
    ['msgpack', { codec: 'msgpack' }],
    ['json, compressed', { compress: 0 }],
    ['json, sealed', { sensitive: true }],
    ['msgpack, compressed and sealed', { codec: 'msgpack', compress: 0, sensitive: true }],
  ])('gives back any plain data: %s', async (_, options) => {
    await fc.assert(
      fc.asyncProperty(plainData, async (value) => {
        expect(isDeepStrictEqual(await roundTrip(value, options), value)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('gives back BigInts exactly, whatever keys stand beside them', () => {
    const key = fc.constantFrom('$b', '$$b', 'b', '$$$b', 'x')
    const tree = fc.letrec((tie) => ({
      value: fc.oneof(
        fc.bigInt(),
        fc.string(),
        fc.integer(),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
      ),
    })).value
    fc.assert(
      fc.property(tree, (value) => {
        const { body, flags } = codec.encode('k', value, settings({ bigint: true }))
        expect(codec.decode('k', body, flags, LIMIT)).toEqual(value)
      }),
    )
  })

  it('keeps plain JSON readable: no flags, the text itself', () => {
    expect(codec.encode('k', { a: 1 }, settings())).toEqual({ body: '{"a":1}', flags: '' })
  })

  it('stores 100 KB of JSON in less than 30 KB, and small bodies as they are [S2-28]', () => {
    const rows = Array.from({ length: 1_000 }, (_, i) => ({
      id: `p${i}`,
      name: `Món ăn số ${i}`,
      price: (i * 7_919) % 100_000,
      tags: ['a', 'b'],
      createdAt: 1_700_000_000_000 + i * 86_399,
    }))
    const text = JSON.stringify(rows)
    expect(Buffer.byteLength(text)).toBeGreaterThan(90_000)
    const { body, flags } = codec.encode('k', rows, settings())
    expect(flags).toBe('b')
    expect(body.length).toBeLessThan(30_000)
    const small = 'x'.repeat(COMPRESS_FROM_BYTES - 10)
    expect(codec.encode('k', small, settings()).flags).toBe('')
    const noise = Buffer.from(
      Array.from({ length: 20_000 }, (_, i) => Math.imul(i ^ 0x9e3779b9, 0x85ebca6b) >>> 24),
    ).toString('base64')
    expect(codec.encode('k', noise, settings({ compress: 0 })).body.length).toBeLessThanOrEqual(
      noise.length + 2,
    )
  })

  it('refuses a body that would grow past the bound when decompressed', () => {
    const { body, flags } = codec.encode('bomb', 'x'.repeat(5_000_000), settings())
    expect(body.length).toBeLessThan(10_000)
    expect(() => codec.decode('bomb', body, flags, 1_000_000)).toThrow()
  })

  it('refuses foreign, truncated and flipped bodies of every kind', () => {
    const value = { text: 'secret '.repeat(50) }
    for (const options of [{ compress: 0 }, { sensitive: true }, { sensitive: true, compress: 0 }]) {
      const { body, flags } = codec.encode('k', value, settings(options))
      const bytes = body as Buffer
      expect(() => codec.decode('k', bytes.subarray(0, bytes.length - 3), flags, LIMIT)).toThrow()
      expect(() => codec.decode('k', Buffer.alloc(0), flags, LIMIT)).toThrow()
    }
    expect(() => codec.decode('k', '{"a":', '', LIMIT)).toThrow()
    expect(() => codec.decode('k', 'plain', 'z', LIMIT)).toThrow()
    expect(() => codec.decode('k', 'x', 'v', LIMIT)).toThrow()
  })

  it('seals a body to its name, its namespace and its flags, byte for byte', () => {
    const { body, flags } = codec.encode('k', { a: 1 }, settings({ sensitive: true }))
    const bytes = body as Buffer
    expect(bytes.includes('"a"')).toBe(false)
    expect(codec.decode('k', bytes, flags, LIMIT)).toEqual({ a: 1 })
    expect(() => codec.decode('other', bytes, flags, LIMIT)).toThrow()
    expect(() => new Codec(ring({ old: oldKey }), 'bank').decode('k', bytes, flags, LIMIT)).toThrow()
    expect(() => codec.decode('k', bytes, `n${flags}`, LIMIT)).toThrow()
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        (at) => void expect(() => codec.decode('k', flip(bytes, at), flags, LIMIT)).toThrow(),
      ),
    )
    expect((codec.encode('k', { a: 1 }, settings({ sensitive: true })).body as Buffer).equals(bytes)).toBe(
      false,
    )
  })

  it('reads with every listed key and writes with the current one; without keys it says so', () => {
    const before = codec.encode('k', 1, settings({ sensitive: true }))
    const rotated = new Codec(ring({ old: oldKey, new: newKey }), 'shop')
    expect(rotated.decode('k', before.body, before.flags, LIMIT)).toBe(1)
    const after = rotated.encode('k', 2, settings({ sensitive: true }))
    expect(() => codec.decode('k', after.body, after.flags, LIMIT)).toThrow(/unknown key/)
    const pinned = new Codec(ring({ old: oldKey, new: newKey }, 'old'), 'shop').encode(
      'k',
      3,
      settings({ sensitive: true }),
    )
    expect(codec.decode('k', pinned.body, pinned.flags, LIMIT)).toBe(3)
    expect(() => new Codec(undefined, 'shop').encode('k', 1, settings({ sensitive: true }))).toThrow(
      /encryption/,
    )
    expect(() => ring({ short: Buffer.alloc(16) })).toThrow(/32 bytes/)
    expect(() => ring({})).toThrow()
    expect(() => ring({ a: oldKey }, 'b')).toThrow()
  })

  it('bounds nesting when writing and when reading', () => {
    const nest = (depth: number) => Array.from({ length: depth }).reduce<unknown>((inner) => [inner], 1)
    const { body, flags } = codec.encode('k', nest(MAX_DEPTH), settings())
    expect(codec.decode('k', body, flags, LIMIT)).toEqual(nest(MAX_DEPTH))
    expect(() => codec.encode('k', nest(MAX_DEPTH + 1), settings())).toThrow(/deeper/)
    expect(() => codec.decode('k', JSON.stringify(nest(MAX_DEPTH + 1)), '', LIMIT)).toThrow(/deep/)
    expect(() => codec.decode('k', '['.repeat(100_000) + ']'.repeat(100_000), '', LIMIT)).toThrow()
  })

  it('drops poisonous keys even when they are written with escapes', () => {
    const read = (text: string) => codec.decode('k', text, '', LIMIT)
    expect(Object.keys(read('{"\\u005f_proto__":{"x":1},"a":1}') as object)).toEqual(['a'])
    expect(read('{"a":[{"__proto__":{"x":1}}],"prototype":1}')).toEqual({ a: [{}] })
  })

  it('freezes plain data through and through, and says when it cannot', () => {
    const value = { a: [{ b: 1 }] }
    expect(deepFreeze(value, 0)).toBe(true)
    expect(Object.isFrozen(value.a[0])).toBe(true)
    expect(deepFreeze({ when: new Date() }, 0)).toBe(false)
    expect(deepFreeze([new Map()], 0)).toBe(false)
    expect(deepFreeze(5, 0)).toBe(true)
  })
})
