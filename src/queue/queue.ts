import type { Clock, Timer } from '../base/clock.ts'
import { type Duration, toMs } from '../base/duration.ts'
import { Closed, InvalidOption } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Letter, ParcelLog, QueueBackend } from './backend.ts'
import type { BullmqConnection } from './bullmq/connection.ts'
import { DeadLetters } from './dead-letters.ts'
import { QueueUnavailable } from './errors.ts'
import { queueDepthEvents, tellFault } from './events.ts'
import { GroupCommit } from './group-commit.ts'
import { type Checked, Intake } from './intake.ts'
import { messageOf } from './letter-text.ts'
import type { AddManyOptions, AddOptions, Durability, QueueOptions, QueueStats } from './options.ts'
import { Outbox } from './outbox.ts'
import { ParcelOutlet } from './outlet.ts'
import { messageText } from './parcel-text.ts'
import { Pressure } from './pressure.ts'
import type { QueueSettings } from './settings.ts'
import { Staff } from './staff.ts'

export interface QueueParts<T> {
  readonly name: string
  readonly namespace: string
  readonly clock: Clock
  readonly random: Random
  readonly options: QueueOptions<T>
  readonly settings: QueueSettings
  readonly backend: QueueBackend
  readonly openLog: (() => Promise<ParcelLog>) | undefined
  bullQueues(): readonly { readonly name: string; readonly options: BullmqConnection }[]
}

function outboxOf<T>(
  parts: QueueParts<T>,
  send: (messages: readonly Checked[]) => Promise<void>,
): Outbox | undefined {
  const { clock, namespace, name, options, settings } = parts
  if (settings.durability !== 'outbox' || !options.outbox) return undefined
  const { sql: db, table = 'holdfast_outbox', relay = true, batch = 500, poll = 200 } = options.outbox
  return new Outbox({ clock, namespace, queue: name, db, table, relay, batch, poll, send })
}

/** How often the queue is looked at, for health and metrics, ms. */
const DEPTH_EVERY = 2_000
/** Pause between two looks of `drain`, ms. */
const DRAIN_LOOK = 25

/**
 * Background writes: `await queue.add(message)` resolves when the message is durable at the level of
 * the queue; handlers get batches, in order per key, each message at least once. With an idempotent
 * write keyed by `message.id` that is once in effect.
 */
export class Queue<T> {
  readonly name: string
  /** The messages that were given up. */
  readonly dead: DeadLetters<T>
  readonly #parts: QueueParts<T>
  readonly #intake: Intake<T>
  readonly #outlet: ParcelOutlet
  readonly #outbox: Outbox | undefined
  readonly #commit: GroupCommit
  readonly #pressure: Pressure
  #staff: Staff<T> | undefined
  #ticker: Timer | undefined
  #closing: Promise<void> | undefined
  #known: QueueStats | undefined

