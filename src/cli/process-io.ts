import { createInterface } from 'node:readline/promises'
import type { Io } from './io.ts'

/** The real process: Ctrl-C once ends in order, twice at once. */
export function processIo(): Io {
  const controller = new AbortController()
  const end = (): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  // A reader that closed the pipe (head, less) has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 2))
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signal: controller.signal,
    ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
  }
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await lines.question(question)
  } finally {
    lines.close()
  }
}
