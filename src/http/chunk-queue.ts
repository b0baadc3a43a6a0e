/** As much as node:http itself buffers before it asks a writer to wait. */
const ROOM = 65_536

/** Chunks on their way from a writer that pushes to a reader that pulls, with back-pressure. */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #drained: () => void
  #chunks: Uint8Array[] = []
  #size = 0
  #isFull = false
  #isAbandoned = false
  #end: 'open' | 'ended' | { readonly error: Error } = 'open'
  #wake: (() => void) | undefined

  /** `drained` is called when a full queue has room again. */
  constructor(drained: () => void) {
    this.#drained = drained
  }

  /** False: full, wait for `drained`. */
  push(chunk: Uint8Array): boolean {
    if (this.#end !== 'open' || this.#isAbandoned || chunk.length === 0) return true
    this.#chunks.push(chunk)
    this.#size += chunk.length
    this.#wake?.()
    this.#isFull = this.#size >= ROOM
    return !this.#isFull
  }

  end(): void {
    if (this.#end === 'open') this.#end = 'ended'
    this.#wake?.()
  }

  fail(error: Error): void {
    if (this.#end === 'open') this.#end = { error }
    this.#wake?.()
  }

  /** Where the writer has ended already: its bytes in one piece. Else the queue itself. */
  wholeOrStream(): Uint8Array | undefined | this {
    if (this.#end !== 'ended') return this
    return this.#chunks.length === 0 ? undefined : Buffer.concat(this.#chunks)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        while (this.#chunks.length > 0) {
          const chunk = this.#chunks.shift()!
          this.#size -= chunk.length
          if (this.#isFull && this.#size < ROOM / 2) {
            this.#isFull = false
            this.#drained()
          }
          yield chunk
        }
        if (this.#end === 'ended') return
        if (this.#end !== 'open') throw this.#end.error
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    } finally {
      // The reader has had enough: the writer must not wait for it.
      this.#isAbandoned = true
      this.#chunks = []
      if (this.#isFull) this.#drained()
    }
  }
}
