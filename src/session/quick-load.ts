import { Lru } from '../memory/lru.ts'
import type { RedisPort } from '../redis/port.ts'
import { served } from '../redis/served.ts'
import { GONE, list, storedOf, tagOf } from './replies.ts'
import type { LoadReply, Owner, Place } from './store.ts'

/** Touches that are due this often make a look without one a detour. */
const SELDOM_MS = 1_000
const MAX_SEEN = 20_000

/** Whose a session was when it was seen last; '' = nobody's. */
interface Seen {
  readonly index: string
}

/**
 * Loads a session that this process has seen before by plain commands, sent together: one round trip,
 * and a fraction of the server's work of the script that does the same. They are not one step, so
 * their order matters: life, fields, then whether the user's index lists it. What was ended, replaced
 * or revoked before the first of them is seen by the last; what happens between them makes the answer
 * odd. Whatever is odd, and each touch that is due, is left to the script.
 */
export class QuickLoads {
  readonly #redis: RedisPort
  readonly #deadlineMs: number
  readonly #cluster: boolean
  /** By session key: what to ask for in the same trip. */
  readonly #seen = new Lru<Seen>({ maxEntries: MAX_SEEN, maxBytes: MAX_SEEN })

  constructor(redis: RedisPort, deadlineMs: number) {
    this.#redis = redis
    this.#deadlineMs = deadlineMs
    this.#cluster = redis.topology === 'cluster'
  }

  /** A session as the script answered, or was told to make it. */
  saw(key: string, owner: Owner | undefined): void {
    // Its index lies elsewhere: no one trip looks at both.
    if (owner && this.#cluster && tagOf(key) !== tagOf(owner.index)) this.#seen.delete(key)
    else if (this.#seen.get(key)?.index !== (owner?.index ?? '')) {
      this.#seen.set(key, { index: owner?.index ?? '' }, 1)
    }
  }

  /** `undefined`: ask the script. */
  async find({ key, member }: Place, touchEveryMs: number): Promise<LoadReply | undefined> {
    const index = this.#seen.get(key)?.index
    if (index === undefined || (touchEveryMs >= 0 && touchEveryMs < SELDOM_MS)) return undefined
    const { life, fields, isListed, now } = await served(
      this.#redis,
      key,
      this.#deadlineMs,
      async (node, deadline) => {
        const [life, fields, isListed] = await Promise.all([
          node.send(['PTTL', key], { deadline }),
          node.send(['HGETALL', key], { deadline }),
          index === '' ? 1 : node.send(['HEXISTS', index, member], { deadline }),
        ])
        return { life: Number(life), fields: list(fields), isListed, now: node.serverNow() }
      },
    )
    if (fields.length === 0) {
      this.#seen.delete(key)
      return GONE
    }
    const stored = storedOf(fields, now, now + life)
    const { idleMs, endsAt, owner } = stored
    const isOdd =
      !(life > 0 && idleMs > 0 && endsAt > now) || isListed !== 1 || (owner?.index ?? '') !== index
    const gain = Math.abs(Math.min(idleMs, endsAt - now) - life)
    if (isOdd || (touchEveryMs >= 0 && gain >= touchEveryMs)) return undefined
    return { state: 'found', stored }
  }
}
