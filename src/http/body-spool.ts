import { toBuffer } from './body.ts'

/** A body ended before its Content-Length said so. */
export class BodyCut extends Error {
  constructor() {
    super('the body is not as long as its Content-Length says')
    this.name = 'BodyCut'
  }
}

/** Bytes of a body on their way to one client and, up to a bound, into the cache. */
export class BodySpool {
  /** Everything, once it all came; undefined when it is more than `limit`. Rejects when the source fails. */
  readonly whole: Promise<Buffer | undefined>
  readonly #chunks: Buffer[] = []
  readonly #limit: number
  readonly #expected: number | undefined
  #size = 0
  /** Index of the first chunk in `#chunks`; rises once chunks are dropped behind the reader. */
  #base = 0
  #keeps = true
  #hasReader = true
  #ended: { readonly error: unknown } | undefined
  #settle!: (whole: Buffer | undefined) => void
  #fail!: (error: unknown) => void
  #wakeReader: (() => void) | undefined
  #wakePump: (() => void) | undefined
  #readAt = 0

  constructor(source: AsyncIterable<Uint8Array | string>, limit: number, expected: number | undefined) {
    this.#limit = limit
    this.#expected = expected
    this.whole = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
    this.whole.catch(() => {})
    void this.#pump(source)
  }

  /** For the one client. Ending it early means that the rest is not wanted. */
  reader(): AsyncIterableIterator<Uint8Array> {
    const reader: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => reader,
      next: () => this.#next(),
      // Also called before the first `next`, which a generator would not notice.
      return: () => {
        this.leave()
        return Promise.resolve({ done: true, value: undefined })
      },
    }
    return reader
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const chunk = this.#chunks[this.#readAt - this.#base]
      if (chunk !== undefined) {
        this.#readAt++
        if (!this.#keeps) this.#dropRead()
        return { done: false, value: chunk }
      }
      if (this.#ended) {
        if (this.#ended.error !== undefined) throw this.#ended.error
        return { done: true, value: undefined }
      }
      if (!this.#hasReader) return { done: true, value: undefined }
      this.#wakePump?.()
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
  }

  /** Nobody reads: what is too large for the cache is not even fetched. */
  leave(): void {
    this.#hasReader = false
    if (!this.#keeps) this.#chunks.length = 0
    this.#wakePump?.()
    this.#wakeReader?.()
  }

  /** Gives up on storing it. */
  forget(): void {
    if (!this.#keeps || this.#ended) return
    this.#keeps = false
    this.#dropRead()
    this.#settle(undefined)
    this.#wakePump?.()
  }

  async #pump(source: AsyncIterable<Uint8Array | string>): Promise<void> {
    try {
      for await (const chunk of source) {
        const bytes = toBuffer(chunk)
        if (bytes.length === 0) continue
        this.#size += bytes.length
        this.#chunks.push(bytes)
        if (this.#size > this.#limit) this.forget()
        this.#wakeReader?.()
        while (!this.#keeps && this.#hasReader && this.#chunks.length > 0) {
          await new Promise<void>((resolve) => {
            this.#wakePump = resolve
          })
        }
        if (!this.#keeps && !this.#hasReader) break
      }
      const isCut = this.#hasAll() ? undefined : new BodyCut()
      this.#end(isCut)
    } catch (error) {
      this.#end(error ?? new Error('the body failed'))
    }
  }

  #hasAll(): boolean {
    if (!this.#keeps && !this.#hasReader) return true
    return this.#expected === undefined || this.#size === this.#expected
  }

  #end(error: unknown): void {
    this.#ended = { error }
    if (error !== undefined) this.#fail(error)
    else this.#settle(this.#keeps ? Buffer.concat(this.#chunks) : undefined)
    this.#wakeReader?.()
  }

  #dropRead(): void {
    const read = this.#readAt - this.#base
    this.#chunks.splice(0, read)
    this.#base = this.#readAt
    if (!this.#hasReader) this.#chunks.length = 0
  }
}
