import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Command } from 'commander'
import { encodePart } from '../base/key.ts'
import type { Reply } from '../redis/link.ts'
import type { RedisNode } from '../redis/port.ts'
import { BackupLines } from './backup-file.ts'
import { CliError, type Io } from './io.ts'
import { DEADLINE, scanNames } from './key-scan.ts'
import { Progress } from './progress.ts'
import { type Common, type Session, withCommon, withSession } from './session.ts'

/** Values under way at a time: what bounds the memory of this command. */
const CHUNK = 50

export function backupCommand(io: Io): Command {
  return withCommon(new Command('backup'))
    .description(
      'write sessions, limits, queues, tokens, run-once records and raw keys, with their TTLs, to a file',
    )
    .addHelpText(
      'after',
      '\nThe cache is left out: it loads itself again, and an entry that came back could be older than an invalidation.',
    )
    .argument('<file>', 'where to; it holds data in the clear')
    .action(async (file: string, flags: Common) => {
      await withSession(io, flags, async (session) => {
        const keys = await backup(session, file)
        if (flags.json) return session.json({ file, namespace: session.hf.namespace, keys })
        session.print.line(`${keys} keys of ${session.hf.namespace} written to ${file}`)
      })
    })
}

/** Under another name until it is whole, so that a file that was cut never looks like a backup. */
async function backup(session: Session, file: string): Promise<number> {
  const { hf, io } = session
  const part = `${file}.${randomBytes(4).toString('hex')}.part`
  const out = createWriteStream(part, { mode: 0o600, flags: 'wx' })
  await once(out, 'open')
  const progress = new Progress(io.stderr, 'writing keys')
  const lines = new BackupLines()
  const write = async (text: string): Promise<void> => {
    if (!out.write(text)) await once(out, 'drain')
  }
  try {
    const [info] = (await hf.redis?.info('data')) ?? []
    const head = {
      namespace: hf.namespace,
      redisVersion: info?.redis_version ?? '',
      at: new Date().toISOString(),
    }
    await write(lines.head(head))
    let keys = 0
    const match = `hf:${encodePart(hf.namespace, 'namespace')}:*`
    // SCAN may name a key twice, then it stands here twice: to remember them all would take memory for each.
    for await (const { node, names } of scanNames(session, match, { raw: true })) {
      for (let at = 0; at < names.length; at += CHUNK) {
        for (const entry of await dumped(node, names.slice(at, at + CHUNK))) {
          await write(lines.entry(entry))
          keys++
        }
        progress.at(keys)
      }
    }
    if (io.signal.aborted) throw new CliError('interrupted', 'no backup was written')
    await write(lines.end())
    out.end()
    await once(out, 'close')
    await rename(part, file)
    return keys
  } catch (error) {
    out.destroy()
    await rm(part, { force: true })
    throw error
  } finally {
    progress.end()
  }
}

async function dumped(node: RedisNode, names: readonly string[]) {
  const bytes = { ...DEADLINE, as: 'bytes' } as const
  const found = await Promise.all(
    names.map(
      async (name): Promise<[Reply, Reply]> => [
        await node.send(['DUMP', name], bytes),
        await node.send(['PTTL', name], DEADLINE),
      ],
    ),
  )
  return names.flatMap((name, i) => {
    const [dump, ttl] = found[i]!
    // It went away meanwhile.
    if (!Buffer.isBuffer(dump) || ttl === -2) return []
    return [{ k: name, t: Math.max(0, Number(ttl)), d: dump.toString('base64') }]
  })
}
