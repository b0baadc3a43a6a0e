/**
 * Worker processes of TypeScript files, for tests that need more than one process.
 *
 *   const worker = await startWorker(new URL('./reader.ts', import.meta.url), { env: { REDIS_URL: redis.url } })
 *   await worker.ask({ op: 'get', key: 'a' })      // the worker's answer, or its error
 *   worker.onMessage((message) => …)               // what it says unasked, by `tell(…)`
 *   await worker.kill()                            // -9
 *
 * In the worker:   serve({ async get({ key }) { return … } })   with `serve` from this file.
 *
 * A worker ends with its parent, however that ends: its IPC channel closes, and `serve` exits.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type Message = { [name: string]: unknown }

export interface Worker {
  readonly pid: number
  readonly alive: boolean
  /** Sends a request to the handler named `op` and resolves with what it returns. */
  ask<T = unknown>(request: Message & { op: string }, timeoutMs?: number): Promise<T>
  onMessage(listener: (message: Message) => void): void
  pause(): void
  resume(): void
  kill(): Promise<void>
  /** Closes the channel: `serve` ends the process when its handlers are done. */
  stop(): Promise<void>
  /** What it wrote to stdout and stderr, for failure messages. */
  output(): string
}

const workers = new Set<ChildProcess>()
let hooked = false

export async function startWorker(
  file: URL | string,
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>>; readyMs?: number } = {},
): Promise<Worker> {
  hookExit()
  const child = fork(typeof file === 'string' ? file : fileURLToPath(file), [...(options.args ?? [])], {
    execPath: process.execPath,
    // A file that was bundled before needs no translation, and starts in a blink.
    execArgv: String(file).endsWith('.mjs') ? [] : ['--import', 'tsx'],
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
  })
  workers.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output = (output + String(chunk)).slice(-20_000)
    })
  }
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  const listeners: ((message: Message) => void)[] = []
  let nextId = 1
  let alive = true
  let ready = () => {}
  const becameReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  child.on('message', (message: Message) => {
    if (message.ready === true) return ready()
    const id = message.replyTo
    const asker = typeof id === 'number' ? waiting.get(id) : undefined
    if (!asker || typeof id !== 'number') {
      for (const listener of listeners) listener(message)
      return
    }
    waiting.delete(id)
    if (message.error === undefined) asker.resolve(message.value)
    else asker.reject(Object.assign(new Error(String(message.error)), { code: message.code }))
  })
  const ended = gone.then(() => {
    alive = false
    workers.delete(child)
    for (const asker of waiting.values()) asker.reject(new Error(`worker ${child.pid} ended:\n${output}`))
    waiting.clear()
  })

  const signal = (name: NodeJS.Signals) => {
    if (alive) child.kill(name)
  }
  const worker: Worker = {
    pid: child.pid ?? 0,
    get alive() {
      return alive
    },
    ask<T>(request: Message, timeoutMs = 15_000) {
      return new Promise<T>((resolve, reject) => {
        if (!alive) return reject(new Error(`worker ${child.pid} is gone:\n${output}`))
        const id = nextId++
        const late = setTimeout(() => {
          waiting.delete(id)
          reject(new Error(`worker ${child.pid} did not answer within ${timeoutMs} ms:\n${output}`))
        }, timeoutMs)
        waiting.set(id, {
          resolve: (value) => {
            clearTimeout(late)
            resolve(value as T)
          },
          reject: (error) => {
            clearTimeout(late)
            reject(error)
          },
        })
        child.send({ ...request, id }, (error) => error && waiting.get(id)?.reject(error))
      })
    },
    onMessage: (listener) => void listeners.push(listener),
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async kill() {
      signal('SIGKILL')
      await ended
    },
    async stop() {
      if (alive && child.connected) child.disconnect()
      const late = setTimeout(() => signal('SIGKILL'), 5_000)
      await ended
      clearTimeout(late)
    },
    output: () => output,
  }
  const bound = options.readyMs ?? 30_000
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`worker was not ready within ${bound} ms:\n${output}`)), bound)
  })
  try {
    await Promise.race([
      becameReady,
      tooLate,
      ended.then(() => {
        throw new Error(`worker ended before it was ready:\n${output}`)
      }),
    ])
  } catch (error) {
    await worker.kill()
    throw error
  } finally {
    clearTimeout(timer)
  }
  return worker
}

/** In the worker: answers requests by name until the parent is gone, then runs `onEnd` and exits. */
export function serve(
  handlers: Readonly<Record<string, (request: Message) => unknown>>,
  onEnd?: () => unknown,
): void {
  process.on('message', async (request: Message) => {
    const handler = handlers[String(request.op)]
    const replyTo = request.id
    try {
      if (!handler) throw new Error(`the worker has no handler '${String(request.op)}'`)
      say({ replyTo, value: await handler(request) })
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      say({ replyTo, error: error instanceof Error ? error.message : String(error), code })
    }
  })
  process.once('disconnect', async () => {
    setTimeout(() => process.exit(1), 3_000).unref()
    await onEnd?.()
    process.exit(0)
  })
  say({ ready: true })
}

/** In the worker: something the parent did not ask for. */
export function tell(message: Message): void {
  say(message)
}

function say(message: Message): void {
  if (process.connected) process.send?.(message)
}

function hookExit(): void {
  if (hooked) return
  hooked = true
  process.on('exit', () => {
    for (const child of workers) child.kill('SIGKILL')
  })
}