  constructor(parts: QueueParts<T>) {
    const { name, clock, random, options, settings, backend } = parts
    this.name = name
    this.#parts = parts
    this.#outbox = outboxOf(parts, (messages) => this.#storeAll(messages))
    this.#intake = new Intake(options, settings.maxBytes, clock, random, this.#outbox !== undefined)
    this.#outlet = new ParcelOutlet({ ...parts, queue: name })
    this.#commit = new GroupCommit({
      clock,
      random,
      partitions: settings.partitions,
      parcel: settings.parcel,
      outlet: this.#outlet.put,
    })
    this.#pressure = new Pressure(clock, settings.pressure, () => backend.stats())
    this.dead = new DeadLetters({ backend, replay: (letter) => this.#replay(letter) })
    void this.#outlet.start().catch((error) => tellFault(this.#me(), 'open', error))
    this.resumeHere()
    this.#tick()
  }

  /**
   * Resolves with the message's id when it is durable.
   * @throws InvalidMessage with the field's name, InvalidKey; QueueFull; QueueUnavailable (not stored);
   * QueueUncertain (may be stored: add it again with the same id); QueueMismatch; Closed
   */
  async add(body: T, options: AddOptions = {}): Promise<string> {
    this.#assertOpen()
    const checked = this.#intake.check(body, options.id)
    const message = checked instanceof Promise ? await checked : checked
    const room = this.#pressure.admit(1)
    if (room) await room
    if (this.#outbox || options.tx) await this.#write([message], options)
    else await this.#store(message)
    return message.id
  }

  /**
   * Adds several in their order; resolves with their ids when all are durable. All are checked before
   * any is sent. Rejects with the first failure; the others may be stored, so add all again with the
   * same ids (`id` of the queue).
   */
  async addMany(bodies: readonly T[], options: AddManyOptions = {}): Promise<string[]> {
    this.#assertOpen()
    const messages = await Promise.all(bodies.map((body) => this.#intake.check(body, undefined)))
    const room = this.#pressure.admit(messages.length)
    if (room) await room
    if (this.#outbox || options.tx) await this.#write(messages, options)
    else await this.#storeAll(messages)
    return messages.map(({ id }) => id)
  }

  /** No worker, in any process, begins another batch until resumed. Adding goes on. */
  async pause(): Promise<void> {
    await this.#parts.backend.open()
    await this.#parts.backend.pause()
  }

  /** Ends `pause`, for all processes. */
  async resume(): Promise<void> {
    await this.#parts.backend.open()
    await this.#parts.backend.resume()
  }

  /** This process stops working on the queue after the batches in hand, for `grace` at most. */
  async pauseHere(grace: Duration = this.#parts.settings.grace): Promise<void> {
    const staff = this.#staff
    this.#staff = undefined
    await staff?.stop(toMs(grace, 'grace'))
  }

  /** Undoes `pauseHere`. */
  resumeHere(): void {
    const { options, name } = this.#parts
    if (!options.handle || this.#staff || this.#closing) return
    this.#staff = new Staff<T>({ ...this.#parts, queue: name, handle: options.handle })
  }

  /**
   * Resolves when everything that was added before the call is settled: handled, or a dead letter.
   * @param within default '30s'
   * @throws QueueUnavailable when that takes longer
   */
  async drain(within: Duration = '30s'): Promise<void> {
    const { clock, backend } = this.#parts
    const until = clock.mono() + toMs(within, 'drain(within)')
    await this.#commit.idle()
    for (;;) {
      try {
        await backend.open()
        const rows = (await this.#outbox?.waiting()) ?? 0
        if (rows === 0 && this.#outlet.spilled === 0 && (await backend.stats()).depth === 0) return
      } catch (error) {
        if (clock.mono() >= until) throw error
      }
      if (clock.mono() >= until) {
        throw new QueueUnavailable(`the queue '${this.name}' was not drained in time`, {
          mend: 'wait longer, add workers, or look at the dead letters and the handler',
        })
      }
      await new Promise<void>((resolve) => clock.after(DRAIN_LOOK, resolve, true))
    }
  }

  /** Looks at the queue now. @throws QueueUnavailable, RedisUnavailable, RedisTimeout */
  async stats(): Promise<QueueStats> {
    const { backend, clock } = this.#parts
    await backend.open()
    const found = await backend.stats()
    const now = clock.wall()
    const spilled = this.#outlet.spilled
    this.#known = {
      queue: this.name,
      backend: backend.kind,
      depth: found.depth + spilled,
      dead: found.dead,
      oldestMs: found.oldestAt === undefined ? 0 : Math.max(0, now - found.oldestAt),
      spilled,
      paused: found.paused,
      workers: found.workers,
      owned: this.#staff?.owned.length ?? 0,
      asOf: now,
    }
    return this.#known
  }

  /** How it was set up: what an `add` survives, and over how many partitions it is spread. */
  get setup(): { readonly durability: Durability; readonly partitions: number } {
    const { durability, partitions } = this.#parts.settings
    return { durability, partitions }
  }

  /** Partitions that this process owns now. */
  get owned(): readonly number[] {
    return this.#staff?.owned ?? []
  }

  /** What the last look saw, some seconds ago at most; `undefined` before the first. */
  get known(): QueueStats | undefined {
    return this.#known
  }

  /**
   * The queues of BullMQ that this one is made of, the dead letters last: `new Queue(name, options)` for
   * bull-board and other tools. Empty without Redis.
   */
  bullQueues(): readonly { readonly name: string; readonly options: BullmqConnection }[] {
    return this.#parts.bullQueues()
  }

  /** Drops what waits and is in nobody's hands. Answers how many messages that were. */
  async drop(): Promise<number> {
    await this.#parts.backend.open()
    return this.#parts.backend.drop()
  }

  /**
   * Lets the adds under way and the batches in hand end, for `grace` at most, and gives the partitions
   * to other processes. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#ticker?.cancel()
      await this.pauseHere()
      await this.#outbox?.close()
      await this.#commit.idle()
      await this.#outlet.close()
      await this.#parts.backend.close()
    })()
    return this.#closing
  }

  #store(message: Checked): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#commit.add(message, (error) => (error ? reject(error) : resolve()))
    })
  }

  async #storeAll(messages: readonly Checked[]): Promise<void> {
    const stored = await Promise.allSettled(messages.map((message) => this.#store(message)))
    for (const result of stored) if (result.status === 'rejected') throw result.reason
  }

  async #write(messages: readonly Checked[], { tx }: AddManyOptions): Promise<void> {
    if (this.#outbox) return this.#outbox.write(messages, tx)
    throw new InvalidOption('tx is for outboxes only', "write durability: 'outbox' and outbox: { sql }")
  }

  async #replay(letter: Letter): Promise<void> {
    const { d, ...head } = messageOf(letter)
    const text = messageText(head, d === undefined ? undefined : JSON.stringify(d))
    const key = head.k ?? head.c ?? head.i
    const bytes = Buffer.byteLength(text)
    await this.#store({ id: head.i, key, coalesce: undefined, text, bytes, at: head.t })
  }

  #tick(): void {
    this.#ticker = this.#parts.clock.after(DEPTH_EVERY, () => {
      void this.stats().then(
        (stats) => {
          if (queueDepthEvents.active)
            queueDepthEvents.publish({ namespace: this.#parts.namespace, ...stats })
        },
        (error) => tellFault(this.#me(), 'look', error),
      )
      if (!this.#closing) this.#tick()
    })
  }

  #me(): { namespace: string; queue: string } {
    return { namespace: this.#parts.namespace, queue: this.name }
  }

  #assertOpen(): void {
    if (this.#closing) throw new Closed(`the queue '${this.name}' is closed`)
  }
}
