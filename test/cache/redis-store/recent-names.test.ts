import { describe, expect, it } from 'vitest'
import { RecentNames } from '../../../src/cache/redis-store/scan.ts'

describe('names of a scan that may list some twice', () => {
  it('are told apart for at least 50,000 others, and take no memory for each of a million', () => {
    const seen = new RecentNames()
    expect([seen.isNew('a'), seen.isNew('a'), seen.isNew('b')]).toEqual([true, false, true])
    for (let i = 0; i < 49_998; i++) seen.isNew(`n${i}`)
    expect(seen.isNew('a')).toBe(false)
    let fresh = 0
    for (let i = 0; i < 150_000; i++) if (seen.isNew(`m${i}`)) fresh++
    expect(fresh).toBe(150_000)
    // Forgotten by now, which is the price.
    expect(seen.isNew('a')).toBe(true)
  })
})
