import { createHash } from 'node:crypto'
import { backoff } from '../base/backoff.ts'
import type { Bulkhead } from '../base/bulkhead.ts'
import { type Clock, sleep } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { HeldParcel, PartitionLease, QueueBackend, Settlement } from './backend.ts'
import { type QueueFaultEvent, queueBatchEvents, queueSkipEvents, tellFault } from './events.ts'
import { type Answer, callHandler, type Verdict } from './handler-call.ts'
import { letterOf } from './letter-text.ts'
import { type Holding, type Item, itemOf, Line } from './line.ts'
import type { BatchHandler, Message } from './options.ts'
import { readParcel, type StoredMessage } from './parcel-text.ts'
import type { QueueSettings } from './settings.ts'

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
  /** Over and not yet settled, and ids to be remembered with them. */
  #over: Settlement[] = []
  #done: string[] = []
  /** Their settling failed once: if one comes again it is settled again, not handled again. */
  readonly #unsettled = new Set<string>()
  #settling: Promise<void> = Promise.resolve()
  #isDry = false
  /** Messages in a parcel, as a moving mean: how many parcels make up a batch. */
  #perParcel = 1
  #lonelyFailures = 0
  #successes = 0
  #pausedUntil = 0

  constructor(setup: WorkerSetup<T>, lease: PartitionLease) {
    this.#setup = setup
    this.#lease = lease
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
    await this.#settling
    if (!this.#lease.lost.aborted) await this.#settle()
    await this.#lease.release()
  }

  async #step(): Promise<void> {
    const { clock, backend, settings } = this.#setup
    const { size, wait } = settings.batch
    while (this.#line.length < size && !this.#isDry && !this.#stop.signal.aborted) await this.#fill()
    const now = clock.mono()
    if (this.#pausedUntil > now) return this.#nap(this.#pausedUntil - now)
    const { batch, nextAt } = this.#line.pick(size, now)
    const [first] = batch
    if (!first) {
      // Only what waits for its retry is here: others may be worked on meanwhile, up to a bound.
      if (!this.#isDry && this.#line.length < settings.window) return this.#fill()
      this.#settleSoon()
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
    // While the handler works, the next parcels come.
    const isLow = !this.#isDry && this.#line.length - batch.length < size
    const filling = isLow ? this.#fill().catch((error) => this.#fault('take', error)) : undefined
    await this.#work(batch)
    await filling
    this.#line.sweep()
    await this.#settling
    this.#settleSoon()
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
    this.#skip('duplicate', duplicates)
    this.#skip('superseded', superseded.length)
    if (superseded.length > 0) this.#line.sweep()
  }

  /** Returns how many were known already. */
  #enter(
    parcel: HeldParcel,
    messages: readonly StoredMessage[],
    seen: ReadonlySet<string> | undefined,
  ): number {
    const holding: Holding = { parcel, left: messages.length }
    if (this.#unsettled.has(parcel.handle) || messages.length === 0) {
      // All of it was done; only that it is settled did not get through.
      this.#over.push({ handle: parcel.handle, count: parcel.count })
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
      this.#leave(holding)
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
      await this.#try(batch)
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

  async #try(batch: readonly Item[]): Promise<void> {
    const { places } = this.#setup
    await places.enter()
    try {
      // Whoever was told to stop while he stood in line begins nothing.
      if (!this.#stop.signal.aborted) await this.#call(batch)
    } finally {
      places.leave()
    }
  }

  async #call(batch: readonly Item[]): Promise<void> {
    const { clock, queue, settings, handle } = this.#setup
    const started = clock.mono()
    const messages = batch.map((item) => messageFor<T>(item))
    const context = { queue, partition: this.partition, fence: this.#lease.fence }
    const answer = await callHandler<T>(
      { clock, handle, timeout: settings.timeout },
      messages,
      context,
      this.#halt.signal,
    )
    const before = this.#successes
    if (answer.outcome === 'answered') {
      this.#judgeAll(batch, answer.verdicts)
      if (this.#successes > before) this.#lonelyFailures = 0
    } else if (answer.outcome !== 'lost') {
      this.#divide(batch, answer)
    }
    const doomed = batch.filter((item) => !item.isOver && item.doom !== undefined)
    this.#report(batch, answer, started)
    if (doomed.length > 0) await this.#bury(doomed)
  }

  /**
   * Once a message is to be tried again, what the handler says of later ones of its key is not heard:
   * they come again behind it, in their order.
   */
  #judgeAll(batch: readonly Item[], verdicts: readonly Verdict[]): void {
    const waiting = new Set<string>()
    for (const [i, item] of batch.entries()) {
      if (item.order !== undefined && waiting.has(item.order)) continue
      this.#judge(item, verdicts[i] as Verdict)
      if (item.order !== undefined && !item.isOver && item.doom === undefined) waiting.add(item.order)
    }
  }

  #judge(item: Item, verdict: Verdict): void {
    if (verdict.is === 'ok') {
      this.#successes++
      if (item.message.u) this.#done.push(item.message.i)
      this.#finish(item)
      return
    }
    item.lastReason = verdict.reason
    if (verdict.is === 'dead') {
      item.doom = verdict.reason
      return
    }
    item.failures++
    const { attempts } = this.#setup.settings.retry
    if (item.failures >= attempts) item.doom = verdict.reason
    else this.#postpone(item, verdict.after)
  }

  /**
   * A call that failed as a whole says nothing about which message it was: the batch is tried again in
   * halves (in eighths after a hang), down to the culprit alone. Only there it counts against a
   * message; and while nothing at all succeeds, it is taken for the target's fault for a while.
   */
  #divide(
    batch: readonly Item[],
    { outcome, reason }: Exclude<Answer, { outcome: 'answered' | 'lost' }>,
  ): void {
    const { clock, random, settings } = this.#setup
    const { attempts, first, most, outage } = settings.retry
    const now = clock.mono()
    for (const item of batch) item.lastReason = reason
    const [only] = batch
    if (batch.length > 1 || !only) {
      const cap = Math.max(1, Math.ceil(batch.length / (outcome === 'timeout' ? 8 : 2)))
      for (const item of batch) item.cap = cap
      this.#pausedUntil = now + backoff(0, Math.min(first, 50), most, random)
      return
    }
    only.failures++
    only.firstFailure ??= { at: now, successes: this.#successes }
    const { at, successes } = only.firstFailure
    const isItsOwn = this.#successes > successes || now - at >= outage
    if (only.failures >= attempts && isItsOwn) {
      only.doom = reason
      return
    }
    this.#postpone(only, undefined)
    // Many in a row are an outage: the target is asked more and more seldom, by nobody else either.
    if (++this.#lonelyFailures < 2) return
    const patience = Math.min(most, 2_000)
    this.#pausedUntil = now + backoff(this.#lonelyFailures - 2, Math.min(first, 100), patience, random)
  }

  #postpone(item: Item, after: number | undefined): void {
    const { clock, random, settings } = this.#setup
    const { first, most } = settings.retry
    item.notBefore = clock.mono() + (after ?? backoff(item.failures - 1, first, most, random))
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
    this.#leave(item.holding)
  }

  #leave(holding: Holding): void {
    if (--holding.left > 0) return
    const { handle, count } = holding.parcel
    this.#over.push({ handle, count })
  }

  #settleSoon(): void {
    this.#settling = this.#settling.then(() => this.#settle())
  }

  async #settle(): Promise<void> {
    const over = this.#over
    const done = this.#done
    if (over.length === 0 && done.length === 0) return
    this.#over = []
    this.#done = []
    try {
      await this.#lease.settle(over, done)
    } catch (error) {
      for (const { handle } of over) this.#unsettled.add(handle)
      this.#over = [...over, ...this.#over]
      this.#done = [...done, ...this.#done]
      this.#fault('settle', error)
      await this.#nap(FAULT_PAUSE)
    }
  }

  #nap(ms: number): Promise<void> {
    return sleep(this.#setup.clock, ms, this.#stop.signal).catch(() => {})
  }

  #fault(at: QueueFaultEvent['at'], error: unknown): void {
    tellFault(this.#setup, at, error)
  }

  #skip(reason: 'duplicate' | 'superseded', messages: number): void {
    if (messages === 0 || !queueSkipEvents.active) return
    const { namespace, queue } = this.#setup
    queueSkipEvents.publish({ namespace, queue, reason, messages })
  }

  #report(batch: readonly Item[], answer: Answer, started: number): void {
    if (!queueBatchEvents.active) return
    const { namespace, queue, clock } = this.#setup
    const done = batch.filter((item) => item.isOver).length
    const dead = batch.filter((item) => !item.isOver && item.doom !== undefined).length
    const oldest = batch.reduce((least, { message }) => Math.min(least, message.t), Number.POSITIVE_INFINITY)
    queueBatchEvents.publish({
      namespace,
      queue,
      partition: this.partition,
      outcome: answer.outcome,
      messages: batch.length,
      done,
      dead,
      retried: batch.length - done - dead,
      ms: clock.mono() - started,
      ageMs: Math.max(0, clock.wall() - oldest),
    })
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
