import { type Command, InvalidArgumentError } from 'commander'
import { configFromEnv, type EnvConfig } from '../config.ts'
import { type Holdfast, holdfast } from '../holdfast.ts'
import { CliError, type Io } from './io.ts'
import { createPrinter, type Printer } from './print.ts'

/** Options that every command has. */
export interface Common {
  readonly json?: true
  readonly redis?: string
  readonly namespace?: string
}

export interface Session {
  readonly io: Io
  readonly hf: Holdfast
  readonly config: EnvConfig
  /** For people; silent with --json. */
  readonly print: Printer
  /** True: one JSON document is wanted, and `print` is silent. */
  readonly isJson: boolean
  /** The one document of --json; nothing without it. */
  json(document: unknown): void
}

export function withCommon(command: Command): Command {
  return command
    .option('--json', 'print one JSON document instead of text')
    .option('--redis <url>', 'instead of REDIS_URL and its kin')
    .option('--namespace <name>', 'instead of HOLDFAST_NAMESPACE')
}

/** @throws ConfigError */
export function configOf(io: Io, { redis, namespace }: Common): EnvConfig {
  const chosen = redis === undefined ? {} : { HOLDFAST_REDIS_URL: redis }
  const named = namespace === undefined ? {} : { HOLDFAST_NAMESPACE: namespace }
  return configFromEnv({ ...io.env, ...chosen, ...named })
}

export function printerOf(io: Io, { json }: Common): Printer {
  if (!json) return createPrinter(io.stdout, io.env)
  return { ...createPrinter(io.stdout, io.env), line: () => {} }
}

/** Longer than an application would wait: a command is alone, and its user sits before it. */
const DEADLINES = { connect: '3s', read: '3s', write: '3s', invalidate: '5s' } as const

/** A tool keeps no copies of its own, so that no invalidation of the application waits for it. */
export function openHoldfast({ options }: EnvConfig): Holdfast {
  return holdfast({
    ...options,
    cache: { ...options.cache, l1: false },
    deadlines: { ...DEADLINES, ...options.deadlines },
  })
}

export interface Needs {
  /** Process memory of a command holds nothing: most commands need a Redis. @default true */
  readonly redis?: boolean
}

/** Connects, runs and closes. @throws CliError without Redis, RedisUnavailable and others when it is not there */
export async function withSession<T>(
  io: Io,
  common: Common,
  run: (session: Session) => Promise<T>,
  { redis = true }: Needs = {},
): Promise<T> {
  const config = configOf(io, common)
  const print = printerOf(io, common)
  for (const warning of config.warnings) io.stderr.write(`warning: ${warning}\n`)
  if (redis && config.options.redis === undefined) {
    throw new CliError(
      'there is no Redis to look at',
      'set REDIS_URL, or give --redis redis://localhost:6379/0',
    )
  }
  const hf = openHoldfast(config)
  try {
    await hf.ready('5s')
    const isJson = common.json ?? false
    const json = (document: unknown): void => void (isJson && writeJson(io, document))
    return await run({ io, hf, config, print, isJson, json })
  } finally {
    await hf.close()
  }
}

export function writeJson(io: Io, document: unknown): void {
  io.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`)
}

/** For options of commander: a whole number between two. */
export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`a whole number from ${least} to ${most} is needed`)
  }

/** Asks the person at the terminal, unless --yes was given. @throws CliError where nobody can be asked */
export async function confirmed(io: Io, question: string, yes: boolean | undefined): Promise<boolean> {
  if (yes) return true
  if (io.ask === undefined)
    throw new CliError('this needs a confirmation', 'give --yes, or look first with --dry-run')
  return /^y(?:es)?$/i.test((await io.ask(`${question} [y/N] `)).trim())
}
