import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Clock, Timer } from '../base/clock.ts'
import { ChunkQueue } from './chunk-queue.ts'
import type { HttpResponse } from './message.ts'

/** After its client has gone, a handler gets this long to end its answer; then the answer counts as broken off. */
const GRACE_MS = 30_000

/** A handler's answer ended in its middle, or never came. */
export class BrokenOff extends Error {
  constructor(options?: ErrorOptions) {
    super('the handler did not end its answer', options)
    this.name = 'BrokenOff'
  }
}

type Head = OutgoingHttpHeaders | readonly OutgoingHttpHeader[] | undefined
type Done = (error?: Error | null) => void

/**
 * What a handler of node:http writes to a response, held back and handed over as one message. To
 * the handler it looks sent. Fields that were set before count as somebody else's: they are part of
 * the message only where the handler changed them.
 */
export class HeldResponse {
  /** Resolves with the head; the body may still be coming. Rejects with BrokenOff. */
  readonly message: Promise<HttpResponse>
  readonly #res: ServerResponse
  #prior: OutgoingHttpHeaders
  readonly #clock: Clock
  #queue: ChunkQueue | undefined
  #settle!: (message: HttpResponse) => void
  #fail!: (error: Error) => void
  #hasHead = false
  #ended = false
  #grace: Timer | undefined
  readonly #before = new Map<string, PropertyDescriptor>()
  readonly #onClose = () => {
    if (!this.#ended) this.#grace = this.#clock.after(GRACE_MS, () => this.#breakOff())
  }
  readonly #onUnpipe = () => {
    // A pipe lets go of a closed response without a word, and nothing will come through it any more.
    if (this.#grace && !this.#ended) this.#breakOff()
  }

