import { Command } from 'commander'
import { RedisReplyError } from '../base/errors.ts'
import { encodePart } from '../base/key.ts'
import { checkBackup, type Entry, entriesOf } from './backup-file.ts'
import { CliError, type Done, EXIT, type Io } from './io.ts'
import { DEADLINE } from './key-scan.ts'
import { Progress } from './progress.ts'
import { type Common, type Session, withCommon, withSession } from './session.ts'

interface RestoreFlags extends Common {
  readonly dryRun?: true
  readonly replace?: true
  readonly foreign?: true
}

interface Outcome {
  readonly file: string
  readonly dryRun: boolean
  readonly keys: number
  restored: number
  /** Were there already with the same value. */
  same: number
  /** Were there already with another value, and stayed. */
  kept: number
}

const CHUNK = 50

export function restoreCommand(io: Io, done: Done): Command {
  return withCommon(new Command('restore'))
    .description('write the keys of a backup back, with the TTLs that they had; checks the whole file first')
    .argument('<file>', 'what backup wrote')
    .option('--dry-run', 'check the file, write nothing')
    .option('--replace', 'overwrite keys that are there')
    .option('--foreign', 'also keys of another namespace than this one')
    .action(async (file: string, flags: RestoreFlags) => {
      await withSession(io, flags, async (session) => {
        const outcome = await restore(session, file, flags)
        if (outcome.kept > 0) done(EXIT.no)
        if (flags.json) return session.json(outcome)
        session.print.line(
          outcome.dryRun
            ? `${file} is whole: ${outcome.keys} keys; nothing was written`
            : `${outcome.restored} of ${outcome.keys} keys restored${outcome.kept > 0 ? `; ${outcome.kept} were there already with another value (--replace overwrites them)` : ''}${outcome.same > 0 ? `; ${outcome.same} were there as they are` : ''}`,
        )
      })
    })
}

async function restore(session: Session, file: string, flags: RestoreFlags): Promise<Outcome> {
  const { io } = session
  const { keys } = await checkBackup(file)
  await refuse(session, file, flags.foreign ?? false)
  const outcome: Outcome = { file, dryRun: flags.dryRun ?? false, keys, restored: 0, same: 0, kept: 0 }
  if (flags.dryRun) return outcome
  const progress = new Progress(io.stderr, 'restoring')
  const flush = async (entries: readonly Entry[]): Promise<void> => {
    const written = await Promise.all(entries.map((entry) => put(session, entry, flags.replace)))
    for (const result of written) outcome[result]++
    progress.at(outcome.restored + outcome.same + outcome.kept, keys)
  }
  let chunk: Entry[] = []
  for await (const entry of entriesOf(file)) {
    if (io.signal.aborted) throw new CliError('interrupted', `${outcome.restored} keys were restored`)
    chunk.push(entry)
    if (chunk.length < CHUNK) continue
    await flush(chunk)
    chunk = []
  }
  await flush(chunk)
  progress.end()
  return outcome
}

/** Before anything is written: a file may have been made to overwrite what is not ours. */
async function refuse({ hf }: Session, file: string, foreign: boolean): Promise<void> {
  const own = `hf:${encodePart(hf.namespace, 'namespace')}:`
  for await (const { k } of entriesOf(file)) {
    if (k.startsWith('hf:{')) {
      throw new CliError(
        'the file holds entries of a cache',
        'they could be older than an invalidation, so they are not restored: take holdfast warm; nothing was written',
      )
    }
    if (foreign || k.startsWith(own)) continue
    throw new CliError(
      `the backup holds keys that are not of the namespace ${hf.namespace}`,
      'give --namespace as it was, or --foreign if you mean it; nothing was written',
    )
  }
}

async function put(
  session: Session,
  { k, t, d }: Entry,
  replace: true | undefined,
): Promise<'restored' | 'same' | 'kept'> {
  const port = session.hf.redis!.port('data')
  const value = Buffer.from(d, 'base64')
  const args = ['RESTORE', k, String(t), value, ...(replace ? ['REPLACE'] : [])]
  try {
    await port.nodeFor(k).send(args, DEADLINE)
    return 'restored'
  } catch (error) {
    if (!(error instanceof RedisReplyError) || error.prefix !== 'BUSYKEY') throw error
    const there = await port.nodeFor(k).send(['DUMP', k], { ...DEADLINE, as: 'bytes' })
    return Buffer.isBuffer(there) && there.equals(value) ? 'same' : 'kept'
  }
}
