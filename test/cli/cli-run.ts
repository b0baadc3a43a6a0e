import { run } from '../../src/cli/program.ts'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
  json<T = Record<string, never>>(): T
}

export interface CliSetup {
  readonly env?: Record<string, string | undefined>
  /** What the person at the terminal answers; nobody sits there without. */
  readonly answers?: readonly string[]
  /** As a terminal of so many columns. */
  readonly isTTY?: boolean
  readonly signal?: AbortSignal
  readonly onOut?: (text: string) => void
}

/** One command line in this process: starting another takes a second. */
export async function cli(args: readonly string[], setup: CliSetup = {}): Promise<Outcome> {
  let out = ''
  let err = ''
  const answers = [...(setup.answers ?? [])]
  const { isTTY = false } = setup
  const code = await run(args, {
    stdout: {
      isTTY,
      write(text) {
        out += text
        setup.onOut?.(text)
      },
    },
    stderr: {
      isTTY,
      write(text) {
        err += text
      },
    },
    env: { NO_COLOR: '1', ...setup.env },
    signal: setup.signal ?? new AbortController().signal,
    ask: setup.answers && (async () => answers.shift() ?? ''),
  })
  return { code, out, err, json: () => JSON.parse(out) }
}
