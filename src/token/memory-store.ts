import type { Clock } from '../base/clock.ts'
import { type NameBatch, scanNames } from '../base/name-scan.ts'
import type { Random } from '../base/random.ts'
import { Locks } from '../lock/locks.ts'
import { Lru } from '../memory/lru.ts'
import { runAlone } from './alone.ts'
import type { DropReply, TokenLease, TokenState, TokenStore, TokenWrite } from './store.ts'

interface Kept {
  token?: { body: string; version: string; until: number; obtained: number } | undefined
  grant?: { text: string; until: number } | undefined
  dead?: { error: string; until: number } | undefined
  pause?: { failures: number; until: number } | undefined
  noDropUntil: number
  fence: number
}

/** Users of one process whose tokens are kept; the least used make room. */
const MAX_ENTRIES = 100_000
const ENTRY_BYTES = 2_048

/** Tokens in process memory, by the rules of the scripts for Redis. */
export class MemoryTokenStore implements TokenStore {
  readonly shared = false
  readonly clock: Clock
  readonly random: Random
  readonly #locks: Locks
  readonly #kept = new Lru<Kept>({ maxEntries: MAX_ENTRIES, maxBytes: MAX_ENTRIES * ENTRY_BYTES })

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
    this.#locks = new Locks({ clock, random })
  }

  async read(key: string): Promise<TokenState> {
    const now = this.clock.mono()
    const kept = this.#kept.get(key)
    const { token, grant, dead, pause } = kept ?? {}
    return {
      token:
        token && token.until > now
          ? {
              body: token.body,
              version: token.version,
              leftMs: token.until - now,
              ageMs: now - token.obtained,
            }
          : undefined,
      grant: grant && grant.until > now ? grant.text : undefined,
      dead: dead && dead.until > now ? dead.error : undefined,
      deadLeftMs: dead ? Math.max(0, dead.until - now) : 0,
      pause: pause && pause.until > now ? { leftMs: pause.until - now, failures: pause.failures } : undefined,
    }
  }

  async write(key: string, fence: number, write: TokenWrite): Promise<boolean> {
    const now = this.clock.mono()
    const kept = this.#kept.get(key) ?? { noDropUntil: 0, fence: 0 }
    if (kept.fence > fence) return false
    kept.fence = fence
    switch (write.kind) {
      case 'token': {
        const { body, version, usableMs, ageMs, grantMs } = write
        kept.token = { body, version, until: now + usableMs, obtained: now - ageMs }
        const text = write.grant ?? kept.grant?.text
        if (text !== undefined && grantMs > 0) kept.grant = { text, until: now + grantMs }
        kept.dead = undefined
        kept.pause = undefined
        break
      }
      case 'grant':
        kept.token = undefined
        kept.dead = undefined
        kept.pause = undefined
        kept.grant = { text: write.grant, until: now + write.grantMs }
        break
      case 'dead':
        kept.grant = undefined
        kept.pause = undefined
        kept.dead = { error: write.error, until: now + write.forMs }
        break
      case 'pause':
        kept.pause = { failures: write.failures, until: now + write.forMs }
        break
    }
    this.#kept.set(key, kept, ENTRY_BYTES)
    return true
  }

  async drop(key: string, version: string, everyMs: number): Promise<DropReply> {
    const kept = this.#kept.get(key)
    const now = this.clock.mono()
    if (kept?.token?.version !== version) return 'other'
    if (kept.noDropUntil > now) return 'too-soon'
    kept.token = undefined
    kept.noDropUntil = now + everyMs
    return 'dropped'
  }

  async forget(key: string): Promise<void> {
    this.#kept.delete(key)
  }

  scan(glob: string, from: string | undefined): AsyncIterable<NameBatch> {
    return scanNames(
      () => this.#kept.keys(),
      `*{${glob}}`,
      () => true,
      from,
    )
  }

  alone<T>(key: string, waitMs: number, run: (lease: TokenLease) => Promise<T>): Promise<T | undefined> {
    return runAlone(this.#locks, key, waitMs, run)
  }

  async close(): Promise<void> {
    this.#locks.close()
    this.#kept.clear()
  }
}
