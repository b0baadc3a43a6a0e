import type { Clock } from '../base/clock.ts'
import type { Cache } from '../cache/cache.ts'
import { Lru } from '../memory/lru.ts'
import type { Ask } from './ask.ts'
import { variantDigest } from './vary.ts'

/** How long requests for a key whose answers were for one client each do not queue for one another. */
const ALONE_MS = 10_000
/** Then variants are counted anew: most of those that were seen are gone by then. */
const VARIANTS_MS = 3_600_000
const MAX_KEYS = 10_000
const MAX_NAMES = 2_000

/** What this process remembers of keys beside what is stored. Forgetting it costs time, never truth. */
export class Recollection {
  readonly #names = new Map<string, string>()
  readonly #clock: Clock
  readonly #maxVariants: number
  readonly #alone = new Lru<{ readonly until: number }>({ maxEntries: MAX_KEYS, maxBytes: MAX_KEYS })
  readonly #variants = new Lru<{ readonly until: number; readonly digests: Set<string> }>({
    maxEntries: MAX_KEYS,
    maxBytes: MAX_KEYS,
  })

  constructor(clock: Clock, maxVariants: number) {
    this.#clock = clock
    this.#maxVariants = maxVariants
  }

  /** The name of a key in the store; those with a query take longer to write than to remember. */
  nameOf(cache: Cache, key: string): string {
    let name = this.#names.get(key)
    if (name === undefined) {
      name = cache.nameOf(key)
      if (this.#names.size >= MAX_NAMES) this.#names.clear()
      this.#names.set(key, name)
    }
    return name
  }

  /** Whether the last answer was for its one client only: then waiting for another's load is in vain. */
  isAlone(ask: Ask, key: string): boolean {
    const known = this.#alone.get(aloneKey(ask, key))
    return known !== undefined && known.until > this.#clock.mono()
  }

  rememberAlone(ask: Ask, key: string): void {
    this.#alone.set(aloneKey(ask, key), { until: this.#clock.mono() + ALONE_MS }, 1)
  }

  /** Notes a variant of the URL. False: it has as many as it may have. */
  admits(ask: Ask, names: readonly string[], values: readonly (string | null)[]): boolean {
    const digest = variantDigest(names, values)
    const now = this.#clock.mono()
    let known = this.#variants.get(ask.key)
    if (known === undefined || known.until <= now) {
      known = { until: now + VARIANTS_MS, digests: new Set() }
      this.#variants.set(ask.key, known, 1)
    }
    const { digests } = known
    if (!digests.has(digest) && digests.size >= this.#maxVariants) return false
    digests.add(digest)
    return true
  }
}

/** What holds for those who log in says nothing about the others. */
function aloneKey(ask: Ask, key: string): string {
  return ask.hasAuthorization ? `${key} a` : key
}
