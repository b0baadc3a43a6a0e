import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from './demo-backend.ts'
import { freePort } from './demo-backend.ts'
import { buildDashboard } from './demo-dashboard.ts'
import { EXAMPLES, EXAMPLES_FOLDER } from './demo-examples.ts'
import type { Troupe } from './demo-troupe.ts'
import type { Printer } from './print.ts'

const PORT = 3110
const ONCE_DEADLINE_MS = 30_000
/** Of each backend, before `--once` says that it works. */
const ENOUGH = 10

/** What `examples/demo/stage.ts` exports; the package is published without it. */
interface StageFile {
  startStage(options: {
    backends: Readonly<Record<string, readonly Backend[]>>
    port: number
    target: string
  }): Promise<{
    readonly url: string
    readonly traffic: {
      readonly meters: Readonly<Record<string, { asked: number; failed: number }>>
      start(): void
    }
    state(): Promise<object>
    close(): Promise<void>
  }>
}

export interface Performance {
  readonly report: { readonly ok: boolean; readonly [word: string]: unknown }
  close(): Promise<void>
}

/** All examples behind one page, with visitors. */
export async function perform(
  troupe: Troupe,
  { once, port }: { once: boolean; port: number | undefined },
  out: Printer,
  ended: AbortSignal,
): Promise<Performance> {
  out.line(out.bold('holdfast demo') + out.dim(', all five backends and what they call: some seconds'))
  const from = performance.now()
  const names = Object.keys(EXAMPLES)
  const brought = await allOrNone(names.map((name) => troupe.bring(name, EXAMPLES[name]!)))
  const backends = Object.fromEntries(names.map((name, index) => [name, brought[index]!]))
  const { startStage } = (await import(new URL('demo/stage.ts', EXAMPLES_FOLDER).href)) as StageFile
  const target = troupe.config.target
  const stage = await startStage({ backends, port: await freePort(port ?? PORT), target })
  const startedMs = performance.now() - from

  out.line()
  for (const name of names) {
    const urls = backends[name]!.map(({ url }) => url + EXAMPLES[name]!.path).join('  ')
    out.line(`  ${name.padEnd(10)}${urls}`)
  }
  out.line(
    `  ${'caches'.padEnd(10)}${troupe.shared ? `${target}, shared by two processes each` : 'process memory'}`,
  )
  out.line()
  out.line(
    `  ${out.bold(stage.url)}  ${out.dim(`all of them on one page, after ${(startedMs / 1_000).toFixed(1)} s`)}`,
  )
  if (!once && buildDashboard(ended))
    out.line(out.dim('  building the dashboard beside it: some seconds more'))
  out.line()
  stage.traffic.start()
  const ok = !once || (await seen(stage.traffic.meters, ended))
  const state = await stage.state()
  return {
    report: {
      demo: 'all',
      ok,
      url: stage.url,
      startedMs,
      driver: troupe.shared ? 'redis' : 'embedded',
      ...state,
    },
    close: () => stage.close(),
  }
}

/** What began to start is awaited before a failure goes on: whoever ends the troupe then ends all of it. */
async function allOrNone<T>(starts: Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(starts)
  const failed = settled.find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
  return settled.map((one) => (one as PromiseFulfilledResult<T>).value)
}

async function seen(meters: Readonly<Record<string, { asked: number; failed: number }>>, ended: AbortSignal) {
  const end = performance.now() + ONCE_DEADLINE_MS
  const all = Object.values(meters)
  while (performance.now() < end && !ended.aborted && all.some(({ asked }) => asked < ENOUGH)) await sleep(50)
  return all.every(({ asked, failed }) => asked >= ENOUGH && failed === 0)
}
