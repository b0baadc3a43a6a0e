import { beforeAll, describe, expect, it } from 'vitest'
import { bundle, runBundle } from './bundle.ts'
import { MIXES, MODES } from './mixes.ts'
import type { Figures } from './run.ts'

const SCALE = Number(process.env.HOLDFAST_TEST_SCALE ?? 1)
const PAIRS = Object.keys(MIXES).length * Object.keys(MODES).length
const ROUNDS = Math.max(1, Math.round(2 * SCALE))
/** On a slow machine fewer seeds, never a test that times out. */
const SECONDS = Math.round(80 * SCALE)
const TIMEOUT_MS = (SECONDS + 60) * 1_000
/** A few seeds that once found something, and stay. */
const KEPT = ['calm/rich/0', 'calm/rich/1', 'calm/dynamic/0', 'kill/rich/3', 'freeze/rich/2']

describe('the shipped cache on a virtual network', () => {
  let file: string
  beforeAll(async () => {
    file = await bundle()
  })

  it(
    `gives no value older than what was acknowledged, whatever breaks: up to ${ROUNDS * PAIRS} runs [P3] [P15] [P20]`,
    async () => {
      const figures = await runBundle(
        file,
        ['--seeds', String(ROUNDS), '--seconds', String(SECONDS)],
        TIMEOUT_MS,
      )
      report(figures)
      expect(figures.violations, 'replay one with: npm run sim -- --seed <seed> --trace').toEqual([])
      expect(figures.runs).toBeGreaterThan(10)
      expect(figures.reads).toBeGreaterThan(1_000)
    },
    TIMEOUT_MS,
  )

  it.each(KEPT)('passes seed %s, which found a bug once', async (seed) => {
    const figures = await runBundle(file, ['--seed', seed], TIMEOUT_MS)
    expect(figures.violations).toEqual([])
  })

  it('replays a seed event by event', async () => {
    const runs = await Promise.all(
      [0, 1].map(() => runBundle(file, ['--seed', 'everything/rich/7'], TIMEOUT_MS)),
    )
    expect(runs[0]!.digests).toEqual(runs[1]!.digests)
    expect(runs[0]!.events).toBeGreaterThan(1_000)
  })
})

function report(figures: Figures): void {
  const faults = Object.values(figures.faults).reduce((sum, n) => sum + n, 0)
  const bound = (3 / figures.reads).toExponential(1)
  console.log(
    `simulator: ${figures.runs} runs, ${figures.operations} operations, ${figures.reads} reads judged, ` +
      `${figures.acknowledged} acknowledged writes, ${faults} faults, ${figures.violations.length} violations ` +
      `(rate below ${bound} at 95 %), slowest call ${Math.round(figures.slowest)} ms`,
  )
}
