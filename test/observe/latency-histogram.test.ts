import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../src/observe/latency-histogram.ts'

describe('the histogram of times', () => {
  it('says every quantile within an eighth of the truth, from a microsecond to two minutes', () => {
    const times = fc.array(fc.double({ min: 0.001, max: 120_000, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    })
    fc.assert(
      fc.property(times, fc.double({ min: 0.01, max: 1, noNaN: true }), (list, share) => {
        const histogram = new LatencyHistogram()
        for (const ms of list) histogram.add(ms)
        const truth = [...list].sort((a, b) => a - b)[Math.ceil(list.length * share) - 1]!
        const said = histogram.quantile(share)!
        expect(Math.abs(said - truth)).toBeLessThanOrEqual(Math.max(truth / 8, 0.0001))
      }),
    )
  })

  it('takes what is no time, too long a time, and the counts of another', () => {
    const one = new LatencyHistogram()
    expect(one.quantile(0.5)).toBeNull()
    for (const ms of [-1, 0, 1e12, Number.POSITIVE_INFINITY]) one.add(ms)
    expect(one.total).toBe(4)
    expect(one.quantile(1)).toBeGreaterThan(120_000)
    const other = new LatencyHistogram()
    other.addSparse([...one.toSparse(), [-1, 5], [10_000, 5], [3, -2]])
    expect(other.total).toBe(4)
    expect(other.quantile(1)).toBe(one.quantile(1))
    one.clear()
    other.addAll(one)
    expect(other.total).toBe(4)
    expect(one.toSparse()).toEqual([])
  })
})
