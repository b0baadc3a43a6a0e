import { createHash } from 'node:crypto'
import type { Bulkhead } from '../base/bulkhead.ts'
import { type Clock, sleep } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { HeldParcel, PartitionLease, QueueBackend } from './backend.ts'
import { reportBatch, reportBegin, reportSkip } from './batch-report.ts'
import { type QueueFaultEvent, tellFault } from './events.ts'
import { callHandler } from './handler-call.ts'
import { letterOf } from './letter-text.ts'
import { type Holding, type Item, itemOf, Line } from './line.ts'
import type { BatchHandler, Message } from './options.ts'
import { readParcel, type StoredMessage } from './parcel-text.ts'
import type { QueueSettings } from './settings.ts'
import { Settlements } from './settlements.ts'
import { type Progress, Trials } from './trials.ts'

export interface WorkerSetup<T> {
  readonly clock: Clock
  readonly random: Random
  readonly namespace: string
  readonly queue: string
  readonly backend: QueueBackend
  readonly settings: QueueSettings
  readonly handle: BatchHandler<T>
  /** Of all partitions of the queue in this process. */
  readonly places: Bulkhead
  readonly progress: Progress
}

/** How long an idle worker sleeps at most before it looks by itself, ms. */
const IDLE = 1_000
/** Pause after a fault of the backend, ms. */
const FAULT_PAUSE = 100
/** Most parcels of one take. */
const MAX_TAKE = 64
/** A message that was alone in hand when so many workers died is given up. */
const CRASHES = 3

/**
 * Works off one partition under its lease: takes parcels ahead, makes batches, calls the handler,
 * retries in place, gives up what is hopeless, settles. Everything that has to do with failing is
 * here, whatever the backend.
 */
export class PartitionWorker<T> {
  readonly finished: Promise<void>
  readonly #setup: WorkerSetup<T>
  readonly #lease: PartitionLease
  /** Aborts when no new batch is to begin. */
  readonly #stop = new AbortController()
  /** Aborts when the batch in hand is to be given up too. */
  readonly #halt = new AbortController()
  readonly #line = new Line()
  /** Taken, and not yet in the line. */
  #unread: HeldParcel[] = []
  readonly #settlements: Settlements
  readonly #trials: Trials
  #isDry = false
  /** Messages in a parcel, as a moving mean: how many parcels make up a batch. */
  #perParcel = 1

