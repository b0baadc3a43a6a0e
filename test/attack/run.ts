/** Runs attackers against servers while faults strike, and adds up what they saw. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startWorker, type Worker } from '../support/processes.ts'
import { SourceOfTruth } from './source-of-truth.ts'

export interface Attack {
  /** How process `n` reaches Redis. */
  readonly source: (n: number) => string | { cluster: readonly string[] }
  readonly processes: number
  readonly seconds: number
  readonly l1?: boolean
  readonly naive?: boolean
  /** Struck in turns, in random order. Each counts itself by name. */
  readonly faults?: readonly Fault[]
  /** Kill or freeze attackers, too. */
  readonly processFaults?: boolean
}

export interface Fault {
  readonly name: string
  /** Resolves when the fault has passed. */
  strike(): Promise<unknown>
}

export interface Tally {
  reads: number
  invalidations: number
  refused: number
  loads: number
  unhandled: number
  violations: number
  slowest: number
  examples: string[]
  errors: Record<string, number>
  faults: Record<string, number>
}

export async function attack(plan: Attack): Promise<Tally> {
  const dir = mkdtempSync(join(tmpdir(), 'hf-attack-'))
  const path = join(dir, 'truth')
  const truth = new SourceOfTruth(path, true)
  const total: Tally = {
    reads: 0,
    invalidations: 0,
    refused: 0,
    loads: 0,
    unhandled: 0,
    violations: 0,
    slowest: 0,
    examples: [],
    errors: {},
    faults: {},
  }
  const start = async (me: number): Promise<Worker> => {
    const orders = {
      source: plan.source(me),
      l1: plan.l1 ?? true,
      dynamicTags: true,
      truth: path,
      me,
      processes: plan.processes,
      lanes: 8,
      naive: plan.naive ?? false,
      writeShare: 0.06,
    }
    const worker = await startWorker(new URL('./attacker.ts', import.meta.url), {
      args: [JSON.stringify(orders)],
    })
    await worker.ask({ op: 'start' })
    return worker
  }
  const workers = await Promise.all(Array.from({ length: plan.processes }, (_, n) => start(n)))
  const faults = [...(plan.faults ?? []), ...(plan.processFaults ? processFaults(workers, start, total) : [])]
  const end = performance.now() + plan.seconds * 1_000
  try {
    while (performance.now() < end) {
      await pause(150 + Math.random() * 500)
      const fault = faults[Math.floor(Math.random() * faults.length)]
      if (fault === undefined) continue
      await fault.strike()
      total.faults[fault.name] = (total.faults[fault.name] ?? 0) + 1
    }
    // Let the last fault pass, so that every call can settle.
    await pause(500)
    for (const worker of workers) add(total, await worker.ask<Tally>({ op: 'stop' }, 60_000))
    return total
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()))
    truth.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

function processFaults(workers: Worker[], start: (n: number) => Promise<Worker>, total: Tally): Fault[] {
  const any = (): number => Math.floor(Math.random() * workers.length)
  return [
    {
      name: 'process frozen',
      async strike() {
        const worker = workers[any()]!
        worker.pause()
        await pause(200 + Math.random() * 2_300)
        worker.resume()
      },
    },
    {
      name: 'process killed',
      async strike() {
        const n = any()
        add(total, await workers[n]!.ask<Tally>({ op: 'tally' }, 60_000))
        await workers[n]!.kill()
        workers[n] = await start(n)
      },
    },
  ]
}

function add(total: Tally, part: Tally): void {
  for (const field of ['reads', 'invalidations', 'refused', 'loads', 'unhandled', 'violations'] as const) {
    total[field] += part[field]
  }
  total.slowest = Math.max(total.slowest, part.slowest)
  total.examples.push(...part.examples)
  for (const [code, count] of Object.entries(part.errors))
    total.errors[code] = (total.errors[code] ?? 0) + count
}

/** One line a person can read, with the bound that the run supports (rule of three). */
export function describeTally(name: string, tally: Tally): string {
  const faults = Object.entries(tally.faults).map(([fault, count]) => `${count} × ${fault}`)
  const bound = tally.violations === 0 ? ` (< ${(3 / tally.reads).toExponential(1)} at 95 %)` : ''
  return [
    `${name}: ${tally.reads} reads, ${tally.invalidations} invalidations, ${tally.refused} refused writes,`,
    `${tally.loads} loads, slowest ${tally.slowest.toFixed(0)} ms; ${faults.join(', ') || 'no faults'};`,
    `violations ${tally.violations}${bound}`,
  ].join(' ')
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
