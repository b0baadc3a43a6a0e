import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ifRangeHolds, parseRange } from '../../src/http/byte-range.ts'
import { requestDirectives, responseDirectives, targetedDirectives } from '../../src/http/cache-control.ts'
import { Fields, isSendable, listOf, toRaw } from '../../src/http/fields.ts'
import { formatHttpDate, parseHttpDate } from '../../src/http/http-date.ts'
import { type StoredMeta, StoredResponse, storedCodec } from '../../src/http/stored-response.ts'
import { parseDictionary, sfName, sfString } from '../../src/http/structured-fields.ts'
import { isNotModified, parseTagList } from '../../src/http/validators.ts'
import { selectingValue, varyNames } from '../../src/http/vary.ts'

const NOW = Date.UTC(2026, 10, 21)

describe('dates', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', Date.UTC(1994, 10, 6, 8, 49, 37)],
    ['Sunday, 06-Nov-94 08:49:37 GMT', Date.UTC(1994, 10, 6, 8, 49, 37)],
    ['Sun Nov  6 08:49:37 1994', Date.UTC(1994, 10, 6, 8, 49, 37)],
    ['SUN, 06 nov 1994 08:49:37 gmt', Date.UTC(1994, 10, 6, 8, 49, 37)],
    ['Monday, 06-Nov-45 00:00:00 GMT', Date.UTC(2045, 10, 6)],
    ['Thu, 31 Dec 9999 23:59:60 GMT', Date.UTC(10000, 0, 1)],
    ['Sat, 29 Feb 2020 00:00:00 GMT', Date.UTC(2020, 1, 29)],
  ])('in each of the three forms are understood: %s', (text, ms) => {
    expect(parseHttpDate(text, NOW)).toBe(ms)
  })

  it.each([
    '0',
    '',
    'never',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun, 06 Nov 94 08:49:37 GMT',
    'Sun 06 Nov 1994 08:49:37 GMT',
    'Sun,  06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 8:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 30 Feb 2020 00:00:00 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
    '1994-11-06T08:49:37Z',
  ])('in other forms are none: %s', (text) => {
    expect(parseHttpDate(text, NOW)).toBeUndefined()
  })

  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
        expect(parseHttpDate(formatHttpDate(seconds * 1_000), NOW)).toBe(seconds * 1_000)
      }),
    )
  })
})

describe('Cache-Control', () => {
  it.each<[string, Partial<ReturnType<typeof responseDirectives>>]>([
    ['max-age=60', { maxAge: 60 }],
    ['MaX-aGe=60', { maxAge: 60 }],
    ['max-age=0060', { maxAge: 60 }],
    ['max-age="60"', { maxAge: 60 }],
    ["max-age='60'", { maxAge: 0 }],
    ['max-age=-60', { maxAge: 0 }],
    ['max-age=6.5', { maxAge: 0 }],
    ['max-age=abc', { maxAge: 0 }],
    ['max-age', { maxAge: 0 }],
    ['max-age=99999999999999999999', { maxAge: 2 ** 31 }],
    ['max-age=60, max-age=5', { maxAge: 5 }],
    ['x="max-age=60, no-store", max-age=5', { maxAge: 5, noStore: false }],
    ['x="\\", max-age=60", max-age=5', { maxAge: 5 }],
    ['x="unclosed, max-age=60', { maxAge: undefined }],
    ['private', { private: true }],
    ['private="Set-Cookie, X-User"', { private: ['set-cookie', 'x-user'] }],
    ['private="x", private', { private: true }],
    ['no-cache=""', { noCache: true }],
    [',, ,no-store,', { noStore: true }],
    ['', { maxAge: undefined, noStore: false }],
  ])('%s', (text, expected) => {
    expect(responseDirectives(text)).toMatchObject(expected)
  })

  it('of a request falls back to Pragma only where it is absent', () => {
    expect(requestDirectives(undefined, 'no-cache').noCache).toBe(true)
    expect(requestDirectives('max-age=5', 'no-cache').noCache).toBe(false)
    expect(requestDirectives('max-stale', undefined).maxStale).toBe(2 ** 31)
    expect(requestDirectives('max-stale=5', undefined).maxStale).toBe(5)
  })

  it('that is targeted is a dictionary or nothing', () => {
    expect(targetedDirectives('max-age=60, no-cache')).toMatchObject({ maxAge: 60, noCache: true })
    expect(targetedDirectives('max-age=60;x=1, private=("a" "b")')).toMatchObject({ private: ['a', 'b'] })
    for (const bad of [
      '',
      'max-age="60"',
      'max-age=6.5',
      'max-age=-1',
      'MAX-AGE=60',
      'max-age=60,',
      'no-store=1',
      'a b',
    ])
      expect(targetedDirectives(bad)).toBeUndefined()
  })

  it('of any text is read without an error', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200, unit: 'binary' }), (text) => {
        responseDirectives(text)
        requestDirectives(text, text)
        targetedDirectives(text)
        parseTagList(text)
        parseRange(text, 10)
        parseHttpDate(text, NOW)
        varyNames([text], [])
        listOf(text)
      }),
      { numRuns: 500 },
    )
  })
})

