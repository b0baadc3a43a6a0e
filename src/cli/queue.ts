import { Command } from 'commander'
import { redact } from '../admin/redact.ts'
import type { DeadLetter, QueueStats } from '../queue/options.ts'
import type { Queue } from '../queue/queue.ts'
import { CliError, type Done, EXIT, type Io } from './io.ts'
import { type Common, confirmed, type Session, whole, withCommon, withSession } from './session.ts'
import { shorten, table, visible } from './table.ts'

interface LetterFlags extends Common {
  readonly all?: true
  readonly dryRun?: true
  readonly yes?: true
  readonly limit: number
}

const iso = (at: number): string => new Date(at).toISOString()

export function queueCommand(io: Io, done: Done): Command {
  const queue = new Command('queue').description('queues: depth, dead letters, replay, drop, pause, resume')
  queue.addCommand(
    withCommon(new Command('ls'))
      .description('every queue of the namespace, with what waits in it')
      .action((flags: Common) => withSession(io, flags, list)),
  )
  queue.addCommand(
    withCommon(new Command('dead'))
      .description('the messages that were given up, oldest first')
      .argument('<queue>')
      .option('--limit <number>', 'most lines', whole(1, 10_000), 100)
      .action((name: string, flags: LetterFlags) =>
        withSession(io, flags, (session) => listDead(session, name, flags.limit)),
      ),
  )
  for (const verb of ['replay', 'drop'] as const) {
    queue.addCommand(
      withCommon(new Command(verb))
        .description(VERBS[verb])
        .argument('<queue>')
        .argument('[ids...]', 'of dead letters')
        .option('--all', 'every dead letter')
        .option('--dry-run', 'only say how many it would be')
        .option('--yes', 'do not ask')
        .action((name: string, ids: string[], flags: LetterFlags) =>
          withSession(io, flags, async (session) => done(await settle(session, verb, name, ids, flags))),
        ),
    )
  }
  for (const verb of ['pause', 'resume'] as const) {
    queue.addCommand(
      withCommon(new Command(verb))
        .description(VERBS[verb])
        .argument('<queue>')
        .action((name: string, flags: Common) =>
          withSession(io, flags, async (session) => {
            await (await find(session, name))[verb]()
            session.json({ queue: name, paused: verb === 'pause' })
            session.print.line(`${name} ${verb === 'pause' ? 'is paused' : 'goes on'}`)
          }),
        ),
    )
  }
  return queue
}

const VERBS = {
  replay: 'put dead letters back into their queue',
  drop: 'forget dead letters for good',
  pause: 'no worker of any process begins another batch; adding goes on',
  resume: 'workers go on',
} as const

async function list(session: Session): Promise<void> {
  const { hf, print, isJson, json } = session
  const stats = await Promise.all((await hf.operations.queues()).map((queue) => queue.stats()))
  if (isJson) return json({ queues: stats })
  if (stats.length === 0) return print.line('no queues')
  const lines = table<QueueStats>(stats, [
    { title: 'QUEUE', of: (row) => row.queue },
    { title: 'WAITING', of: (row) => row.depth, right: true },
    { title: 'OLDEST', of: (row) => `${Math.round(row.oldestMs / 1_000)} s`, right: true },
    { title: 'DEAD', of: (row) => row.dead, right: true },
    { title: 'WORKERS', of: (row) => row.workers, right: true },
    { title: 'STATE', of: (row) => (row.paused ? 'paused' : 'runs') },
  ])
  for (const line of lines) print.line(line)
}

async function listDead(session: Session, name: string, count: number): Promise<void> {
  const letters = (await (await find(session, name)).dead.list({ count })).map(redacted)
  if (session.isJson) return session.json({ queue: name, letters })
  if (letters.length === 0) return session.print.line('no dead letters')
  for (const line of table(letters, [
    { title: 'ID', of: (row) => row.id, most: 40 },
    { title: 'DIED', of: (row) => row.diedAt },
    { title: 'TRIES', of: (row) => row.attempts, right: true },
    { title: 'REASON', of: (row) => row.reason, most: 50 },
    { title: 'BODY', of: (row) => JSON.stringify(row.body) ?? '', most: 60 },
  ])) {
    session.print.line(line)
  }
}

const redacted = ({ at, diedAt, body, reason, ...letter }: DeadLetter) => ({
  ...letter,
  addedAt: iso(at),
  diedAt: iso(diedAt),
  reason: shorten(visible(reason), 500),
  body: redact(body),
})

async function settle(
  session: Session,
  verb: 'replay' | 'drop',
  name: string,
  ids: readonly string[],
  { all, dryRun, yes }: LetterFlags,
): Promise<number> {
  if (ids.length > 0 === (all ?? false)) throw new CliError('say which letters', 'give their ids, or --all')
  const { io, print, json } = session
  const queue = await find(session, name)
  const found = all
    ? (await queue.stats()).dead
    : (await Promise.all(ids.map((id) => queue.dead.get(id)))).filter((letter) => letter !== undefined).length
  if (dryRun) {
    json({ queue: name, dryRun: true, [`would_${verb}`]: found })
    print.line(`would ${verb} ${found} dead letters`)
    return EXIT.ok
  }
  if (verb === 'drop' && !(await confirmed(io, `Forget ${found} dead letters of ${name} for good?`, yes)))
    return EXIT.no
  const count = await queue.dead[verb](all ? 'all' : ids)
  json({ queue: name, dryRun: false, [verb === 'drop' ? 'dropped' : 'replayed']: count })
  print.line(`${verb === 'drop' ? 'dropped' : 'replayed'} ${count} dead letters`)
  return !all && count < ids.length ? EXIT.no : EXIT.ok
}

/** Only queues that exist: to open another one would make it. */
async function find({ hf }: Session, name: string): Promise<Queue<unknown>> {
  const queues = await hf.operations.queues()
  const queue = queues.find((candidate) => candidate.name === name)
  if (queue) return queue
  const known = queues.map((candidate) => candidate.name).join(', ') || 'none'
  throw new CliError(`there is no queue '${name}' in the namespace ${hf.namespace}`, `there is: ${known}`)
}
