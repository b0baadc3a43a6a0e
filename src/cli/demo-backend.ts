import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

/** An example server in a process of its own. */
export interface Backend {
  readonly url: string
  /** Where it brought one. */
  readonly upstream?: string
  readonly database: string
  /** Where it brought several. */
  readonly upstreams?: Readonly<Record<string, string>>
  /** Where somebody may do more than others. */
  readonly operatorToken?: string
  /** By edition, where it has an administration. */
  readonly adminTokens?: Readonly<Record<string, string>>
  /** `name:password`, where it was made up. */
  readonly account?: string
  /** Resolves when the process is gone, for whatever reason. */
  readonly exited: Promise<void>
  stop(): Promise<void>
}

type Report = Omit<Backend, 'exited' | 'stop'>

const START_DEADLINE_MS = 60_000
const STOP_DEADLINE_MS = 3_000
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** @param ended abandons the start and stops the process */
export async function startBackend(
  script: string,
  env: NodeJS.ProcessEnv,
  ended?: AbortSignal,
): Promise<Backend> {
  ended?.throwIfAborted()
  // A group of its own, so that Ctrl-C reaches us alone and we close in order.
  const child = fork(script, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, ...env },
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit').then(() => {})
  const stop = async () => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS)
    if (child.connected) child.disconnect() // the server closes when its parent is gone
    await exited
    clearTimeout(timer)
  }
  const timeout = AbortSignal.timeout(START_DEADLINE_MS)
  const signal = ended ? AbortSignal.any([ended, timeout]) : timeout
  try {
    const [report] = (await Promise.race([
      once(child, 'message', { signal }),
      exited.then(() => Promise.reject(new Error('the backend ended before it was ready'))),
    ])) as [Report]
    return { ...report, exited, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/**
 * `wanted`, or the next port above it that nobody listens on; 0 stays 0 (any).
 * @param promised to somebody who does not listen yet
 */
export async function freePort(wanted: number, promised?: ReadonlySet<number>): Promise<number> {
  for (let port = wanted; port > 0 && port < wanted + 50; port++) {
    if (!promised?.has(port) && (await isFree(port))) return port
  }
  return 0
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
