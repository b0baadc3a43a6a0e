/** Benches that run as scripts of their own and speak JSON, turned into the same Markdown. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Figure, table } from './measure.ts'

interface Limits {
  readonly table: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** µs a check, at the highest concurrency. */
  readonly cpu: Readonly<Record<string, { readonly client: number; readonly server: number }>>
}

interface Session {
  readonly request: string
  readonly concurrency: number
  readonly store: string
  readonly perSecond: number
  /** Processor time of one request, here and in the server. */
  readonly clientMicros: number
  readonly serverMicros: number
  readonly commands: number
  /** Of these, and of what scripts call, how many write. */
  readonly writes: number
  readonly bytesIn: number
}

export async function benchLimits(): Promise<string> {
  const { table: rates, cpu } = run('limits.bench.mjs') as Limits
  const names = Object.keys(rates)
  const peers = names.filter((name) => !name.startsWith('holdfast'))
  const tables = Object.keys(rates[names[0]!]!).map((concurrency) => {
    const figures: Figure[] = names.map((name) => ({ name, rate: rates[name]![concurrency]! }))
    const best = figures.filter(({ name }) => peers.includes(name)).sort((a, b) => b.rate - a.rate)[0]
    return table(`Checks, concurrency ${concurrency} (ratio to the best peer)`, figures, best?.name)
  })
  const work = names.map((name) => {
    const { client, server } = cpu[name]!
    return `| ${name} | ${client} µs | ${server} µs | ${(client + server).toFixed(1)} µs |`
  })
  const head = [
    '| one check, highest concurrency | processor here | in the server | both |',
    '|---|--:|--:|--:|',
  ]
  return `${tables.join('\n')}\n${[...head, ...work].join('\n')}\n`
}

export async function benchSessions(): Promise<string> {
  const { results } = run('sessions.bench.mjs') as { results: readonly Session[] }
  const groups = new Map<string, Session[]>()
  for (const row of results) {
    const title = `Request through express-session, ${row.request}, concurrency ${row.concurrency}`
    groups.set(title, [...(groups.get(title) ?? []), row])
  }
  return [...groups]
    .map(([title, rows]) => {
      const peer = rows.find(({ store }) => !store.startsWith('holdfast'))?.store
      const figures = rows.map(({ store, perSecond }) => ({ name: store, rate: perSecond }))
      const costs = rows.map(
        ({ store, clientMicros, serverMicros, commands, writes, bytesIn }) =>
          `| ${store} | ${clientMicros} µs | ${serverMicros} µs | ${commands} | ${writes} | ${bytesIn} |`,
      )
      const head = [
        '| one request | processor here | in the server | commands | of them and inside scripts, writes | bytes sent |',
        '|---|--:|--:|--:|--:|--:|',
      ]
      return `${table(title, figures, peer)}\n${[...head, ...costs].join('\n')}\n`
    })
    .join('\n')
}

function run(script: string): unknown {
  const file = fileURLToPath(new URL(script, import.meta.url))
  const out = execFileSync(process.execPath, ['--import', 'tsx', file, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 16 * 1024 * 1024,
  })
  return JSON.parse(out.slice(out.indexOf('{')))
}
