/** A cached route beside the same route uncached, its peers and a bare handler. Prints Markdown. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { startRedis } from '../test/support/redis-server.ts'
import { median } from './measure.ts'

const FRAMEWORKS = ['node', 'express', 'fastify', 'hono', 'nest'] as const
const ROUNDS = 5
const SECONDS = 2
const CONNECTIONS = 16

interface Result {
  readonly requests: { readonly total: number; readonly average: number }
  readonly latency: { readonly p99: number }
  readonly non2xx: number
  readonly errors: number
}
type Cannon = (options: {
  url: string
  connections: number
  duration: number
  headers?: Record<string, string>
}) => Promise<Result>
// It is CommonJS and brings no types.
const autocannon = createRequire(import.meta.url)('autocannon') as Cannon

const here = fileURLToPath(new URL('.', import.meta.url))
/** Beside the frameworks of the application, so that both find the same ones. */
const SERVER = `${here}../node_modules/.cache/holdfast-bench-http-server.mjs`

/** As it ships: the loader that runs TypeScript directly names every function anew each time it is made. */
async function bundleServer(): Promise<void> {
  const entryPoints = [`${here}http-server.ts`]
  const how = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    target: 'node20',
  } as const
  await build({ entryPoints, outfile: SERVER, ...how })
}

interface Round {
  readonly rate: number
  readonly p99: number
  /** CPU time of the server per request, µs: what a busy machine does not change. */
  readonly cost: number
}

/** Requests come from this process, the servers run in one process per framework. */
export async function benchHttp(): Promise<string> {
  await bundleServer()
  const redis = await startRedis()
  const sections: string[] = []
  try {
    for (const framework of FRAMEWORKS) sections.push(await benchFramework(framework, redis.url))
  } finally {
    await redis.stop()
  }
  const head =
    `Body of 1 KB, ${CONNECTIONS} connections, ${ROUNDS} rounds of ${SECONDS} s in turns, autocannon in a second process; Redis behind Holdfast, hits from local copies. ` +
    'CPU is time of the server process per request; the last column is that beside the bare handler of the same framework.\n'
  return [
    head,
    '| Framework | Route | requests/s | p99 ms | CPU µs | beside bare |',
    '|---|---|---:|---:|---:|---:|',
    ...sections,
    '',
  ].join('\n')
}

async function benchFramework(framework: string, redisUrl: string): Promise<string> {
  const child = fork(SERVER, [framework], {
    env: { ...process.env, REDIS_URL: redisUrl, BENCH_DIR: here },
  })
  const [urls] = (await once(child, 'message')) as [Record<string, string>]
  const names = Object.keys(urls)
  const rounds = new Map<string, Round[]>(names.map((name) => [name, []]))
  // The first round warms caches and the compiler up, and is thrown away.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of names) {
      const one = await run(child, urls[name]!, name)
      if (round > 0) rounds.get(name)!.push(one)
    }
  }
  child.disconnect()
  const figures = names.map((name) => ({ name, of: figure(rounds.get(name)!) }))
  const bare = figures.find(({ name }) => name === 'bare handler')?.of.cost
  return figures
    .map(({ name, of }) => {
      const beside = bare === undefined || name === 'bare handler' ? '' : `${(of.cost / bare).toFixed(2)} ×`
      const cells = [framework, name, Math.round(of.rate), of.p99, of.cost.toFixed(1), beside]
      return `| ${cells.join(' | ')} |`
    })
    .join('\n')
}

async function run(child: ChildProcess, url: string, name: string): Promise<Round> {
  const before = await cpu(child)
  // That plugin stores no bodies: what it saves, it saves for clients that have one.
  const headers = name.startsWith('@fastify/caching') ? { 'if-none-match': '"7"' } : {}
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS, headers })
  const spent = (await cpu(child)) - before
  if (result.errors > 0) throw new Error(`${name}: ${result.errors} errors`)
  return { rate: result.requests.average, p99: result.latency.p99, cost: spent / result.requests.total }
}

/** User and system time of the server so far, µs. */
async function cpu(child: ChildProcess): Promise<number> {
  const answer = once(child, 'message')
  child.send('cpu')
  const [{ user, system }] = (await answer) as [NodeJS.CpuUsage]
  return user + system
}

function figure(rounds: readonly Round[]): Round {
  const of = (read: (round: Round) => number) => median(rounds.map(read))
  return { rate: of(({ rate }) => rate), p99: of(({ p99 }) => p99), cost: of(({ cost }) => cost) }
}
