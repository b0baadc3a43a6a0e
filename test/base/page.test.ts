import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { type NameBatch, scanNames } from '../../src/base/name-scan.ts'
import { namePage, pageRequest } from '../../src/base/page.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'

/** A scan of batches of any size, as SCAN answers: the cursor is the number of the batch. */
const scanOf = (batches: readonly (readonly string[])[]) =>
  async function* (from = '0'): AsyncGenerator<NameBatch> {
    for (let at = Number(from); at < batches.length; at++) {
      yield { keys: batches[at]!, next: at + 1 < batches.length ? String(at + 1) : undefined }
    }
  }

describe('pages of a scan', () => {
  it('show every name once, whatever the size of pages and of batches [S3-22]', async () => {
    const sizes = fc.array(fc.nat(7), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 9 }), fc.boolean(), async (each, limit, countAll) => {
        const batches = each.map((size, at) => Array.from({ length: size }, (_, i) => `${at}.${i}`))
        const shown: string[] = []
        let cursor: string | undefined
        for (let page = 0; page < 200; page++) {
          const request = pageRequest(systemClock, { limit, cursor, budget: '10s' }, countAll)
          const got = await namePage(scanOf(batches), request)
          expect(got.names.length).toBeLessThanOrEqual(limit)
          expect(got.found).toBeGreaterThanOrEqual(got.names.length)
          if (countAll && page === 0) expect(got.found).toBe(batches.flat().length)
          shown.push(...got.names)
          cursor = got.cursor
          if (cursor === undefined) break
        }
        expect(cursor).toBeUndefined()
        expect(shown).toEqual(batches.flat())
      }),
      { numRuns: 100 },
    )
  })

  it('end when their time is over, and say so [S3-22]', async () => {
    const clock = new FakeClock()
    const slow = async function* (from?: string): AsyncGenerator<NameBatch> {
      for await (const batch of scanOf([['a'], [], ['b'], ['c']])(from)) {
        await clock.advance(100)
        yield batch
      }
    }
    const first = await namePage(slow, pageRequest(clock, { limit: 10, budget: 150 }))
    expect(first).toMatchObject({ names: ['a'], truncated: true })
    const rest = await namePage(slow, pageRequest(clock, { limit: 10, budget: '1m', cursor: first.cursor }))
    expect(rest).toEqual({ names: ['b', 'c'], found: 2, cursor: undefined, truncated: false })
  })

  it('refuse limits and cursors that are none [S2-24]', async () => {
    for (const limit of [0, -1, 1.5, 1e9, Number.NaN]) {
      expect(() => pageRequest(systemClock, { limit })).toThrow(/limit/)
    }
    const scan = (from: string | undefined) =>
      scanNames(
        () => ['a'],
        '*',
        () => true,
        from,
      )
    for (const cursor of ['', 'x', '~', '1', '1~', `${'9'.repeat(40)}~0`, '1~1234567', '0~0\n']) {
      await expect(namePage(scan, pageRequest(systemClock, { cursor }))).rejects.toThrow(/cursor/)
    }
  })
})
