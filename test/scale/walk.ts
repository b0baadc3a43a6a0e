import { join } from 'node:path'
import { createAdmin } from '../../src/admin/admin.ts'
import type { Holdfast } from '../../src/holdfast.ts'
import { cli } from '../cli/cli-run.ts'
import type { RedisServer } from '../support/redis-server.ts'

export interface Walked {
  readonly what: string
  readonly ok: boolean
  readonly ms: number
  /** By how much the memory of this process grew at most, MB. */
  readonly grownMb: number
}

/** Every command that walks over keys or looks at the server. */
export function commandsOf(dir: string): readonly (readonly string[])[] {
  const file = join(dir, 'backup.jsonl')
  return [
    ['doctor', '--processes', '1'],
    ['stats'],
    ['top', '--count', '1', '--interval', '100'],
    ['keys', '*', '--limit', '1000'],
    ['keys', 'part1|item:*1', '--limit', '100'],
    ['keys', '--raw', '*', '--limit', '100'],
    ['keys', '--by', 'size'],
    ['keys', '--by', 'heat'],
    ['keys', '--by', 'ttl', '--sample', '50000'],
    ['get', 'part0|item:0'],
    ['explain', 'part0|item:0'],
    ['clear', '*', '--dry-run'],
    ['clear', '--tag', 'tag1', '--dry-run'],
    ['queue', 'ls'],
    ['backup', file],
    ['restore', file, '--dry-run'],
    ['clear', 'part3|item:*7', '--yes'],
    ['clear', '--tag', 'tag1', '--yes'],
    ['clear', '--confirm', 'scale'],
  ]
}

export const ADMIN_PATHS = [
  'me',
  'overview',
  'history?seconds=60',
  'cache/stats',
  'cache/keys?limit=1000',
  'cache/keys?pattern=part1|item:*1',
  'cache/key/part0%7Citem:0',
  'cache/explain/part0%7Citem:0',
  'cache/namespaces',
  'cache/tags',
  'limits',
  'locks',
  'once',
  'sessions',
  'tokens',
  'queues',
  'slowlog',
  'audit',
  'health',
  'doctor',
] as const

export async function walkCommands(
  url: string,
  dir: string,
  isTTY: boolean,
  onDone: (walked: Walked & { err: string }) => void = () => {},
): Promise<Walked[]> {
  const rows: Walked[] = []
  for (const args of commandsOf(dir)) {
    let err = ''
    const walked = await measured(`holdfast ${args.join(' ').replace(dir, '')}`, async () => {
      const outcome = await cli(args, { env: { REDIS_URL: url, HOLDFAST_NAMESPACE: 'scale' }, isTTY })
      err = outcome.err
      return outcome.code < 2
    })
    rows.push(walked)
    onDone({ ...walked, err })
  }
  return rows
}

export async function walkAdmin(
  hf: Holdfast,
  onDone: (walked: Walked) => void = () => {},
): Promise<Walked[]> {
  const admin = createAdmin({ holdfast: hf, open: true, dashboard: false })
  const rows: Walked[] = []
  try {
    for (const path of ADMIN_PATHS) {
      const walked = await measured(`GET /api/v1/${path}`, async () => {
        const request = new Request(`http://localhost/api/v1/${path}`)
        const response = await admin.fetch(request, { address: '127.0.0.1' })
        const text = await response.text()
        return response.status === 200 && text.length < 1_000_000
      })
      rows.push(walked)
      onDone(walked)
    }
  } finally {
    await admin.close()
  }
  return rows
}

export interface ServerTimes {
  readonly calls: number
  /** Of the command that took longest on average, us. */
  readonly slowest: { readonly command: string; readonly averageUs: number }
  /** Entries of the slow log: over 10 ms by the clock on the wall, pauses of a busy machine included. */
  readonly over10Ms: number
}

/** What the server itself says of its work since the last time. */
export async function serverTimes(server: RedisServer): Promise<ServerTimes> {
  const stats = [
    ...String(await server.cli('INFO', 'commandstats')).matchAll(/cmdstat_([^:]+):calls=(\d+),usec=(\d+)/g),
  ]
  const rows = stats.map(([, command = '', calls, us]) => ({ command, calls: Number(calls), us: Number(us) }))
  const over10Ms = Number(await server.cli('SLOWLOG', 'LEN'))
  await server.cli('SLOWLOG', 'RESET')
  await server.cli('CONFIG', 'RESETSTAT')
  const averages = rows
    .map(({ command, calls, us }) => ({ command, averageUs: Math.round(us / Math.max(1, calls)) }))
    .sort((a, b) => b.averageUs - a.averageUs)
  return {
    calls: rows.reduce((sum, { calls }) => sum + calls, 0),
    slowest: averages[0] ?? { command: 'none', averageUs: 0 },
    over10Ms,
  }
}

async function measured(what: string, act: () => Promise<boolean>): Promise<Walked> {
  const before = process.memoryUsage().rss
  let most = before
  const sampler = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  const began = performance.now()
  const ok = await act()
  const ms = performance.now() - began
  clearInterval(sampler)
  return { what, ok, ms: Math.round(ms), grownMb: Math.round((most - before) / 1_048_576) }
}
