import { cpus } from 'node:os'
import { Command } from 'commander'
import { examine, examineRefusal } from '../doctor/examine.ts'
import type { Finding, Report } from '../doctor/finding.ts'
import { type Done, EXIT, type Io } from './io.ts'
import { type Common, configOf, openHoldfast, printerOf, withCommon, writeJson } from './session.ts'

interface DoctorFlags extends Common {
  readonly writeTest?: true
  readonly remember: boolean
  readonly strict?: true
  readonly processes?: string
}

export function doctorCommand(io: Io, done: Done): Command {
  return withCommon(new Command('doctor'))
    .description('examine configuration, servers and processes: 29 checks, each with cause and mend')
    .option('--write-test', 'also set, read, expire and delete a value of its own')
    .option('--no-remember', 'write nothing at all: no counters for the next examination')
    .option('--processes <number>', 'how many processes run the application')
    .option('--strict', 'exit 1 for warnings too')
    .addHelpText(
      'after',
      '\nExits 0 when nothing failed, 1 when a check failed, 2 when Redis cannot be used as it stands.',
    )
    .action(async (flags: DoctorFlags) => {
      const { report, target } = await look(io, flags)
      const failed = report.findings.some(({ status }) => status === 'fail')
      const warned = report.findings.some(({ status }) => status === 'warn')
      if (flags.json) writeJson(io, { target, ...report })
      else show(io, flags, report, target)
      done(!report.usable ? EXIT.broken : failed || (flags.strict && warned) ? EXIT.no : EXIT.ok)
    })
}

async function look(io: Io, flags: DoctorFlags): Promise<{ report: Report; target: string }> {
  const processes = processesOf(io, flags.processes)
  let config: ReturnType<typeof configOf>
  let hf: ReturnType<typeof openHoldfast>
  try {
    config = configOf(io, flags)
    hf = openHoldfast(config)
  } catch (error) {
    return { report: examineRefusal(error, { processes }), target: 'a configuration that cannot work' }
  }
  const { target, warnings, options } = config
  try {
    const report = await examine(hf, {
      redis: options.redis,
      warnings,
      processes,
      writeTest: flags.writeTest ?? false,
      remember: flags.remember,
    })
    return { report, target }
  } finally {
    await hf.close()
  }
}

/** What process managers say of themselves; 1 where nobody says anything. */
function processesOf({ env }: Io, given: string | undefined): number {
  for (const word of [given, env.WEB_CONCURRENCY, env.instances]) {
    if (word === 'max') return cpus().length
    const number = Number(word)
    if (word && Number.isInteger(number) && number > 0) return number
  }
  // pm2 numbers the processes of a cluster from 0.
  return Number(env.NODE_APP_INSTANCE) > 0 ? Number(env.NODE_APP_INSTANCE) + 1 : 1
}

const SIGNS: Readonly<Record<Finding['status'], string>> = { pass: '✓', warn: '!', fail: '✗', skip: '–' }

function show(io: Io, common: Common, { score, findings, usable }: Report, target: string): void {
  const out = printerOf(io, common)
  const paint = { pass: out.green, warn: out.yellow, fail: out.red, skip: out.dim }
  out.line(out.bold(`holdfast doctor: ${target}`))
  for (const { id, title, status, detail, cause, mend } of findings) {
    out.line(
      `${paint[status](SIGNS[status])} ${id.padEnd(4)}${title.padEnd(30)}${status === 'skip' ? out.dim(detail) : detail}`,
    )
    if (status !== 'warn' && status !== 'fail') continue
    if (cause) out.line(`       cause: ${cause}`)
    if (mend) out.line(`       mend:  ${mend}`)
  }
  const count = (status: Finding['status']) => findings.filter((finding) => finding.status === status).length
  out.line()
  out.line(
    `${out.bold(`Score ${score} of 100`)}: ${count('pass')} passed, ${count('warn')} warnings, ${count('fail')} failed, ${count('skip')} skipped`,
  )
  if (!usable) out.line(out.red('Redis cannot be used as it stands.'))
}
