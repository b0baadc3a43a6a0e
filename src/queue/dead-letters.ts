import type { Letter, QueueBackend } from './backend.ts'
import { readLetter } from './letter-text.ts'
import type { DeadLetter } from './options.ts'

export interface DeadLettersSetup {
  readonly backend: QueueBackend
  /** Puts the message of a letter into the queue again, under its id; resolves when it is durable. */
  replay(letter: Letter): Promise<void>
}

/** Letters of one page when all are asked for. */
const PAGE = 100

/** The messages that were given up. They stay until replayed or dropped. */
export class DeadLetters<T> {
  readonly #setup: DeadLettersSetup

  constructor(setup: DeadLettersSetup) {
    this.#setup = setup
  }

  /** Oldest first. @param count default 100 */
  async list({ offset = 0, count = PAGE } = {}): Promise<DeadLetter<T>[]> {
    const { backend } = this.#setup
    await backend.open()
    return (await backend.letters(offset, count)).map((letter) => readLetter<T>(letter))
  }

  /** One dead letter by the id of its message; undefined: there is none. */
  async get(id: string): Promise<DeadLetter<T> | undefined> {
    const { backend } = this.#setup
    await backend.open()
    const letter = await backend.letter(id)
    return letter && readLetter<T>(letter)
  }

  /**
   * Adds messages to the queue again, at its end, under the same ids, and forgets their letters once
   * that is durable. Answers how many there were.
   */
  replay(ids: readonly string[] | 'all'): Promise<number> {
    return this.#each(ids, (letter) => this.#setup.replay(letter))
  }

  /** Forgets letters for good. Answers how many there were. */
  drop(ids: readonly string[] | 'all'): Promise<number> {
    return this.#each(ids, async () => {})
  }

  async #each(ids: readonly string[] | 'all', act: (letter: Letter) => Promise<void>): Promise<number> {
    const { backend } = this.#setup
    await backend.open()
    if (ids !== 'all') {
      const letters = await Promise.all(ids.map((id) => backend.letter(id)))
      return this.#page(
        letters.flatMap((letter) => letter ?? []),
        act,
      )
    }
    // Those that die again meanwhile come behind these.
    let left = (await backend.stats()).dead
    let count = 0
    while (left > 0) {
      const letters = await backend.letters(0, Math.min(PAGE, left))
      if (letters.length === 0) break
      count += await this.#page(letters, act)
      left -= letters.length
    }
    return count
  }

  async #page(letters: readonly Letter[], act: (letter: Letter) => Promise<void>): Promise<number> {
    await Promise.all(letters.map(act))
    const removed = await this.#setup.backend.unbury(letters.map(({ id }) => id))
    return removed.filter(Boolean).length
  }
}
