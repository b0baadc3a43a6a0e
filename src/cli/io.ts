/** What a command reads and writes: the process, or a test. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Record<string, string | undefined>
  /** Aborted by Ctrl-C and SIGTERM: commands then end what they began. */
  readonly signal: AbortSignal
  /** One line that the person at the terminal types; undefined where nobody sits there. */
  readonly ask: ((question: string) => Promise<string>) | undefined
}

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

/** Wrong arguments, or nothing that can be worked with: exit code 2. */
export class CliError extends Error {
  constructor(what: string, mend?: string) {
    super(mend === undefined ? what : `${what}; ${mend}`)
  }
}

/** Exit codes of all commands. */
export const EXIT = {
  ok: 0,
  /** It ran, and the answer is no: a check failed, a key is absent, something was not loaded. */
  no: 1,
  /** It could not run: wrong arguments, no connection. */
  broken: 2,
} as const

/** How a command tells its exit code. */
export type Done = (code: number) => void