describe('structured fields', () => {
  it('parse by the book', () => {
    expect([...parseDictionary('a=1, b;x=2;y, c="q\\"z", d=?0, e=(1 tok), f=:aGk=:, a=3')!]).toEqual([
      ['b', true],
      ['c', 'q"z'],
      ['d', false],
      ['e', [1, 'tok']],
      ['f', ':aGk=:'],
      ['a', 3],
    ])
  })

  it.each([
    'a=',
    'a,,b',
    'A=1',
    'a=1 b=2',
    'a="\u00e9"',
    'a="\\x"',
    'a=(1',
    'a=1.',
    'a=1.2345',
    'a=?2',
    '=1',
    'a=1,',
  ])('fail as a whole: %s', (text) => {
    expect(parseDictionary(text)).toBeUndefined()
  })

  it('are written so that they can be read', () => {
    expect(sfName('holdfast')).toBe('holdfast')
    expect(sfName('my cache')).toBe('"my cache"')
    expect(sfString('a"b\\c\r\nd\u00e9')).toBe('"a\\"b\\\\cd"')
  })
})

describe('entity-tags', () => {
  const has = { etag: '"a"', lastModified: undefined, dateMs: NOW }
  it.each([
    ['"a"', true],
    ['W/"a"', true],
    ['"x", W/"y" , "a"', true],
    [', "a",', true],
    ['*', true],
    ['"b"', false],
    ['a', false],
    ['"a', false],
    ['w/"a"', false],
    ['"a" "b"', false],
    ['', false],
  ])('If-None-Match: %s', (text, expected) => {
    expect(isNotModified(text, undefined, has, NOW)).toBe(expected)
  })

  it('decide alone where If-Modified-Since is there too', () => {
    const both = { ...has, lastModified: formatHttpDate(NOW) }
    expect(isNotModified('"b"', formatHttpDate(NOW), both, NOW)).toBe(false)
    expect(isNotModified(undefined, formatHttpDate(NOW), both, NOW)).toBe(true)
    expect(isNotModified(undefined, formatHttpDate(NOW - 1_000), both, NOW)).toBe(false)
    expect(isNotModified(undefined, 'yesterday', both, NOW)).toBe(false)
  })
})

