import { createHash } from 'node:crypto'
import { InvalidOption } from './errors.ts'

interface Entry<T> {
  readonly thing: T
  /** Digest of each option that it was made with: options hold secrets. */
  readonly said: ReadonlyMap<string, string>
}

const MOST = 10_000

/**
 * Things that are made once per name and handed out again. A later call may leave options out; what
 * it gives has to be what the first one gave. Functions and schemas count as given or not, for closures
 * that mean the same are never equal. Keeps the 10,000 that were used last.
 */
export class Registry<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #what: string

  /** @param what how the caller writes it, e.g. `hf.sessions()` */
  constructor(what: string) {
    this.#what = what
  }

  /** @throws InvalidOption when an option contradicts the one that it was made with */
  obtain(name: string, options: object, make: () => T): T {
    const known = this.#entries.get(name)
    const given = Object.entries(options).filter(([, value]) => value !== undefined)
    if (known) {
      for (const [option, value] of given) {
        if (known.said.get(option) === digest(value)) continue
        throw new InvalidOption(
          `${this.#what} was called before for the same name with another '${option.slice(0, 40)}'`,
          'give the options once and share what it returns, leave them out later, or use another name',
        )
      }
      this.#keep(name, known)
      return known.thing
    }
    const thing = make()
    this.#keep(name, { thing, said: new Map(given.map(([option, value]) => [option, digest(value)])) })
    return thing
  }

  *entries(): IterableIterator<[name: string, thing: T]> {
    for (const [name, { thing }] of this.#entries) yield [name, thing]
  }

  *values(): IterableIterator<T> {
    for (const { thing } of this.#entries.values()) yield thing
  }

  /** As the one used last. */
  #keep(name: string, entry: Entry<T>): void {
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    if (this.#entries.size <= MOST) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      break
    }
  }
}

/** The same for equal plain data, whatever the order of its keys; no way back to it. */
export function digest(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value, plain) ?? 'undefined')
    .digest('base64url')
}

function plain(_: string, value: unknown): unknown {
  if (typeof value === 'function') return 'function'
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  // A schema, say: compared as little as a function.
  const kind: unknown = Object.getPrototypeOf(value)
  if ('~standard' in value || (kind !== null && kind !== Object.prototype)) return 'object'
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
