import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from './demo-backend.ts'
import { EXAMPLES, type Example, isThere, tourOf } from './demo-examples.ts'
import { perform } from './demo-stage.ts'
import { Troupe } from './demo-troupe.ts'
import { createPrinter, type Printer } from './print.ts'

export interface DemoOptions {
  once: boolean
  json: boolean
  /** First port to try for the backends; without it each example's own; 0: any. */
  port: number | undefined
}

/**
 * The examples, running: those named, each with a tour, or without a name all of them behind one page.
 * @returns the exit code: 0 done, 1 something went wrong on the way, 2 it could not run
 */
export async function demo(names: readonly string[], options: DemoOptions): Promise<number> {
  const out = createPrinter(options.json ? process.stderr : process.stdout)
  const problem = whyNot(names)
  if (problem) {
    out.line(out.red(problem))
    return 2
  }
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-demo-'))
  const ended = endOfProcess()
  const closing: (() => Promise<void>)[] = []
  try {
    const troupe = new Troupe({ port: options.port, scratch, ended })
    closing.push(() => troupe.end())
    const reports: ({ ok: boolean } & object)[] = []
    if (names.length === 0) {
      const { report, close } = await perform(troupe, options, out, ended)
      closing.unshift(close)
      reports.push(report)
    }
    for (const name of names) reports.push(await show(name, EXAMPLES[name]!, troupe, ended, out))
    if (options.json) process.stdout.write(`${JSON.stringify(reports.length > 1 ? reports : reports[0])}\n`)
    if (!options.once) {
      out.line(out.dim('Serving until Ctrl-C.'))
      await Promise.race([aborted(ended), ...troupe.all.map((backend) => backend.exited)])
    }
    return reports.every((report) => report.ok) ? 0 : 1
  } catch (error) {
    if (ended.aborted) return 0
    out.line(out.red(error instanceof Error ? error.message : String(error)))
    return 2
  } finally {
    for (const close of closing) await close()
    await rm(scratch, { recursive: true, force: true })
  }
}

async function show(name: string, example: Example, troupe: Troupe, ended: AbortSignal, out: Printer) {
  const { shared, config } = troupe
  out.line(out.bold(`holdfast demo: ${name}`) + out.dim(`, ${example.what}`))
  out.line(out.dim('starting the backend and what it needs: a few seconds'))
  const backends = await troupe.bring(name, example)
  const { upstream = '' } = backends[0]!

  out.line()
  const row = (label: string, text: string) => out.line(`  ${label.padEnd(12)}${text}`)
  for (const [index, backend] of backends.entries()) {
    row(shared ? `backend ${'AB'[index]}` : 'backend', `${backend.url}${example.path}`)
  }
  if (upstream) row('upstream', `${upstream}/__sim/calls`)
  const hint = out.dim('(with REDIS_URL set: Redis, shared by two processes)')
  row('cache', shared ? `${config.target}, shared by two processes` : `process memory ${hint}`)
  out.line()
  const { ok, figures } = await follow(example, backends, ended, out)
  return {
    demo: name,
    ok,
    driver: shared ? 'redis' : 'embedded',
    backends: backends.map((backend) => backend.url),
    ...(upstream && { upstream }),
    figures,
  }
}

async function follow(example: Example, backends: readonly Backend[], ended: AbortSignal, out: Printer) {
  const tour = (await tourOf(example))?.(backends)
  let ok = true
  if (!tour) return { ok, figures: {} }
  for await (const step of tour.steps) {
    ended.throwIfAborted()
    ok &&= step.ok
    const mark = step.ok ? out.green('✓') : out.red('✗')
    out.line(`  ${mark} ${step.name.padEnd(44)}${`${step.ms.toFixed(1)} ms`.padStart(10)}   ${step.note}`)
  }
  out.line()
  out.line('Try it:')
  for (const line of tour.tryThese) out.line(`  ${line}`)
  out.line()
  return { ok, figures: tour.figures }
}

function whyNot(names: readonly string[]): string | undefined {
  const unknown = names.find((name) => !Object.hasOwn(EXAMPLES, name))
  if (unknown) return `there is no demo '${unknown}'; there is: ${Object.keys(EXAMPLES).join(', ')}`
  const wanted = names.length > 0 ? names : Object.keys(EXAMPLES)
  if (wanted.every((name) => isThere(EXAMPLES[name]!.server))) return undefined
  return 'The demo needs the examples, which are not part of the npm package. Clone the repository and run: npm ci && npm start'
}

/**
 * Aborted by the first SIGINT or SIGTERM, so that everything is closed in order, and when the
 * shell that `npm start` put between npm and us is gone: npm hands signals to it, not to us.
 */
function endOfProcess(): AbortSignal {
  const controller = new AbortController()
  process.once('SIGINT', () => controller.abort())
  process.once('SIGTERM', () => controller.abort())
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && controller.abort(), 500).unref()
  return controller.signal
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
