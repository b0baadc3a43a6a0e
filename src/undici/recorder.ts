import { Writable } from 'node:stream'

/**
 * Collects a body up to a bound. Only a body that was ended is handed on: one that was aborted, or
 * grew too large, leaves nothing behind.
 */
export class Recorder extends Writable {
  readonly #limit: number
  readonly #complete: (body: Buffer) => Promise<void>
  readonly #dropped: (why: 'aborted' | 'too-large') => void
  #chunks: Buffer[] = []
  #bytes = 0
  #isOver = false

  constructor(
    limit: number,
    complete: (body: Buffer) => Promise<void>,
    dropped: (why: 'aborted' | 'too-large') => void,
  ) {
    super({ decodeStrings: true })
    this.#limit = limit
    this.#complete = complete
    this.#dropped = dropped
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#limit) {
      this.#isOver = true
      // Without an error: a response that is not kept is no fault.
      this.destroy()
      done()
      return
    }
    // The parser may use the memory of a chunk again.
    this.#chunks.push(Buffer.from(chunk))
    done()
  }

  override _final(done: (error?: Error) => void): void {
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#chunks = []
    this.#complete(body).then(
      () => done(),
      () => done(),
    )
  }

  override _destroy(_: Error | null, done: (error?: Error) => void): void {
    this.#chunks = []
    if (!this.writableFinished) this.#dropped(this.#isOver ? 'too-large' : 'aborted')
    // The cause is the request's own, and told there.
    done()
  }
}
