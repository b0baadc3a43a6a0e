import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { HoldfastError } from '../base/errors.ts'
import { backupCommand } from './backup.ts'
import { benchCommand } from './bench.ts'
import { clearCommand } from './clear.ts'
import { demo } from './demo.ts'
import { doctorCommand } from './doctor.ts'
import { explainCommand } from './explain.ts'
import { getCommand } from './get.ts'
import { CliError, type Done, EXIT, type Io } from './io.ts'
import { keysCommand } from './keys.ts'
import { createPrinter } from './print.ts'
import { queueCommand } from './queue.ts'
import { restoreCommand } from './restore.ts'
import { serveCommand } from './serve.ts'
import { statsCommand } from './stats.ts'
import { topCommand } from './top.ts'
import { warmCommand } from './warm.ts'

/** Runs one command line. @returns the exit code: 0 done, 1 the answer is no, 2 it could not run */
export async function run(args: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok
  const done: Done = (given) => {
    code = given
  }
  const program = new Command('holdfast')
    .description('The Redis layer for TypeScript backends, from the command line')
    .version(versionOf())
    .addCommand(demoCommand(done))
    .addCommand(serveCommand(io))
    .addCommand(doctorCommand(io, done))
    .addCommand(statsCommand(io))
    .addCommand(topCommand(io))
    .addCommand(keysCommand(io))
    .addCommand(getCommand(io, done))
    .addCommand(explainCommand(io, done))
    .addCommand(clearCommand(io, done))
    .addCommand(warmCommand(io, done))
    .addCommand(benchCommand(io, done))
    .addCommand(backupCommand(io))
    .addCommand(restoreCommand(io, done))
    .addCommand(queueCommand(io, done))
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 the answer is no, 2 it could not run. Without colour: NO_COLOR=1.',
    )
  for (const command of allCommands(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(createPrinter(io.stderr, io.env).red(text)),
    })
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    return failed(error, io)
  }
  return code
}

function failed(error: unknown, io: Io): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.broken
  if (io.signal.aborted) return 130
  const { red } = createPrinter(io.stderr, io.env)
  const text = error instanceof Error ? error.message : String(error)
  const expected = error instanceof CliError || error instanceof HoldfastError || isFileError(error)
  io.stderr.write(`${red(`holdfast: ${text}`)}\n`)
  if (!expected && error instanceof Error) io.stderr.write(`${error.stack}\n`)
  return EXIT.broken
}

/** ENOENT and its kin: the message says all. */
const isFileError = (error: unknown): boolean => error instanceof Error && 'syscall' in error

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)]
}

function versionOf(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function demoCommand(done: Done): Command {
  return new Command('demo')
    .description('bring up the example backends and show what Holdfast does for them (needs a clone)')
    .argument('[names...]', 'which examples, each with a tour; none: all of them, behind one page')
    .option('--once', 'end after the tour instead of serving until Ctrl-C')
    .option('--json', 'print the figures as JSON')
    .option('--port <number>', 'first port to try for the backends; 0: any', Number)
    .addHelpText('after', '\nWith REDIS_URL set, two processes of each share their state over Redis.')
    .action(async (names: string[], { once = false, json = false, port }: DemoFlags) => {
      done(await demo(names, { once, json, port }))
    })
}

interface DemoFlags {
  once?: boolean
  json?: boolean
  port?: number
}
