import { join } from 'node:path'
import { type Holdfast, HoldfastError } from 'holdfast'
import { applyBatch, type Queue, type QueueOptions, type QueueStats, QueueUncertain } from 'holdfast/queue'
import { customerInfo } from './customer-info.ts'
import { type Database, type Message, type StatusChange, saveCustomers } from './database.ts'

export interface BackgroundOptions {
  /** Of this process: holds what is taken while Redis is away; without Redis, all that waits. */
  directory?: string | undefined
  /** Where to write. Without it this process only takes, and workers write. */
  database?: Database | undefined
}

/** What happens behind the answer: messages and states, each in order per chat, over all workers. */
export class Background {
  readonly #messages: Queue<Message>
  readonly #statuses: Queue<StatusChange>

  constructor(hf: Pick<Holdfast, 'queue'>, { directory, database }: BackgroundOptions) {
    const keep = (name: string): Pick<QueueOptions<never>, 'whenDown' | 'spill'> =>
      directory ? { whenDown: 'spill', spill: { directory: join(directory, name) } } : {}
    this.#messages = hf.queue<Message>('messages', {
      ...keep('messages'),
      batch: 250,
      id: ({ id }) => id,
      orderBy: ({ chat }) => chat,
      handle: database && savesMessages(database),
    })
    this.#statuses = hf.queue<StatusChange>('statuses', {
      ...keep('statuses'),
      batch: 250,
      coalesce: ({ chat }) => chat, // of the changes that wait, the last one is the state
      handle: database && savesStatuses(database),
    })
  }

  /** Resolves when the messages are safe: they will be saved, in this order, once. */
  async save(messages: readonly Message[]): Promise<void> {
    try {
      await this.#messages.addMany(messages)
    } catch (error) {
      if (!(error instanceof QueueUncertain)) throw error
      await this.#messages.addMany(messages) // perhaps they are there; by their ids they stay one
    }
  }

  /** What a chat waits for. Should it get lost, the next message of the chat says it anew. */
  setStatus(change: StatusChange): void {
    this.#statuses.add(change).catch(() => {}) // the queue counts it
  }

  /** Of each queue what waits; an error's code where the queue cannot be asked. */
  async stats(): Promise<Record<string, QueueStats | { unavailable: string }>> {
    const look = (queue: Pick<Queue<never>, 'stats'>) =>
      queue.stats().catch((error: unknown) => {
        if (error instanceof HoldfastError) return { unavailable: error.code }
        throw error
      })
    const [messages, statuses] = await Promise.all([look(this.#messages), look(this.#statuses)])
    return { messages, statuses }
  }
}

/** One statement for a batch; what visitors told about themselves is found and saved with it. */
const savesMessages = ({ pool }: Database) =>
  applyBatch<Message>({
    db: pool,
    table: 'messages',
    id: 'id',
    columns: {
      chat: ({ body }) => body.chat,
      sender: ({ body }) => body.sender,
      body: ({ body }) => body.body,
      at: ({ body }) => body.at,
    },
    async also(tx, fresh) {
      const found = fresh.flatMap(({ body: { chat, sender, body } }) => {
        const info = sender === 'visitor' ? customerInfo(body) : undefined
        return info ? [{ chat, ...info }] : []
      })
      if (found.length > 0) await saveCustomers(tx, found)
    },
  })

/** However late an older state comes, it never overwrites a newer one. */
const savesStatuses = ({ pool }: Database) =>
  applyBatch<StatusChange>({
    db: pool,
    table: 'chat_sessions',
    id: 'id',
    key: ({ body }) => body.chat,
    columns: { status: ({ body }) => body.status, status_at: ({ body }) => body.at },
    onConflict: 'update',
    newest: 'status_at',
  })
