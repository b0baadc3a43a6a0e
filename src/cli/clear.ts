import { Command } from 'commander'
import { type Api, type ApiFlags, withApi, withApiOptions } from './api.ts'
import { CliError, type Done, EXIT, type Io } from './io.ts'
import { Progress } from './progress.ts'
import { confirmed, printerOf, withCommon, writeJson } from './session.ts'

interface ClearFlags extends ApiFlags {
  readonly tag?: string
  readonly soft?: true
  readonly dryRun?: true
  readonly yes?: true
  readonly confirm?: string
}

export function clearCommand(io: Io, done: Done): Command {
  return withApiOptions(withCommon(new Command('clear')))
    .description('drop cached entries: by glob, by tag, or all. Limits, locks, sessions and queues stay')
    .argument('[pattern]', 'glob of keys: * ? [a-z], \\ before a literal')
    .option('--tag <tag>', 'what carries this tag, however many entries that are')
    .option('--soft', 'with --tag: keep the entries as stale, to be reloaded when next used')
    .option('--dry-run', 'only say how many it would be')
    .option('--yes', 'do not ask')
    .option('--confirm <namespace>', 'without a pattern: the name of the namespace that is to be emptied')
    .action(async (pattern: string | undefined, flags: ClearFlags) => {
      if (pattern !== undefined && flags.tag !== undefined)
        throw new CliError('give a pattern or --tag, not both')
      if (flags.soft && flags.tag === undefined) throw new CliError('--soft is for --tag')
      if (pattern === '')
        throw new CliError('the pattern is empty', 'to drop everything give none, and --confirm <namespace>')
      const document = await withApi(io, flags, async (api) => {
        const work = new Progress(io.stderr, 'clearing')
        work.begin()
        try {
          return await clear(io, api, pattern, flags, work)
        } finally {
          work.end()
        }
      })
      if (document === undefined) return done(EXIT.no)
      if (flags.json) return writeJson(io, document)
      printerOf(io, flags).line(textOf(document))
    })
}

type Document = Readonly<Record<string, unknown>>

async function clear(
  io: Io,
  api: Api,
  pattern: string | undefined,
  { tag, soft, dryRun, yes, confirm }: ClearFlags,
  work: Progress,
): Promise<Document | undefined> {
  if (tag !== undefined) {
    const path = `/api/v1/cache/tags/${encodeURIComponent(tag)}`
    const counted = (await api.call('DELETE', path, { dryRun: 'true' })).body
    work.end()
    if (dryRun) return counted
    if (
      !(await confirmed(io, `Invalidate the tag ${tag} (${String(counted.would_invalidate)} entries)?`, yes))
    ) {
      return undefined
    }
    return (await api.call('DELETE', path, { mode: soft ? 'soft' : 'hard' })).body
  }
  const counted = (await api.call('DELETE', '/api/v1/cache/clear', { pattern, dryRun: 'true' })).body
  work.end()
  if (dryRun) return counted
  const count = String(counted.would_delete)
  if (pattern !== undefined) {
    if (!(await confirmed(io, `Drop ${count} entries that match ${pattern}?`, yes))) return undefined
    return (await api.call('DELETE', '/api/v1/cache/clear', { pattern })).body
  }
  const word = confirm ?? (await io.ask?.(`Drop all ${count} entries? Type the namespace: `))?.trim()
  if (word === undefined) {
    throw new CliError(
      'dropping everything needs the name of the namespace',
      'give --confirm <namespace>, or a pattern',
    )
  }
  if (api.namespace !== undefined && word !== api.namespace) {
    throw new CliError('that is not the name of the namespace', 'nothing was dropped')
  }
  const { body } = await api.call('DELETE', '/api/v1/cache/clear', { confirm: word })
  // Nothing of it is served any more; what is left to do is to free the memory.
  const freed = await api.free?.((done) => work.at(done, Number(counted.would_delete)))
  return { ...body, deleted: freed ?? counted.would_delete }
}

function textOf(document: Document): string {
  if (document.tag !== undefined) {
    return document.dryRun
      ? `would invalidate ${String(document.would_invalidate)}${document.exact ? '' : ' or more'} entries; nothing was dropped`
      : `invalidated the tag ${String(document.tag)}`
  }
  return document.dryRun
    ? `would drop ${String(document.would_delete)} entries; nothing was dropped`
    : `dropped ${String(document.deleted)} entries`
}
