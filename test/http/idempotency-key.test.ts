import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseIdempotencyKey } from '../../src/http/idempotency-key.ts'

describe('an Idempotency-Key field', () => {
  it.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['  "a b"  ', 'a b'],
    ['"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'],
    ['"a, b"', 'a, b'],
    ['"a";v=1', 'a'],
    ['"a"; v="x"; flag', 'a'],
    [`"${'x'.repeat(255)}"`, 'x'.repeat(255)],
  ])('%s is the key %s', (field, key) => expect(parseIdempotencyKey(field)).toBe(key))

  it.each([
    '',
    ' ',
    '""',
    '"',
    '"a',
    'a"',
    '"a" "b"',
    '"a", "b"',
    'a, b',
    'a;b',
    'a b',
    '"a\\b"',
    '"caf\u00e9"',
    'caf\u00e9',
    '"a\tb"',
    '"a";',
    '"a";V=1',
    `"${'x'.repeat(256)}"`,
    'x'.repeat(256),
    '?1, ?0',
  ])('%j is none', (field) => {
    expect(parseIdempotencyKey(field)).toBeUndefined()
  })

  it('takes every string of visible ASCII that is quoted by the rules, and falls over nothing', () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    })
    fc.assert(
      fc.property(visible, (text) => {
        const field = `"${text.replace(/["\\]/g, '\\$&')}"`
        const wanted = text.length === 0 || text.length > 255 ? undefined : text
        expect(parseIdempotencyKey(field)).toBe(wanted)
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const key = parseIdempotencyKey(text)
        expect(key === undefined || (key.length > 0 && key.length <= 255)).toBe(true)
      }),
    )
  })

  it('takes no time over a long one that is made to take time', () => {
    const started = performance.now()
    for (const field of [`"${'\\"'.repeat(120)}`, `"a"${'; a="'.repeat(40)}`, `"a"${';a'.repeat(120)}!`]) {
      parseIdempotencyKey(field)
    }
    expect(performance.now() - started).toBeLessThan(500)
  })
})
