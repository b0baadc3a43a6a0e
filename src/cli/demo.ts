import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configFromEnv, type EnvConfig } from '../config.ts'
import { holdfast } from '../holdfast.ts'
import { type Backend, freePort, startBackend } from './demo-backend.ts'
import { tourTasks } from './demo-tasks.ts'
import type { Tour } from './demo-tour.ts'
import { createPrinter, type Printer } from './print.ts'

export interface DemoOptions {
  once: boolean
  json: boolean
  port: number
}

interface Demo {
  /** Inside `examples/`. */
  server: string
  what: string
  /** Where a backend's address leads. */
  path: string
  /** A file inside `examples/` exports `tour`, where it needs what the package does not. */
  tour: string | ((backends: readonly Backend[]) => Tour)
}

const DEMOS: Record<string, Demo> = {
  tasks: {
    server: 'tasks/server.ts',
    what: 'a tasks API over PostgreSQL, beside a slow exchange-rate service',
    path: '/api/v1/tasks',
    tour: tourTasks,
  },
  chatbot: {
    server: 'chatbot/server.ts',
    what: 'a chat over WebSocket whose answers do not wait for the database',
    path: '/',
    tour: 'chatbot/tour.ts',
  },
  culi: {
    server: 'culi/server.ts',
    what: 'an assistant over KiotViet: one token, cached reads, plans that run once',
    path: '/products',
    tour: 'culi/tour.ts',
  },
}

const NAMESPACE = 'holdfast-demo'
/** The demo writes to no database and calls no service of the reader's. */
const OWN = { DATABASE_URL: '', UPSTREAM_URL: '', HOLDFAST_NAMESPACE: NAMESPACE, WORKER: 'inline' }
const EXAMPLES = new URL('../../examples/', import.meta.url)

/** @returns the exit code: 0 done, 1 the tour saw something wrong, 2 it could not run */
export async function demo(names: readonly string[], options: DemoOptions): Promise<number> {
  const out = createPrinter(options.json ? process.stderr : process.stdout)
  const problem = whyNot(names)
  if (problem) {
    out.line(out.red(problem))
    return 2
  }
  const backends: Backend[] = []
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-demo-'))
  const ended = endOfProcess()
  try {
    const reports = []
    for (const name of names)
      reports.push(await show(name, DEMOS[name]!, options, backends, scratch, ended, out))
    if (options.json) process.stdout.write(`${JSON.stringify(reports.length > 1 ? reports : reports[0])}\n`)
    if (!options.once) {
      out.line(out.dim('Serving until Ctrl-C.'))
      await Promise.race([aborted(ended), ...backends.map((backend) => backend.exited)])
    }
    return reports.every((report) => report.ok) ? 0 : 1
  } catch (error) {
    if (ended.aborted) return 0
    out.line(out.red(error instanceof Error ? error.message : String(error)))
    return 2
  } finally {
    await Promise.all(backends.map((backend) => backend.stop()))
    await rm(scratch, { recursive: true, force: true })
  }
}

async function show(
  name: string,
  demo: Demo,
  options: DemoOptions,
  all: Backend[],
  scratch: string,
  ended: AbortSignal,
  out: Printer,
) {
  const config = configFromEnv()
  const shared = config.options.redis !== undefined
  if (shared) await emptyCache(config)
  out.line(out.bold(`holdfast demo: ${name}`) + out.dim(`, ${demo.what}`))
  out.line(out.dim('starting PostgreSQL (PGlite, in memory) and the backend: a few seconds'))
  const script = fileURLToPath(new URL(demo.server, EXAMPLES))
  const backends: Backend[] = []
  const start = async (env: NodeJS.ProcessEnv) => {
    const port = String(await freePort(options.port))
    const backend = await startBackend(script, { ...OWN, ...env, PORT: port, CHATBOT_DIR: scratch }, ended)
    backends.push(backend)
    all.push(backend)
    return backend
  }
  const first = await start({})
  const { database, upstream = '', operatorToken = '' } = first
  if (shared) await start({ DATABASE_URL: database, UPSTREAM_URL: upstream, OPERATOR_TOKEN: operatorToken })

  out.line()
  const row = (label: string, text: string) => out.line(`  ${label.padEnd(12)}${text}`)
  for (const [index, backend] of backends.entries()) {
    row(shared ? `backend ${'AB'[index]}` : 'backend', `${backend.url}${demo.path}`)
  }
  if (upstream) row('upstream', `${upstream}/__sim/calls`)
  const hint = out.dim('(with REDIS_URL set: Redis, shared by two processes)')
  row('cache', shared ? `${config.target}, shared by two processes` : `process memory ${hint}`)
  out.line()
  const tour = (await tourOf(demo))(backends)
  let ok = true
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
  return {
    demo: name,
    ok,
    driver: shared ? 'redis' : 'embedded',
    backends: backends.map((backend) => backend.url),
    ...(upstream && { upstream }),
    figures: tour.figures,
  }
}

async function tourOf({ tour }: Demo): Promise<(backends: readonly Backend[]) => Tour> {
  if (typeof tour === 'function') return tour
  const file = (await import(new URL(tour, EXAMPLES).href)) as { tour(backends: readonly Backend[]): Tour }
  return file.tour
}

/** So that the first call of the tour is a first call, also the second time that the demo runs. */
async function emptyCache({ options, target }: EnvConfig): Promise<void> {
  await using hf = holdfast({ ...options, namespace: NAMESPACE })
  try {
    await hf.ready('3s')
    await hf.cache.clear({ wait: 'commit' })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`The environment names a Redis at ${target}, but: ${why}. Start it, or unset REDIS_URL.`)
  }
}

function whyNot(names: readonly string[]): string | undefined {
  const unknown = names.find((name) => !(name in DEMOS))
  if (unknown) return `there is no demo '${unknown}'; there is: ${Object.keys(DEMOS).join(', ')}`
  const missing = names.some((name) => !existsSync(new URL(DEMOS[name]!.server, EXAMPLES)))
  if (!missing) return undefined
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
