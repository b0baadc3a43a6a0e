import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { SessionCookie, type SessionCookieOptions } from '../../src/session/cookie.ts'

const ID = 'abcdefghijklmnopqrstuvwxyz_-012345'
const [K1, K2] = ['one key of more than thirty-two characters', 'two key of more than thirty-two characters']

describe('the session cookie', () => {
  it('is HttpOnly, Secure, SameSite=Lax and bound to the host by default', () => {
    const cookie = new SessionCookie()
    expect(cookie.serialize(ID)).toBe(`__Host-sid=${ID}; Path=/; HttpOnly; Secure; SameSite=Lax`)
    expect(cookie.clear()).toBe('__Host-sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax')
  })

  it('writes life, domain, path and partition, and drops the prefix where it cannot hold', () => {
    const cookie = new SessionCookie({ name: 'chat', domain: 'example.com', path: '/chat', maxAge: '30m' })
    expect(cookie.serialize(ID)).toBe(
      `chat=${ID}; Max-Age=1800; Path=/chat; Domain=example.com; HttpOnly; Secure; SameSite=Lax`,
    )
    expect(new SessionCookie({ secure: false }).serialize(ID, 1_500)).toBe(
      `sid=${ID}; Max-Age=1; Path=/; HttpOnly; SameSite=Lax`,
    )
    expect(new SessionCookie({ partitioned: true, sameSite: 'None' }).serialize(ID)).toContain(
      '; Partitioned',
    )
  })

  it('reads itself among others, quoted or not', () => {
    const cookie = new SessionCookie({ prefix: 'none' })
    expect(cookie.read(`a=b; sid=${ID}; c=d`)).toBe(ID)
    expect(cookie.read(`sid="${ID}"`)).toBe(ID)
    expect(cookie.read(` sid = ${ID}`)).toBe(ID)
  })

  it('ignores what is malformed, and never throws', () => {
    const cookie = new SessionCookie({ prefix: 'none' })
    const bad = [
      undefined,
      null,
      '',
      ';',
      '=',
      'sid',
      'sid=',
      'sid=short',
      `SID=${ID}`,
      `xsid=${ID}`,
      'sid=%ZZ%00%0a%0dabcdefghijkl',
      'sid=abcdefghijklmnop\u0000qrst',
      'sid="unterminated-value-of-a-cookie',
      `sid=${'x'.repeat(600)}`,
      `sid=${ID} ${ID}`,
      'sid=../../../../etc/passwd-and-more',
      `${'a=b; '.repeat(4_000)}sid=${ID}`,
    ]
    for (const header of bad) expect(cookie.read(header)).toBeUndefined()
  })

  it('verifies with every key, signs with the first, and takes nothing forged, truncated or moved', () => {
    const old = new SessionCookie({ keys: [K1] })
    const rotated = new SessionCookie({ keys: [K2, K1] })
    const newest = new SessionCookie({ keys: [K2] })
    const header = (from: SessionCookie) => from.serialize(ID).split(';')[0]!
    expect(rotated.read(header(old))).toBe(ID)
    expect(newest.read(header(rotated))).toBe(ID)
    expect(newest.read(header(old))).toBeUndefined()
    const good = header(newest)
    for (const forged of [
      good.replace('abc', 'abd'),
      good.slice(0, -1),
      good.slice(0, good.lastIndexOf('.')),
      `__Host-sid=${ID}`,
      `__Host-sid=${ID}.`,
      `${good}AAAA`,
    ]) {
      expect(newest.read(forged)).toBeUndefined()
    }
    const other = new SessionCookie({ name: 'admin', keys: [K2] })
    expect(other.read(good.replace('__Host-sid', '__Host-admin'))).toBeUndefined()
  })

  it('takes any header without a throw, and nothing from it that it did not sign', () => {
    const signed = new SessionCookie({ keys: [K1, K2] })
    const plain = new SessionCookie({ prefix: 'none' })
    const junk = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc
        .array(fc.constantFrom('sid', '__Host-sid', '=', ';', ' ', '"', '%', '.', ',', '\0', '\r\n', ID, 'ñ'))
        .map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(junk, (header) => {
        expect(signed.read(header)).toBeUndefined()
        const id = plain.read(header)
        if (id !== undefined) {
          expect(header).toContain(id)
          expect(() => plain.serialize(id)).not.toThrow()
        }
      }),
      { numRuns: 500 },
    )
  })

  it('finds its id among whatever else a browser sends, and no id in a copy with one character changed', () => {
    const cookie = new SessionCookie({ keys: [K1] })
    const mine = cookie.serialize(ID).split(';')[0]!
    const other = fc
      .tuple(fc.stringMatching(/^[a-z]{1,12}$/), fc.stringMatching(/^[\x21\x23-\x3a\x3c-\x7e]{0,40}$/))
      .map(([name, value]) => `${name}=${value}`)
    fc.assert(
      fc.property(fc.array(other, { maxLength: 10 }), fc.nat(10), (others, at) => {
        const all = [...others.slice(0, at), mine, ...others.slice(at)]
        expect(cookie.read(all.join('; '))).toBe(ID)
      }),
    )
    fc.assert(
      fc.property(
        fc.integer({ min: cookie.name.length + 1, max: mine.length - 2 }),
        fc.constantFrom('A', 'b', '0', '-', '_', '.', '~', '%', ' '),
        (at, to) => {
          fc.pre(mine[at] !== to)
          expect(cookie.read(mine.slice(0, at) + to + mine.slice(at + 1))).toBeUndefined()
        },
      ),
      { numRuns: 200 },
    )
  })

  it('finds the signed one behind a planted one of the same name', () => {
    const cookie = new SessionCookie({ keys: [K1] })
    const mine = cookie.serialize(ID).split(';')[0]!
    expect(cookie.read(`__Host-sid=planted-by-a-subdomain-000000; ${mine}`)).toBe(ID)
  })

  it('refuses flags that contradict each other, and ids that no cookie can hold', () => {
    const bad: SessionCookieOptions[] = [
      { prefix: 'host', secure: false },
      { prefix: 'host', path: '/x' },
      { prefix: 'host', domain: 'example.com' },
      { secure: false, sameSite: 'None' },
      { secure: false, partitioned: true },
      { name: 'a b' },
      { name: '' },
      { path: '/; Domain=evil' },
      { domain: 'a\r\nb' },
      { keys: [] },
      { keys: ['short'] },
    ]
    for (const options of bad) {
      expect(() => new SessionCookie(options), JSON.stringify(options)).toThrow(InvalidOption)
    }
    expect(() => new SessionCookie().serialize('a; Domain=evil.example.com')).toThrow()
  })
})
