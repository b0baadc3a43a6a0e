import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Background } from './background.ts'
import { botAnswer } from './bot.ts'
import type { ChatCache } from './chat-cache.ts'
import { type Conversations, type Line, REMEMBERED } from './conversation.ts'
import type { Database, Message } from './database.ts'

export interface Incoming {
  /** Made by the page; the same one again is the same message again. */
  id: string
  text: string
}

export interface Receipt {
  /** Undefined while a person answers. */
  reply: string | undefined
  /** Resolves when the bot has it in mind: the next message of the chat waits for that, the answer does not. */
  settled: Promise<void>
}

export interface Joined {
  check_reply: boolean
  lines: Pick<Line, 'id' | 'sender' | 'body'>[]
}

/** What is asked for is not there. */
export class UnknownChat extends Error {
  constructor() {
    super('there is no such chat')
  }
}

const PATIENCE_MS = 100

/** Names a chat and opens it: whoever knows it may speak in it. */
export const CHAT_ID = /^[\w-]{24}$/

/** The service layer: what a socket or a route asks for, in terms of cache, memory and queues. */
export class ChatService {
  readonly #chats: ChatCache
  readonly #conversations: Conversations
  readonly #background: Pick<Background, 'save' | 'setStatus'>
  readonly #database: Pick<Database, 'openChat' | 'messages'>

  constructor(parts: {
    chats: ChatCache
    conversations: Conversations
    background: Pick<Background, 'save' | 'setStatus'>
    database: Pick<Database, 'openChat' | 'messages'>
  }) {
    this.#chats = parts.chats
    this.#conversations = parts.conversations
    this.#background = parts.background
    this.#database = parts.database
  }

  async open(): Promise<string> {
    const id = randomBytes(18).toString('base64url')
    await this.#database.openChat(id)
    return id
  }

  /** @throws UnknownChat */
  async join(id: string): Promise<Joined> {
    const [{ check_reply }, conversation] = await this.#look(id)
    const lines = await this.#linesOf(id, conversation.lines)
    return {
      check_reply,
      lines: lines.map(({ id: full, sender, body }) => ({ id: pageId(id, full), sender, body })),
    }
  }

  /**
   * What was said last: the memory has what is not saved yet, the table what was said while there was
   * no memory. A table that takes its time is waited for only where the memory is empty.
   */
  async #linesOf(id: string, remembered: readonly Line[]): Promise<Line[]> {
    const saved = this.#database.messages(id, REMEMBERED)
    const known = remembered.length > 0
    if (known) saved.catch(() => {}) // the chat goes on without
    const found = await (known ? Promise.race([saved, sleep(PATIENCE_MS, [])]).catch(() => []) : saved)
    const lines = new Map([...found, ...remembered].map((line) => [line.id, line]))
    const inOrder = [...lines.values()].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
    return inOrder.slice(-REMEMBERED)
  }

  /**
   * Takes a message and answers it. When this resolves, the message will be saved, whatever dies;
   * the database has not been asked.
   * @throws UnknownChat, and what the queue refuses with
   */
  async send(id: string, { id: own, text }: Incoming): Promise<Receipt> {
    const [{ check_reply }, conversation] = await this.#look(id)
    const said = { id: `${id}.${own}`, chat: id, sender: 'visitor' as const, body: text, at: Date.now() }
    const before = conversation.lines.findIndex((line) => line.id === said.id)
    if (before >= 0) {
      const answer = conversation.lines[before + 1]
      return { reply: answer?.id === answerId(said.id) ? answer.body : undefined, settled: Promise.resolve() }
    }
    const answer = check_reply ? botAnswer(text, conversation.plan) : undefined
    const messages: Message[] = [said]
    if (answer) messages.push({ ...said, id: answerId(said.id), sender: 'bot', body: answer.text })
    await this.#background.save(messages)
    this.#background.setStatus({ chat: id, status: answer ? 'answered' : 'waiting', at: said.at })
    // Not before it is safe: what is remembered is taken for acknowledged when it comes again.
    const settled = conversation.remember(messages, answer ? answer.plan : conversation.plan)
    return { reply: answer?.text, settled }
  }

  /** An operator takes over (false) or hands back (true). @throws UnknownChat */
  async setCheckReply(id: string, value: boolean): Promise<{ check_reply: boolean; confirmed: boolean }> {
    const { chat, confirmed } = await this.#chats.setCheckReply(id, value)
    if (!chat) throw new UnknownChat()
    return { check_reply: chat.check_reply, confirmed }
  }

  async #look(id: string) {
    const [chat, conversation] = await Promise.all([
      CHAT_ID.test(id) ? this.#chats.find(id) : undefined,
      this.#conversations.of(id),
    ])
    if (!chat) throw new UnknownChat()
    return [chat, conversation] as const
  }
}

const answerId = (id: string): string => `${id}.bot`
const pageId = (chat: string, id: string): string => id.slice(chat.length + 1)
