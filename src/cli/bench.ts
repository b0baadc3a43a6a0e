import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { checkSteps } from './bench-check.ts'
import { measure } from './bench-measure.ts'
import { type Done, EXIT, type Io } from './io.ts'
import { type Common, type Session, whole, withCommon, withSession } from './session.ts'
import { table } from './table.ts'

interface BenchFlags extends Common {
  readonly check?: true
  readonly seconds: number
  readonly concurrency: number
}

export function benchCommand(io: Io, done: Done): Command {
  return withCommon(new Command('bench'))
    .description('measure the cache where it is: operations, response times, load, memory, hit rate')
    .option('--check', 'five steps instead: connectivity, speed, invalidation, concurrency, metrics')
    .option('--seconds <number>', 'for the whole measurement', whole(1, 3_600), 5)
    .option('--concurrency <number>', 'most calls at a time', whole(1, 10_000), 64)
    .addHelpText(
      'after',
      '\nIt works in a namespace of its own, whose entries live a minute, and clears it at the end.',
    )
    .action((flags: BenchFlags) => {
      const own = { ...flags, namespace: `holdfast-bench-${randomBytes(4).toString('hex')}` }
      return withSession(io, own, (session) => (flags.check ? check(session, done) : bench(session, flags)), {
        redis: false,
      })
    })
}

async function check(session: Session, done: Done): Promise<void> {
  const steps = await checkSteps(session.hf)
  const ok = steps.every((step) => step.ok)
  if (!ok) done(EXIT.no)
  session.json({ ok, steps })
  const { print } = session
  for (const [i, { name, ok: good, detail }] of steps.entries()) {
    print.line(`${good ? print.green('✓') : print.red('✗')} ${i + 1} ${name.padEnd(16)}${detail}`)
  }
  print.line(
    ok ? print.green('All five passed.') : print.red('Something is wrong: holdfast doctor looks closer.'),
  )
}

async function bench(session: Session, flags: BenchFlags): Promise<void> {
  const { hf, print, config, io } = session
  const result = await measure(hf, flags, io)
  session.json({ target: config.target, ...result })
  print.line(print.bold(`holdfast bench: ${config.target}`))
  for (const line of table(result.operations, [
    { title: 'OPERATION', of: (row) => row.name },
    { title: 'AT A TIME', of: (row) => row.concurrency, right: true },
    { title: 'PER SECOND', of: (row) => row.perSecond, right: true },
    { title: 'P50 MS', of: (row) => row.p50Ms, right: true },
    { title: 'P99 MS', of: (row) => row.p99Ms, right: true },
  ])) {
    print.line(`  ${line}`)
  }
  print.line(
    `  memory    ${result.memory.bytesPerEntry ?? 'unknown'} bytes per entry of ${result.memory.valueBytes} bytes`,
  )
  print.line(
    `  hit rate  ${result.hitRate.percent} % of ${result.hitRate.lookups} look-ups, of ${result.hitRate.keys} keys as popular as web pages are`,
  )
}
