import type { ServerResponse } from 'node:http'

type Method = 'writeHead' | 'write' | 'end' | 'flushHeaders'
const METHODS: readonly Method[] = ['writeHead', 'write', 'end', 'flushHeaders']

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
  const before = new Map<Method, PropertyDescriptor | undefined>()
  const waiting: (readonly [Method, readonly unknown[]])[] = []
  let began = false
  let isFull = false

  const restore = (): void => {
    for (const [name, own] of before) {
      if (own) Object.defineProperty(res, name, own)
      else Reflect.deleteProperty(res, name)
    }
    Reflect.deleteProperty(res, 'headersSent')
    Reflect.deleteProperty(res, 'writableEnded')
  }
  const begin = (): void => {
    began = true
    // To the handler it is under way: frameworks must not begin a second answer.
    Object.defineProperty(res, 'headersSent', { get: () => true, configurable: true })
    work().then(
      () => {
        restore()
        for (const [name, args] of waiting) Reflect.apply(res[name], res, args)
        if (isFull) res.emit('drain')
      },
      (error: unknown) => {
        restore()
        failed(error)
      },
    )
  }
  for (const name of METHODS) {
    before.set(name, Object.getOwnPropertyDescriptor(res, name))
    const wait = (...args: unknown[]): unknown => {
      if (!began) begin()
      waiting.push([name, args])
      if (name === 'end') Object.defineProperty(res, 'writableEnded', { get: () => true, configurable: true })
      if (name !== 'write') return name === 'flushHeaders' ? undefined : res
      isFull = true
      return false
    }
    Object.defineProperty(res, name, { value: wait, configurable: true, writable: true })
  }
}
