import { parseArgs } from 'node:util'
import { cacheSubject } from './cache-subject.ts'
import { MIXES, MODES } from './mixes.ts'
import { naiveSubject } from './naive-subject.ts'
import { type Outcome, play } from './scenario.ts'

/**
 * The swarm: every mix of faults × every way of use × many seeds.
 *
 *   npm run sim -- --seeds 200                        all mixes and modes, seeds 0 to 199
 *   npm run sim -- --mix calm,failover --mode rich --seeds 50 --seed-from 1000
 *   npm run sim -- --seed calm/rich/17 --trace        one seed again, with all that happened
 *   --json   one line of figures · --first   stop at the first violation · --subject naive
 */
export interface Figures {
  runs: number
  operations: number
  reads: number
  acknowledged: number
  loads: number
  events: number
  faults: Record<string, number>
  errors: Record<string, number>
  /** Old values under exception E3, see oracle. */
  slowest: number
  /** One per run: two runs of a seed are the same event by event. */
  digests: number[]
  violations: { seed: string; what: string }[]
}

const emptyFigures = (): Figures => ({
  runs: 0,
  operations: 0,
  reads: 0,
  acknowledged: 0,
  loads: 0,
  events: 0,
  faults: {},
  errors: {},
  slowest: 0,
  digests: [],
  violations: [],
})

function add(figures: Figures, outcome: Outcome): void {
  figures.runs++
  figures.digests.push(outcome.digest)
  figures.operations += outcome.counts.operations
  figures.reads += outcome.reads
  figures.acknowledged += outcome.acknowledged
  figures.loads += outcome.counts.loads
  figures.events += outcome.events
  figures.slowest = Math.max(figures.slowest, outcome.counts.slowest)
  for (const [kind, n] of outcome.faults) figures.faults[kind] = (figures.faults[kind] ?? 0) + n
  for (const [code, n] of outcome.counts.errors) figures.errors[code] = (figures.errors[code] ?? 0) + n
  if (outcome.violations.length > 0)
    figures.violations.push({ seed: outcome.seed, what: outcome.violations[0]! })
}

/** What the seed numbers stand for. */
export const playSeed = (seed: string, subject: 'cache' | 'naive', trace = false): Promise<Outcome> => {
  const [mix, mode] = seed.split('/') as [string, string]
  if (!MIXES[mix] || !MODES[mode]) throw new Error(`no such mix or mode: ${seed}`)
  const make = subject === 'naive' ? naiveSubject : cacheSubject
  return play({ seed, mix: MIXES[mix], mode: MODES[mode], subject: make, trace })
}

const names = (given: string | undefined, all: Record<string, unknown>): string[] =>
  given === undefined || given === 'all' ? Object.keys(all) : given.split(',')

function summary(figures: Figures): string {
  const { runs, operations, reads, acknowledged, events, violations } = figures
  const faults = Object.values(figures.faults).reduce((sum, n) => sum + n, 0)
  const bound = violations.length === 0 ? `, rate < ${(3 / Math.max(1, reads)).toExponential(1)} at 95 %` : ''
  return `${runs} runs, ${operations} operations, ${reads} reads judged, ${acknowledged} invalidations, ${faults} faults, ${events} events: ${violations.length} violations${bound}`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      mix: { type: 'string' },
      mode: { type: 'string' },
      seeds: { type: 'string', default: '20' },
      'seed-from': { type: 'string', default: '0' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      first: { type: 'boolean', default: false },
      /** Stops starting seeds after so many seconds. */
      seconds: { type: 'string' },
      subject: { type: 'string', default: 'cache' },
    },
  })
  const subject = values.subject === 'naive' ? 'naive' : 'cache'
  const figures = emptyFigures()
  const began = performance.now()
  const due = values.seconds ? began + Number(values.seconds) * 1_000 : Number.POSITIVE_INFINITY
  const seeds = values.seed
    ? [values.seed]
    : Array.from({ length: Number(values.seeds) }, (_, i) =>
        names(values.mix, MIXES).flatMap((mix) =>
          names(values.mode, MODES).map((mode) => `${mix}/${mode}/${Number(values['seed-from']) + i}`),
        ),
      ).flat()
  for (const seed of seeds) {
    if (performance.now() > due) break
    const outcome = await playSeed(seed, subject, values.trace)
    add(figures, outcome)
    if (values.trace) console.log(outcome.trace.join('\n'))
    if (outcome.violations.length === 0) continue
    if (!values.json) {
      console.log(`VIOLATION in seed ${seed}: ${outcome.violations[0]}`)
      console.log(
        `  again, with a trace: npm run sim -- --seed ${seed} --trace${subject === 'naive' ? ' --subject naive' : ''}`,
      )
    }
    if (values.first) break
  }
  if (values.json) console.log(JSON.stringify(figures))
  else {
    console.log(summary(figures))
    console.log(`faults ${JSON.stringify(figures.faults)} errors ${JSON.stringify(figures.errors)}`)
    const seconds = (performance.now() - began) / 1_000
    console.log(`${seconds.toFixed(1)} s, ${Math.round(figures.events / seconds)} events/s`)
  }
  process.exitCode = figures.violations.length > 0 ? 1 : 0
}

await main()
