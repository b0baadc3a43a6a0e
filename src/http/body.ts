import type { HttpBody, HttpReply } from './message.ts'

/** A body in one piece or in pieces; undefined = none. */
export function bodyOf(body: HttpBody): HttpReply['body'] {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return Buffer.from(body)
  return body instanceof Uint8Array ? body : new Pieces(body)
}

/** Tells the source of a body that nobody will read it. Whatever goes wrong with it then is no news. */
export function cancelBody(body: HttpReply['body']): void {
  if (body === undefined || body instanceof Uint8Array) return
  void body[Symbol.asyncIterator]()
    .return?.()
    .then(undefined, () => {})
}

export function toBuffer(bytes: Uint8Array | string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes)
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The chunks of a stream as bytes. Unlike a generator it can be ended before it was begun. */
class Pieces implements AsyncIterableIterator<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array | string>
  #inner: AsyncIterator<Uint8Array | string> | undefined

  constructor(source: AsyncIterable<Uint8Array | string>) {
    this.#source = source
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    this.#inner ??= this.#source[Symbol.asyncIterator]()
    const step = await this.#inner.next()
    return step.done ? { done: true, value: undefined } : { done: false, value: toBuffer(step.value) }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    // Streams of Node and of the web have a word for it; their iterators end nothing before the first read.
    const source = this.#source as { destroy?: () => void; cancel?: () => Promise<void> }
    if (this.#inner) await this.#inner.return?.()
    else if (typeof source.destroy === 'function') source.destroy()
    else if (typeof source.cancel === 'function') await source.cancel()
    return { done: true, value: undefined }
  }
}
