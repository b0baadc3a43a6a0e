import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { type Duration, toMs } from '../base/duration.ts'
import type { WarmEntry } from '../cache/warm.ts'
import { CliError, type Done, EXIT, type Io } from './io.ts'
import { allNodes, DEADLINE } from './key-scan.ts'
import { Progress } from './progress.ts'
import { type Common, type Session, whole, withCommon, withSession } from './session.ts'

interface WarmFlags extends Common {
  readonly manifest: string
  readonly concurrency: number
  readonly dryRun?: true
  readonly timeout: number
}

/** One entry of a manifest. */
interface Item {
  readonly key: string
  readonly namespace?: string
  /** The value itself, or where it is fetched from (JSON). */
  readonly value?: unknown
  readonly url?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly ttl?: Duration
  readonly tags?: readonly string[]
}

const FIELDS = ['key', 'namespace', 'value', 'url', 'headers', 'ttl', 'tags']

export function warmCommand(io: Io, done: Done): Command {
  return withCommon(new Command('warm'))
    .description('load what a manifest names and the cache does not have yet')
    .requiredOption('--manifest <file>', 'JSON: [{ key, value or url, ttl, tags, namespace, headers }]')
    .option('--concurrency <number>', 'loads at a time', whole(1, 1_000), 8)
    .option('--timeout <ms>', 'for each fetch', whole(1, 600_000), 10_000)
    .option('--dry-run', 'check the manifest, load nothing')
    .action(async (flags: WarmFlags) => {
      const items = await readManifest(flags.manifest)
      if (flags.dryRun) {
        const text = `${items.length} entries in ${flags.manifest}; nothing was loaded`
        return void io.stdout.write(
          flags.json ? `${JSON.stringify({ dryRun: true, entries: items.length })}\n` : `${text}\n`,
        )
      }
      await withSession(io, flags, async (session) => {
        const report = await warm(session, items, flags)
        if (report.failed.length + report.unstored > 0) done(EXIT.no)
        if (flags.json) return session.json(report)
        session.print.line(
          `${report.loaded} loaded, ${report.present} were there, ${report.failed.length} failed`,
        )
        for (const { key, reason } of report.failed) session.print.line(`  ${key}: ${reason}`)
      })
    })
}

async function warm(session: Session, items: readonly Item[], { concurrency, timeout }: WarmFlags) {
  const { hf, io } = session
  const progress = new Progress(io.stderr, 'warming')
  const total = { loaded: 0, present: 0, failed: [] as { key: string; reason: string }[] }
  for (const [namespace, some] of byNamespace(items)) {
    let cache = hf.cache
    for (const name of namespace?.split('|') ?? []) cache = cache.namespace(name)
    const entries = some.map((item): WarmEntry => {
      const { key, ttl, tags } = item
      return { key, load: ({ signal }) => contentOf(item, timeout, signal), options: { ttl, tags } }
    })
    const before = total.loaded + total.present + total.failed.length
    const report = await cache.warm(entries, {
      concurrency,
      signal: io.signal,
      onProgress: ({ done }) => progress.at(before + done, items.length),
    })
    total.loaded += report.loaded
    total.present += report.present
    total.failed.push(
      ...report.failed.map(({ key, error }) => ({
        key,
        reason: error instanceof Error ? error.message : 'failed',
      })),
    )
  }
  // A value is given before its storing was answered: the answer to this comes behind all of those.
  await Promise.all(allNodes(session).map((node) => node.send(['PING'], DEADLINE)))
  progress.end()
  const { bypassed, store } = hf.cache.stats()
  return { ...total, unstored: bypassed + store.refusedFills }
}

function byNamespace(items: readonly Item[]): Map<string | undefined, Item[]> {
  const groups = new Map<string | undefined, Item[]>()
  for (const item of items) {
    const group = groups.get(item.namespace)
    if (group) group.push(item)
    else groups.set(item.namespace, [item])
  }
  return groups
}

async function contentOf(
  { url, value, headers }: Item,
  timeout: number,
  signal: AbortSignal,
): Promise<unknown> {
  if (url === undefined) return value
  const late = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
  const response = await fetch(url, { headers: { accept: 'application/json', ...headers }, signal: late })
  if (!response.ok) throw new Error(`answered ${response.status}`)
  return response.json()
}

async function readManifest(path: string): Promise<Item[]> {
  const text = await readFile(path, 'utf8')
  let read: unknown
  try {
    // One document, or one a line.
    read = text.trimStart().startsWith('[')
      ? JSON.parse(text)
      : text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
  } catch {
    throw new CliError(`${path} is not JSON`, 'write an array of entries, or one entry a line')
  }
  if (!Array.isArray(read)) throw new CliError(`${path} is no list of entries`)
  return read.map(itemOf)
}

/** @throws CliError with the number of the entry, before anything is loaded */
function itemOf(given: unknown, index: number): Item {
  const where = `entry ${index + 1} of the manifest`
  if (typeof given !== 'object' || given === null) throw new CliError(`${where} is no object`)
  const unknown = Object.keys(given).find((name) => !FIELDS.includes(name))
  if (unknown) throw new CliError(`${where} has a field '${unknown}'`, `known are ${FIELDS.join(', ')}`)
  const item = given as Item
  if (typeof item.key !== 'string' || item.key === '') throw new CliError(`${where} has no key`)
  if ('value' in item === (item.url !== undefined)) throw new CliError(`${where} needs either value or url`)
  if (item.url !== undefined && !/^https?:\/\/\S+$/.test(item.url))
    throw new CliError(`${where}: url is no http or https URL`)
  if (item.tags !== undefined && !Array.isArray(item.tags)) throw new CliError(`${where}: tags is no list`)
  if (item.ttl !== undefined) toMs(item.ttl, `${where}: ttl`)
  return item
}
