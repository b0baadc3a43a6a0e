import type { RedisNode } from '../../redis/port.ts'
import type { StoreTime } from './store-time.ts'

/** Above this share of maxmemory, a server that does not evict keeps the rest for what must not be lost. */
const CACHE_SHARE = 0.75
const LOOK_EVERY_MS = 1_000

interface Look {
  at: number
  tight: boolean
}

/**
 * Where cache and data share one server with `noeviction`, every byte that the cache takes is one
 * that a queue, a session or a lock is refused. So the cache stops filling before the server is
 * full: a counted bypass. On a server that evicts, or has no limit, this does nothing.
 */
export class MemoryGuard {
  readonly #time: StoreTime
  readonly #deadline: number
  readonly #looks = new Map<RedisNode, Look>()

  constructor(time: StoreTime, deadline: number) {
    this.#time = time
    this.#deadline = deadline
  }

  /** By the last look, at most about a second old; looks again in the background, never waits. */
  isTight(node: RedisNode): boolean {
    let look = this.#looks.get(node)
    if (look === undefined) {
      look = { at: Number.NEGATIVE_INFINITY, tight: false }
      this.#looks.set(node, look)
    }
    if (this.#time.now() - look.at > LOOK_EVERY_MS) {
      look.at = this.#time.now()
      void this.#look(node, look)
    }
    return look.tight
  }

  forget(node: RedisNode): void {
    this.#looks.delete(node)
  }

  async #look(node: RedisNode, look: Look): Promise<void> {
    try {
      const info = String(await node.send(['INFO', 'memory'], { deadline: this.#deadline }))
      const limit = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0)
      const used = Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0)
      const evicts = !/^maxmemory_policy:noeviction/m.test(info)
      look.tight = limit > 0 && !evicts && used > CACHE_SHARE * limit
    } catch {
      // A server that does not answer, or does not say, refuses for itself.
      look.tight = false
    }
  }
}
