import { type Cache, MutationNotAcknowledged } from 'holdfast'
import type { Chat, Database } from './database.ts'

/** The rows of `chat_sessions`, read once per ttl instead of once per message. */
export class ChatCache {
  readonly #cache: Cache
  readonly #rows: Pick<Database, 'findChat' | 'setCheckReply'>

  constructor(cache: Cache, rows: Pick<Database, 'findChat' | 'setCheckReply'>) {
    this.#cache = cache
    this.#rows = rows
  }

  /** Undefined: there is no such chat. */
  async find(id: string): Promise<Chat | undefined> {
    return this.#cache.getOrSet(keyOf(id), () => this.#rows.findChat(id), {
      ttl: '1m',
      negativeTtl: '5s',
      // Kept longer only for a database that does not answer: fresh is asked for first.
      stale: '10m',
      timeout: { soft: false, hard: '5s' },
    })
  }

  /**
   * Writes the flag through: while the transaction runs nobody caches the chat, once it is committed
   * the old value is gone in every process, and the new one is cached before the operator has his
   * answer. So the message that comes next sees it, and finds it without asking the database.
   * `confirmed` false: it is committed, but Redis did not say that all processes know of it.
   */
  async setCheckReply(id: string, value: boolean): Promise<{ chat: Chat | undefined; confirmed: boolean }> {
    let confirmed = true
    const change = this.#cache.mutate({ keys: [keyOf(id)] }, () => this.#rows.setCheckReply(id, value))
    const chat = await change.catch((error: unknown) => {
      if (!(error instanceof MutationNotAcknowledged)) throw error
      confirmed = false
      return error.result as Chat | undefined
    })
    if (chat) await this.find(id).catch(() => {}) // a courtesy to the next message, which would load it too
    return { chat, confirmed }
  }
}

const keyOf = (id: string): string => `chat_session:${id}`