describe('ranges', () => {
  it.each<[string, ReturnType<typeof parseRange>]>([
    ['bytes=0-1', { first: 0, last: 1 }],
    ['bytes=5-', { first: 5, last: 9 }],
    ['bytes=-3', { first: 7, last: 9 }],
    ['bytes=-30', { first: 0, last: 9 }],
    ['bytes=8-800', { first: 8, last: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=5-4', undefined],
    ['bytes=0-1,3-4', undefined],
    ['bytes=a-b', undefined],
    ['bytes=-', undefined],
    ['items=0-1', undefined],
    ['bytes 0-1', undefined],
  ])('%s', (text, expected) => {
    expect(parseRange(text, 10)).toEqual(expected)
  })

  it('need the very same representation for If-Range', () => {
    expect(ifRangeHolds('"a"', '"a"', undefined)).toBe(true)
    expect(ifRangeHolds('W/"a"', 'W/"a"', undefined)).toBe(false)
    expect(ifRangeHolds('"b"', '"a"', undefined)).toBe(false)
    expect(ifRangeHolds(formatHttpDate(NOW), undefined, formatHttpDate(NOW))).toBe(true)
    expect(ifRangeHolds(formatHttpDate(NOW), '"a"', undefined)).toBe(false)
    expect(ifRangeHolds('rubbish', '"a"', formatHttpDate(NOW))).toBe(false)
  })
})

describe('Vary', () => {
  it('is a set of names, or everything', () => {
    expect(varyNames(['Foo, bar', 'foo,,'], [])).toEqual(['bar', 'foo'])
    expect(varyNames(['Foo', ' , *'], [])).toBeUndefined()
  })

  it('compares values without the differences that mean nothing', () => {
    const value = (name: string, text: string | string[]) => selectingValue({ [name]: text }, name)
    expect(value('accept-language', 'EN , de;q = 0.5')).toBe(value('accept-language', 'de;q=0.5,en'))
    expect(value('x-a', ['1', '2'])).toBe(value('x-a', '1,2'))
    expect(value('x-a', '1, 2')).not.toBe(value('x-a', '2, 1'))
    expect(value('x-a', 'A')).not.toBe(value('x-a', 'a'))
    expect(value('x-a', '"a, b"')).not.toBe(value('x-a', '"a,b"'))
    expect(value('accept', 'a/b;p="X"')).not.toBe(value('accept', 'a/b;p="x"'))
    expect(selectingValue({}, 'x-a')).toBeNull()
    expect(value('x-a', '')).not.toBeNull()
  })
})

describe('header lists', () => {
  it('come in every form that hosts have', () => {
    const raw = ['A', '1', 'Set-Cookie', 'x', 'Set-Cookie', 'y']
    expect(toRaw(raw)).toEqual(raw)
    expect(toRaw({ A: 1, 'Set-Cookie': ['x', 'y'], gone: undefined })).toEqual(raw)
    expect(toRaw(new Headers({ a: '1' }))).toEqual(['a', '1'])
    expect(toRaw([['A', '1']])).toEqual(['A', '1'])
    expect(toRaw([])).toEqual([])
    expect(new Fields(raw).get('set-cookie')).toBe('x, y')
  })

  it.each([
    [['A', 'a\r\nSet-Cookie: b']],
    [['A', 'a\nb']],
    [['A', 'a\0']],
    [['A b', 'c']],
    [['', 'c']],
    [['A', '\u0100']],
  ])('that Node would not send are known as such: %j', (raw) => {
    expect(isSendable(raw)).toBe(false)
  })
})

describe('a response at rest', () => {
  const meta: StoredMeta = {
    status: 200,
    statusText: 'OK',
    headers: ['X-A', 'caf\u00e9'],
    bornAt: 1_000_000,
    writtenAt: 1_005_000,
    dateMs: 0,
    lifetimeMs: 60_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    mustRevalidate: false,
    noCache: false,
    isPublic: false,
    ownEtag: false,
    varyNames: [],
    varyValues: [],
  }
  const bytes = storedCodec.encode(new StoredResponse(meta, Buffer.from([0, 255, 10])))

  it('comes back as it was, and as old as it is by the clock of who reads it', () => {
    const read = storedCodec.decode(bytes, 9_000_000) as StoredResponse
    expect(read.meta).toEqual(meta)
    expect([...read.body]).toEqual([0, 255, 10])
    // Stored at 9,000,000 here when it was 5 s old.
    expect(read.ageSeconds(9_010_000)).toBe(15)
    expect(read.freshForMs(9_010_000)).toBe(45_000)
    expect((storedCodec.decode(bytes) as StoredResponse).ageSeconds(1_015_000)).toBe(15)
  })

  it('that is cut, foreign or of another release is an error, which the cache takes for a miss', () => {
    for (let length = 1; length < bytes.length - 3; length++) {
      expect(() => storedCodec.decode(bytes.subarray(0, length))).toThrow()
    }
    const other = Buffer.from(bytes)
    other[1] = 2
    expect(() => storedCodec.decode(other)).toThrow(/release/)
    expect(() => storedCodec.decode(Buffer.from('{"status":200}'))).toThrow()
    for (const wrong of [
      { headers: [1 as never, 2 as never] },
      { headers: ['x-a'] },
      { headers: ['x-a', 'b\r\nset-cookie: c'] },
      { status: 0 },
      { bornAt: Number.NaN },
      { varyNames: undefined as never },
    ]) {
      const hollow = { ...meta, ...wrong }
      const written = Buffer.from(bytes)
      const json = Buffer.from(JSON.stringify(hollow))
      const forged = Buffer.concat([written.subarray(0, 6), json])
      forged.writeUInt32BE(json.length, 2)
      expect(() => storedCodec.decode(forged)).toThrow('not a stored response')
    }
  })
})