  constructor(setup: WorkerSetup<T>, lease: PartitionLease) {
    this.#setup = setup
    this.#lease = lease
    this.#settlements = new Settlements({ ...setup, lease, stop: this.#stop.signal })
    this.#trials = new Trials(setup, setup.settings.retry, (item) => {
      if (item.message.u) this.#settlements.remember(item.message.i)
      this.#finish(item)
    })
    lease.lost.addEventListener('abort', () => this.#halt.abort(lease.lost.reason), { once: true })
    if (lease.lost.aborted) this.#halt.abort(lease.lost.reason)
    this.#halt.signal.addEventListener('abort', () => this.#stop.abort(this.#halt.signal.reason), {
      once: true,
    })
    this.finished = this.#run()
  }

  get partition(): number {
    return this.#lease.partition
  }

  get fence(): number {
    return this.#lease.fence
  }

  /** Lets the batch in hand end, for `grace` ms at most, settles, and gives the partition back. */
  async stop(grace: number): Promise<void> {
    this.#stop.abort(new Error('the worker stops'))
    const halt = (): void => this.#halt.abort(new Error('the time to stop is over'))
    const timer = this.#setup.clock.after(grace, halt, true)
    await this.finished
    timer.cancel()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#step()
      } catch (error) {
        this.#fault('take', error)
        await this.#nap(FAULT_PAUSE)
      }
    }
    this.#settlements.soon()
    await this.#settlements.idle()
    await this.#lease.release()
  }

  async #step(): Promise<void> {
    const { clock, backend, settings } = this.#setup
    const { size, wait } = settings.batch
    while (this.#line.length < size && !this.#isDry && !this.#stop.signal.aborted) await this.#fill()
    const now = clock.mono()
    const { pausedUntil } = this.#trials
    if (pausedUntil > now) return this.#nap(pausedUntil - now)
    const { batch, nextAt } = this.#choose(now)
    const [first] = batch
    if (!first) {
      // Only what waits for its retry is here: others may be worked on meanwhile, up to a bound.
      if (!this.#isDry && this.#line.length < settings.window) return this.#fill()
      this.#settlements.soon()
      const ms = Math.max(1, Math.min(IDLE, nextAt - now))
      if (!this.#isDry) return this.#nap(ms)
      await backend.wait([this.partition], ms, this.#stop.signal)
      this.#isDry = false
      return
    }
    const due = first.arrivedAt + wait
    if (batch.length < size && now < due && batch.every((item) => item.cap > batch.length)) {
      await backend.wait([this.partition], due - now, this.#stop.signal)
      if (!this.#stop.signal.aborted) await this.#fill()
      return
    }
    const { places } = this.#setup
    const hasPlace = places.tryEnter()
    if (!hasPlace) await places.enter()
    try {
      if (this.#stop.signal.aborted) return
      await this.#turn(hasPlace ? batch : await this.#afresh())
    } finally {
      places.leave()
    }
  }

  /** The batch of a worker who had to wait for his turn: what came meanwhile is in it. */
  async #afresh(): Promise<readonly Item[]> {
    const { clock, settings } = this.#setup
    const { size } = settings.batch
    this.#isDry = false
    while (this.#line.length < size && !this.#isDry && !this.#stop.signal.aborted) await this.#fill()
    return this.#choose(clock.mono()).batch
  }

  #choose(now: number): { batch: Item[]; nextAt: number } {
    if (this.#trials.isProbing) return this.#line.probe(now)
    return this.#line.pick(this.#setup.settings.batch.size, now)
  }

  async #turn(batch: readonly Item[]): Promise<void> {
    if (batch.length === 0) return
    // While the handler works, the next parcels come.
    const isLow = !this.#isDry && this.#line.length - batch.length < this.#setup.settings.batch.size
    const filling = isLow ? this.#fill().catch((error) => this.#fault('take', error)) : undefined
    await this.#work(batch)
    await filling
    this.#line.sweep()
    await this.#settlements.idle()
    this.#settlements.soon()
  }

  async #fill(): Promise<void> {
    const { size } = this.#setup.settings.batch
    if (this.#unread.length === 0) {
      const most = Math.max(1, Math.min(MAX_TAKE, Math.ceil((2 * size) / this.#perParcel)))
      const parcels = await this.#lease.take(most)
      this.#isDry = parcels.length < most
      this.#unread = [...parcels]
    }
    if (this.#unread.length === 0) return
    const read = this.#unread.map((parcel) => ({ parcel, messages: this.#read(parcel) }))
    const own = read.flatMap(({ messages }) => messages.filter(({ u }) => u).map(({ i }) => i))
    const seen = own.length === 0 ? undefined : await this.#lease.seen([...new Set(own)])
    this.#unread = []
    let duplicates = 0
    for (const { parcel, messages } of read) duplicates += this.#enter(parcel, messages, seen)
    const superseded = this.#line.superseded()
    for (const item of superseded) this.#finish(item)
    reportSkip(this.#setup, 'duplicate', duplicates)
    reportSkip(this.#setup, 'superseded', superseded.length)
    if (superseded.length > 0) this.#line.sweep()
  }

  /** Returns how many were known already. */
  #enter(
    parcel: HeldParcel,
    messages: readonly StoredMessage[],
    seen: ReadonlySet<string> | undefined,
  ): number {
    const holding: Holding = { parcel, left: messages.length }
    if (this.#settlements.wasDone(parcel.handle) || messages.length === 0) {
      this.#settlements.add({ handle: parcel.handle, count: parcel.count })
      return 0
    }
    this.#perParcel = Math.max(1, this.#perParcel * 0.9 + messages.length * 0.1)
    const now = this.#setup.clock.mono()
    let duplicates = 0
    messages.forEach((message, index) => {
      const item = itemOf(message, holding, index, now)
      const isKnown = message.u === 1 && seen?.has(message.i) === true
      if (!isKnown && this.#line.add(item)) return
      duplicates++
      this.#settlements.leave(holding)
    })
    return duplicates
  }

  #read(parcel: HeldParcel): readonly StoredMessage[] {
    const found = readParcel(parcel.text)
    if (found) return found
    // Somebody else's job, or a corrupt one: kept as a dead letter, so that it blocks nobody.
    const id = `unreadable.${this.#setup.queue}.${this.partition}.${parcel.handle}`
    return [{ i: id, t: this.#setup.clock.wall(), d: parcel.text, x: 'the stored text is no parcel' }]
  }

  async #work(batch: readonly Item[]): Promise<void> {
    for (const item of batch) item.isInHand = true
    try {
      const doomed = batch.filter((item) => item.doom !== undefined)
      if (doomed.length > 0) return await this.#bury(doomed)
      const [first] = batch
      if (batch.length === 1 && first?.isSuspect && !(await this.#mayTry(first))) {
        first.doom = `${CRASHES} workers died while it was alone in hand`
        return await this.#bury([first])
      }
      await this.#call(batch)
    } finally {
      for (const item of batch) item.isInHand = false
    }
  }

  /** Writes down who is in hand before a message is tried that may be what kills workers. */
  async #mayTry(item: Item): Promise<boolean> {
    const { handle, note } = item.holding.parcel
    const [id, crashes] = (note ?? '').split(' ')
    const before = id === digestOf(item.message.i) ? Number(crashes) : 0
    if (before >= CRASHES) return false
    await this.#lease.note(handle, `${digestOf(item.message.i)} ${before + 1}`)
    return true
  }

  async #call(batch: readonly Item[]): Promise<void> {
    const { clock, queue, settings, handle } = this.#setup
    const started = clock.mono()
    const messages = batch.map((item) => messageFor<T>(item))
    const context = { queue, partition: this.partition, fence: this.#lease.fence }
    reportBegin(this.#setup, this.partition, batch.length)
    const answer = await callHandler<T>(
      { clock, handle, timeout: settings.timeout },
      messages,
      context,
      this.#halt.signal,
    )
    if (answer.outcome === 'answered') this.#trials.hear(batch, answer.verdicts)
    else if (answer.outcome !== 'lost') this.#trials.divide(batch, answer)
    const doomed = batch.filter((item) => !item.isOver && item.doom !== undefined)
    reportBatch(this.#setup, this.partition, batch, answer, started)
    if (doomed.length > 0) await this.#bury(doomed)
  }

  async #bury(items: readonly Item[]): Promise<void> {
    const { clock, backend } = this.#setup
    const diedAt = clock.wall()
    const letters = items.map((item) =>
      letterOf(
        item.message,
        this.partition,
        Math.max(1, item.failures),
        item.doom ?? item.lastReason,
        diedAt,
      ),
    )
    try {
      await backend.bury(letters)
    } catch (error) {
      // It stays where it is, and its key with it, until the letter is safe.
      this.#fault('bury', error)
      for (const item of items) item.notBefore = clock.mono() + IDLE
      return
    }
    for (const item of items) this.#finish(item)
  }

  #finish(item: Item): void {
    if (item.isOver) return
    item.isOver = true
    this.#settlements.leave(item.holding)
  }

  #nap(ms: number): Promise<void> {
    return sleep(this.#setup.clock, ms, this.#stop.signal).catch(() => {})
  }

  #fault(at: QueueFaultEvent['at'], error: unknown): void {
    tellFault(this.#setup, at, error)
  }
}

function messageFor<T>(item: Item): Message<T> {
  const { message, holding, position } = item
  return {
    id: message.i,
    // It passed the queue's schema when it was added.
    body: message.d as T,
    key: message.k,
    at: message.t,
    attempt: ++item.calls,
    redelivered: holding.parcel.deliveries > 1,
    position,
  }
}

/** For a note that an operator sees: an id may be anything. */
const digestOf = (id: string): string => createHash('sha256').update(id).digest('base64url').slice(0, 16)
