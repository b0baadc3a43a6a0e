import type { Output } from './io.ts'

const WIDTH = 24
const EVERY_MS = 100

/** One line on a terminal that says how far a long work is; silent in pipes. */
export class Progress {
  readonly #out: Output
  readonly #what: string
  #last = 0
  #shown = false

  constructor(out: Output, what: string) {
    this.#out = out
    this.#what = what
  }

  /** @param total unknown where undefined */
  at(done: number, total?: number): void {
    if (!this.#out.isTTY) return
    const now = performance.now()
    if (now - this.#last < EVERY_MS && done !== total) return
    this.#last = now
    this.#shown = true
    this.#out.write(`\r\u001b[K${this.#what} ${bar(done, total)}`)
  }

  /** For work that does not tell how far it is. */
  begin(): void {
    if (!this.#out.isTTY) return
    this.#shown = true
    this.#out.write(`\r\u001b[K${this.#what} …`)
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) this.#out.write('\r\u001b[K')
    this.#shown = false
  }
}

function bar(done: number, total: number | undefined): string {
  if (!total) return done.toLocaleString('en')
  const share = Math.min(1, done / total)
  const full = Math.round(share * WIDTH)
  return `[${'#'.repeat(full)}${'.'.repeat(WIDTH - full)}] ${Math.floor(share * 100)} % ${done.toLocaleString('en')} of ${total.toLocaleString('en')}`
}