  constructor(res: ServerResponse, clock: Clock) {
    this.#res = res
    this.#clock = clock
    this.#prior = { ...res.getHeaders() }
    this.message = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
    // Whoever asked for the message may be gone by the time it breaks off.
    this.message.catch(() => {})
    this.#shadow()
    res.on('close', this.#onClose)
    res.on('unpipe', this.#onUnpipe)
  }

  /**
   * Where the answer goes: the response with its own methods and with the fields it had before,
   * while the handler may still be writing to what it takes for the same.
   */
  open(): ServerResponse {
    const res = this.#res
    const real = this.#unshadowed()
    // Somebody else may have answered meanwhile: a time limit, for one.
    if (!real.headersSent) this.#resetFields()
    if (!this.#ended) return real
    for (const name of SHADOWED) {
      const before = this.#before.get(name)
      if (before) Object.defineProperty(res, name, before)
      else Reflect.deleteProperty(res, name)
    }
    res.off('close', this.#onClose)
    res.off('unpipe', this.#onUnpipe)
    return res
  }

  /** Fields that stand now are somebody else's: for a response that was held back from its beginning. */
  takePrior(): void {
    this.#prior = { ...this.#res.getHeaders() }
  }

  #resetFields(): void {
    const res = this.#res
    for (const name of res.getHeaderNames()) if (!(name in this.#prior)) res.removeHeader(name)
    for (const [name, value] of Object.entries(this.#prior)) {
      if (value !== undefined && res.getHeader(name) !== value) res.setHeader(name, value)
    }
    res.statusCode = 200
    res.statusMessage = ''
  }

  /** The same object, seen without what hides it from the handler. */
  #unshadowed(): ServerResponse {
    const before = this.#before
    return new Proxy(this.#res, {
      get(res, name) {
        const hidden = typeof name === 'string' && SHADOWED.includes(name)
        const own = hidden ? before.get(name) : undefined
        const value: unknown = own
          ? (own.value ?? own.get?.call(res))
          : hidden
            ? Reflect.get(Object.getPrototypeOf(res), name, res)
            : Reflect.get(res, name, res)
        return typeof value === 'function' ? value.bind(res) : value
      },
      set: (res, name, value) => Reflect.set(res, name, value, res),
    })
  }

  #shadow(): void {
    const res = this.#res
    const define = (name: string, descriptor: PropertyDescriptor) => {
      // Other middleware may have put methods of its own on the response before.
      const own = Object.getOwnPropertyDescriptor(res, name)
      if (own) this.#before.set(name, own)
      Object.defineProperty(res, name, { configurable: true, ...descriptor })
    }
    define('writeHead', { value: this.#writeHead, writable: true })
    define('write', { value: this.#write, writable: true })
    define('end', { value: this.#end, writable: true })
    define('flushHeaders', { value: this.#flushHeaders, writable: true })
    define('destroy', { value: this.#destroy, writable: true })
    define('headersSent', { get: () => this.#hasHead })
    define('writableEnded', { get: () => this.#ended })
  }

  readonly #writeHead = (status: number, reason?: string | Head, fields?: Head): ServerResponse => {
    const res = this.#res
    res.statusCode = status
    if (typeof reason === 'string') res.statusMessage = reason
    setFields(res, typeof reason === 'object' ? reason : fields)
    this.#head()
    return res
  }

  readonly #write = (chunk: unknown, encoding?: BufferEncoding | Done, done?: Done): boolean => {
    this.#head()
    return this.#push(chunk, encoding, done)
  }

  readonly #end = (chunk?: unknown, encoding?: BufferEncoding | Done, done?: Done): ServerResponse => {
    const [last, how, then] =
      typeof chunk === 'function' ? [undefined, undefined, chunk as Done] : [chunk, encoding, done]
    const call = typeof how === 'function' ? how : then
    if (this.#ended) return this.#res
    this.#ended = true
    this.#grace?.cancel()
    // Not begun yet: the usual answer, in one piece.
    if (!this.#queue) {
      const whole = last === undefined || last === null ? undefined : bytesOf(last, how)
      this.#hasHead = true
      this.#settle(this.#messageWith(whole))
    } else {
      if (last !== undefined && last !== null) this.#push(last, how)
      this.#queue.end()
    }
    if (call) this.#clock.endOfTick(() => call())
    return this.#res
  }

  readonly #flushHeaders = (): void => this.#head()

  readonly #destroy = (error?: Error): ServerResponse => {
    if (!this.#ended) this.#breakOff(error)
    return this.#res
  }

  #head(): void {
    if (this.#hasHead && this.#queue) return
    this.#hasHead = true
    const queue = new ChunkQueue(() => this.#res.emit('drain'))
    this.#queue = queue
    // Nothing may follow yet: handlers that write the head and then end in one go are the usual case.
    this.#clock.endOfTick(() => this.#settle(this.#messageWith(queue.wholeOrStream())))
  }

  #push(chunk: unknown, encoding?: BufferEncoding | Done, done?: Done): boolean {
    const call = typeof encoding === 'function' ? encoding : done
    const hasRoom = this.#queue?.push(bytesOf(chunk, encoding)) ?? true
    if (call) this.#clock.endOfTick(() => call())
    return hasRoom
  }

  #messageWith(body: HttpResponse['body']): HttpResponse {
    const res = this.#res
    const headers: string[] = []
    for (const name of res.getHeaderNames()) {
      const value = res.getHeader(name)
      if (value === undefined) continue
      // What says who may keep the answer counts whoever said it.
      if (value === this.#prior[name] && !isDecisive(name)) continue
      if (Array.isArray(value)) for (const one of value) headers.push(name, one)
      else headers.push(name, String(value))
    }
    return { status: res.statusCode, statusText: res.statusMessage || undefined, headers, body }
  }

  #breakOff(cause?: Error): void {
    this.#ended = true
    this.#grace?.cancel()
    const error = new BrokenOff({ cause })
    this.#fail(error)
    this.#queue?.fail(error)
  }
}

/** Fields that are part of an answer whoever set them: who may keep it, for how long, for whom, what it is. */
export const isDecisive = (name: string): boolean => DECISIVE.has(name.toLowerCase())

const DECISIVE: ReadonlySet<string> = new Set([
  'cache-control',
  'cdn-cache-control',
  'surrogate-control',
  'holdfast-cache-control',
  'surrogate-key',
  'cache-tag',
  'expires',
  'pragma',
  'vary',
  'set-cookie',
  'etag',
  'last-modified',
  'content-type',
  'content-encoding',
  'content-language',
  'content-location',
  'location',
])

const SHADOWED: readonly string[] = [
  'writeHead',
  'write',
  'end',
  'flushHeaders',
  'destroy',
  'headersSent',
  'writableEnded',
]

function bytesOf(chunk: unknown, encoding: unknown): Uint8Array {
  if (typeof chunk !== 'string') return chunk as Uint8Array // what node:http takes besides text
  return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
}

/** The fields of `writeHead`: a record, pairs, or names and values in turn. */
function setFields(res: ServerResponse, fields: Head): void {
  if (fields === undefined || fields === null) return
  const lines = Array.isArray(fields) ? pairs(fields) : Object.entries(fields)
  const seen = new Set<string>()
  for (const [name, value] of lines) {
    if (value === undefined) continue
    const given = typeof value === 'number' ? String(value) : value
    const lower = String(name).toLowerCase()
    if (seen.has(lower)) res.appendHeader(String(name), given)
    else res.setHeader(String(name), given)
    seen.add(lower)
  }
}

function pairs(list: readonly unknown[]): [string, OutgoingHttpHeader][] {
  const flat = list.length > 0 && Array.isArray(list[0]) ? list.flat() : list
  const out: [string, OutgoingHttpHeader][] = []
  for (let at = 0; at + 1 < flat.length; at += 2) {
    out.push([String(flat[at]), flat[at + 1] as OutgoingHttpHeader])
  }
  return out
}
