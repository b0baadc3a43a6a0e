import { describe, expect, it } from 'vitest'
import { InvalidOption } from '../../src/base/errors.ts'
import { digest, Registry } from '../../src/base/registry.ts'

describe('a registry', () => {
  it('makes a thing once per name, and hands it out to calls that say the same or nothing', () => {
    const registry = new Registry<object>('hf.things()')
    let made = 0
    const obtain = (name: string, options: object) => registry.obtain(name, options, () => ({ n: ++made }))
    const first = obtain('a', { size: 1, keys: { k1: 'x', k2: Buffer.alloc(2) }, on: undefined })
    expect(obtain('a', { keys: { k2: Buffer.alloc(2), k1: 'x' }, size: 1 })).toBe(first)
    expect(obtain('a', {})).toBe(first)
    expect(obtain('a', { size: undefined })).toBe(first)
    expect(obtain('b', { size: 2 })).not.toBe(first)
    expect([...registry.values()]).toHaveLength(2)
    expect(made).toBe(2)
  })

  it('refuses an option that contradicts the first, by name and without its value', () => {
    const registry = new Registry<object>('hf.things()')
    registry.obtain('a', { secret: 'one-secret' }, () => ({}))
    for (const options of [{ secret: 'other-secret' }, { more: 1 }, { secret: 'one-secret', more: false }]) {
      const attempt = () => registry.obtain('a', options, () => expect.unreachable('made again'))
      expect(attempt).toThrow(InvalidOption)
      expect(attempt).toThrow(/hf\.things\(\).*(secret|more)/)
      expect(attempt).not.toThrow(/-secret/)
    }
  })

  it('takes functions and schemas as given or not, for equal ones cannot be told', () => {
    const registry = new Registry<object>('hf.things()')
    const schema = () => Object.assign(() => 1, { '~standard': { version: 1 } })
    const first = registry.obtain('a', { merge: () => 1, schema: schema() }, () => ({}))
    expect(registry.obtain('a', { merge: () => 2, schema: schema() }, () => ({}))).toBe(first)
    const cyclic: { '~standard': object; self?: object } = { '~standard': {} }
    cyclic.self = cyclic
    expect(digest({ schema: cyclic })).toBe(digest({ schema: { '~standard': { other: 1 } } }))
  })

  it('keeps what was made when making fails, and forgets the least used beyond 10,000', () => {
    const registry = new Registry<object>('hf.things()')
    expect(() =>
      registry.obtain('a', {}, () => {
        throw new Error('no')
      }),
    ).toThrow('no')
    const first = registry.obtain('a', {}, () => ({}))
    for (let n = 0; n < 10_000; n++) {
      registry.obtain(`n${n}`, {}, () => ({}))
      if (n === 9_000) expect(registry.obtain('a', {}, () => ({}))).toBe(first)
    }
    expect([...registry.values()]).toHaveLength(10_000)
    expect(registry.obtain('a', {}, () => expect.unreachable('was forgotten'))).toBe(first)
  })
})
