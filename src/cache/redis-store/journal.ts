import type { Invalidation } from '../store.ts'

interface Line {
  readonly soft: boolean
  /** When it was written, by this journal's own count. */
  readonly order: number
}

/** One coalesced batch, as it is replayed. */
export interface JournalBatch {
  readonly order: number
  readonly all: boolean
  readonly hard: { readonly keys: readonly string[]; readonly tags: readonly string[] }
  readonly soft: { readonly keys: readonly string[]; readonly tags: readonly string[] }
}

/**
 * Invalidations that the server did not confirm. Until they are replayed, this process does not
 * believe the server about the names in it. Coalescing: a hundred thousand deletes of one key are
 * one line. Lives in memory: it does not survive the process.
 */
export class Journal {
  #order = 0
  #all = 0
  readonly #keys = new Map<string, Line>()
  readonly #tags = new Map<string, Line>()
  #waiters: { readonly order: number; readonly wake: () => void }[] = []

  get size(): number {
    return this.#keys.size + this.#tags.size + (this.#all > 0 ? 1 : 0)
  }

  /** Resolves once this invalidation was confirmed by a replay. */
  add(what: Invalidation): Promise<void> {
    const order = ++this.#order
    if (what.all) this.#all = order
    for (const key of what.keys ?? []) write(this.#keys, key, what.soft === true, order)
    for (const tag of what.tags ?? []) write(this.#tags, tag, what.soft === true, order)
    return new Promise((wake) => this.#waiters.push({ order, wake }))
  }

  /** Whether this process must not ask the server about the key. */
  blocks(key: string, tags: readonly string[]): boolean {
    if (this.#all > 0 || this.#keys.has(key)) return true
    return this.#tags.size > 0 && tags.some((tag) => this.#tags.has(tag))
  }

  snapshot(): JournalBatch {
    return {
      order: this.#order,
      all: this.#all > 0,
      hard: { keys: pick(this.#keys, false), tags: pick(this.#tags, false) },
      soft: { keys: pick(this.#keys, true), tags: pick(this.#tags, true) },
    }
  }

  /** The batch was confirmed; what was added after it was taken stays for the next one. */
  settle(batch: JournalBatch): void {
    if (this.#all <= batch.order) this.#all = 0
    for (const names of [this.#keys, this.#tags]) {
      for (const [name, line] of names) if (line.order <= batch.order) names.delete(name)
    }
    const waiters = this.#waiters
    this.#waiters = waiters.filter((waiter) => waiter.order > batch.order)
    for (const waiter of waiters) if (waiter.order <= batch.order) waiter.wake()
  }
}

/** A hard invalidation is not weakened by a later soft one. */
function write(names: Map<string, Line>, name: string, soft: boolean, order: number): void {
  names.set(name, { soft: soft && names.get(name)?.soft !== false, order })
}

function pick(names: Map<string, Line>, soft: boolean): string[] {
  const picked: string[] = []
  for (const [name, line] of names) if (line.soft === soft) picked.push(name)
  return picked
}
