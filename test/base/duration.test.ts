import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Duration, MAX_DURATION_MS, toMs } from '../../src/base/duration.ts'

describe('durations', () => {
  it('reads a number of any unit as that many milliseconds', () => {
    const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
    fc.assert(
      fc.property(
        fc.nat(1_000),
        fc.constantFrom('ms', 's', 'm', 'h', 'd'),
        fc.boolean(),
        (n, unit, space) => {
          const text = `${n}${space ? ' ' : ''}${unit}` as Duration
          expect(toMs(text, 'ttl')).toBe(n * units[unit])
        },
      ),
    )
    expect(toMs('1.5s', 'ttl')).toBe(1_500)
    expect(toMs(250, 'ttl')).toBe(250)
  })

  it('refuses everything else, naming the option', () => {
    const wrong = [
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      MAX_DURATION_MS + 1,
      '5 parsecs',
      '',
      '-1s',
      '1e3s',
      's',
      '4000d',
      null,
      {},
      true,
    ]
    for (const given of wrong)
      expect(() => toMs(given as Duration, 'stale')).toThrow(/stale .*INVALID_OPTION/s)
  })
})
