import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileGlob } from '../../src/base/glob.ts'
import {
  boundName,
  decodeName,
  encodeGlob,
  encodeName,
  encodePart,
  escapeGlob,
  isPlainName,
  redactName,
} from '../../src/base/key.ts'

const names = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((name) => !/[\p{Cc}\p{Cs}]/u.test(name))

describe('names', () => {
  it('encodes any well-formed name so that it can be read back', () => {
    fc.assert(fc.property(names, (name) => void expect(decodeName(encodeName(name, 'key'))).toBe(name)))
  })

  it('leaves no character that a glob, a hash tag or a namespace could be made of [S2-24]', () => {
    fc.assert(fc.property(names, (name) => void expect(encodeName(name, 'key')).not.toMatch(/[*?[\]{}|\\]/)))
  })

  it('encodes different names differently, and parts without any separator', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        if (a !== b) expect(encodeName(a, 'key')).not.toBe(encodeName(b, 'key'))
        expect(encodePart(a, 'namespace')).not.toMatch(/[:/|~]/)
        expect(decodeName(encodePart(a, 'namespace'))).toBe(a)
      }),
    )
  })

  it('calls plain exactly what its encoding leaves as it is', () => {
    fc.assert(
      fc.property(
        names,
        (name) => void expect(isPlainName(name) ? encodeName(name, 'key') : name).toBe(name),
      ),
    )
    expect(isPlainName('product:7/a b')).toBe(true)
    expect(isPlainName('a%')).toBe(false)
    expect(isPlainName('phở')).toBe(false)
  })

  it('hashes only what is over 512 bytes, into a form that no name has', () => {
    expect(boundName('users|', 'k'.repeat(506))).toBe(`users|${'k'.repeat(506)}`)
    expect(boundName('users|', 'k'.repeat(507))).toMatch(/^users\|%h:[0-9a-f]{64}$/)
    expect(boundName('', 'ở'.repeat(171))).toMatch(/^%h:/)
    expect(encodeName('%h:0', 'key')).toBe('%25h:0')
  })

  it('matches an escaped id by itself alone [S3-18]', () => {
    fc.assert(
      fc.property(names, names, (id, other) => {
        const matches = compileGlob(encodeGlob(`task:${escapeGlob(id)}:*`))
        expect(matches(encodeName(`task:${id}:1`, 'key'))).toBe(true)
        if (!other.startsWith(`${id}:`)) expect(matches(encodeName(`task:${other}`, 'key'))).toBe(false)
      }),
    )
  })

  it('shows a key in a log by its first part and a hash only [S2-38]', () => {
    expect(redactName('session:secret-token')).toMatch(/^session:#[0-9a-f]{8}$/)
    expect(redactName('secret')).toMatch(/^#[0-9a-f]{8}$/)
  })
})

describe('globs', () => {
  it.each([
    ['*', 'anything', true],
    ['a*c', 'abbc', true],
    ['a*c', 'abbd', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[c-a]x', 'bx', true],
    ['[ab', 'a', true],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['**', '', true],
    ['.', 'x', false],
    ['a.b', 'a.b', true],
    ['ph??*', 'phở', true],
  ])('%s matches %s as Redis does: %s', (glob, name, expected) => {
    expect(compileGlob(glob)(name)).toBe(expected)
  })

  it('does not take exponential time for many stars', () => {
    const began = performance.now()
    expect(compileGlob(`${'*a'.repeat(12)}b`)('a'.repeat(60))).toBe(false)
    expect(performance.now() - began).toBeLessThan(1_000)
  })
})
