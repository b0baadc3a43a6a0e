import { type Holdfast, HoldfastError, type Session, type Sessions } from 'holdfast'
import type { Plan } from './bot.ts'
import type { Message } from './database.ts'

export type Line = Pick<Message, 'id' | 'sender' | 'body' | 'at'>

/** What the bot remembers between two messages. No row of the database depends on it. */
interface State {
  plan?: Plan
  /** The last ones, so that a page that comes back shows also what is not saved yet. */
  lines: Line[]
}

/** Lines of a conversation. */
export const REMEMBERED = 20

/**
 * The state of each conversation, in a session: shared by all servers, over restarts, and gone by
 * itself half an hour after the last word. Without Redis a server hands out what it loaded a moment
 * ago, or begins anew: the visitor is answered, the bot may ask again.
 */
export class Conversations {
  readonly #sessions: Sessions<State>

  constructor(hf: Pick<Holdfast, 'sessions'>) {
    this.#sessions = hf.sessions<State>('chat', {
      idle: '30m',
      absolute: '24h',
      onUnavailable: 'readonly',
      deadline: '1s',
      maxBytes: 256 * 1024,
    })
  }

  async of(chat: string): Promise<Conversation> {
    const session = await withoutRedis(() => this.#sessions.load(chat))
    return new Conversation(this.#sessions, chat, session)
  }
}

export class Conversation {
  readonly #sessions: Sessions<State>
  readonly #chat: string
  readonly #session: Session<State> | undefined

  constructor(sessions: Sessions<State>, chat: string, session: Session<State> | undefined) {
    this.#sessions = sessions
    this.#chat = chat
    this.#session = session
  }

  get plan(): Plan | undefined {
    return this.#session?.data.plan
  }

  get lines(): readonly Line[] {
    return this.#session?.data.lines ?? []
  }

  /** Adds lines and says how the plan goes on. */
  async remember(lines: readonly Line[], plan: Plan | undefined): Promise<void> {
    const all = [...this.lines, ...lines].slice(-REMEMBERED)
    const session = this.#session
    await withoutRedis<unknown>(() =>
      session
        ? this.#sessions.update(session, { lines: all, plan })
        : this.#sessions.createAs(this.#chat, { lines: all, ...(plan && { plan }) }),
    )
  }
}

/** A conversation without its state goes on; what is no trouble of the store's is thrown. */
async function withoutRedis<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof HoldfastError) return undefined
    throw error
  }
}
