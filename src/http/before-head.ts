import type { ServerResponse } from 'node:http'

const METHODS = ['writeHead', 'write', 'end', 'flushHeaders'] as const
type Method = (typeof METHODS)[number]

/**
 * Runs `work` once, when a handler begins its answer and before any of it is sent; what the handler
 * writes meanwhile waits. `work` may still add fields. Where it rejects, nothing of the handler's
 * answer is sent and `failed` has to answer.
 */
export function beforeHead(
  res: ServerResponse,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): void {
  const waiting: (() => void)[] = []
  let state: 'idle' | 'working' | 'over' = 'idle'
  let hasEnded = false
  let isFull = false

  const over = (): void => {
    state = 'over'
    for (const name of ['headersSent', 'writableEnded'] as const) Reflect.deleteProperty(res, name)
  }
  const begin = (): void => {
    state = 'working'
    // To the handler it is under way: frameworks must not begin a second answer.
    Object.defineProperty(res, 'headersSent', { get: () => true, configurable: true })
    Object.defineProperty(res, 'writableEnded', { get: () => hasEnded, configurable: true })
    work().then(
      () => {
        over()
        try {
          for (const send of waiting) send()
        } catch {
          // Somebody else answered meanwhile: the rest of this answer has nowhere to go.
          res.destroy()
        }
        if (isFull) res.emit('drain')
      },
      (error: unknown) => {
        over()
        failed(error)
      },
    )
  }
  for (const name of METHODS) {
    const own = res[name]
    // It stays in its place: what others put over it later must not be torn off with it.
    const wait = (...args: unknown[]): unknown => {
      if (state === 'over') return Reflect.apply(own, res, args)
      if (state === 'idle') begin()
      waiting.push(() => Reflect.apply(own, res, args))
      if (name === 'end') hasEnded = true
      if (name === 'write') isFull = true
      return waitingValue(name, res)
    }
    Object.defineProperty(res, name, { value: wait, configurable: true, writable: true })
  }
}

/** What the method returns where it has to wait. */
function waitingValue(name: Method, res: ServerResponse): unknown {
  if (name === 'write') return false
  return name === 'flushHeaders' ? undefined : res
}
