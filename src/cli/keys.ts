import { Command, Option } from 'commander'
import type { Io } from './io.ts'
import { listKeys } from './key-list.ts'
import { keysByRank, type Ranking } from './key-ranking.ts'
import { Progress } from './progress.ts'
import { type Common, whole, withCommon, withSession } from './session.ts'
import { table } from './table.ts'

export interface KeysFlags extends Common {
  readonly by?: Ranking
  readonly raw?: true
  readonly foreign?: true
  readonly limit: number
  readonly sample: number
  readonly cursor?: string
}

export function keysCommand(io: Io): Command {
  return withCommon(new Command('keys'))
    .description('keys that match a glob, by SCAN: bounded in time, never KEYS, never MONITOR')
    .argument('[pattern]', 'glob: * ? [a-z], \\ before a literal', '*')
    .addOption(new Option('--by <rank>', 'the first by this').choices(['size', 'heat', 'ttl']))
    .option('--raw', 'all own keys by their names in Redis, not cached entries alone')
    .option('--foreign', "with --raw: other applications' keys too")
    .option('--limit <number>', 'most lines', whole(1, 10_000), 100)
    .option('--sample <number>', 'with --by: most keys to look at', whole(1, 10_000_000), 20_000)
    .option('--cursor <cursor>', 'where to go on, as printed before')
    .action(async (pattern: string, flags: KeysFlags) => {
      await withSession(io, flags, async (session) => {
        const { print, json } = session
        if (flags.by !== undefined) {
          const progress = new Progress(io.stderr, 'looking at keys')
          const found = await keysByRank(session, pattern, flags, flags.by, progress)
          if (flags.json) return json(found)
          for (const line of table(found.keys, [
            { title: 'KEY', of: (row) => row.key, most: 70 },
            { title: found.unit.toUpperCase(), of: (row) => row.rank, right: true },
          ])) {
            print.line(line)
          }
          return print.line(
            print.dim(
              `${found.looked} keys looked at${found.complete ? '' : ', and there are more: --sample raises that'}`,
            ),
          )
        }
        const page = await listKeys(session, pattern, flags)
        if (flags.json) return json(page)
        for (const key of page.keys) print.line(key)
        if (page.cursor !== null) {
          io.stderr.write(
            `${page.found}${page.truncated ? ' or more' : ''} match; go on with --cursor ${page.cursor}\n`,
          )
        }
      })
    })
}
