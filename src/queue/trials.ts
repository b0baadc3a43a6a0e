import { backoff } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Answer, Verdict } from './handler-call.ts'
import type { Item } from './line.ts'
import type { QueueSettings } from './settings.ts'

/** What all partitions of a queue in this process came to: they write to one target. */
export interface Progress {
  successes: number
}

type Failure = Exclude<Answer, { outcome: 'answered' | 'lost' }>

/**
 * What follows from an answer of the handler, for each message of the batch: done, tried again and
 * when, in how small a batch, or doomed. Of one partition.
 */
export class Trials {
  /** Monotonic time before which no batch is to be tried at all. */
  pausedUntil = 0
  readonly #clock: Clock
  readonly #random: Random
  readonly #retry: QueueSettings['retry']
  readonly #done: (item: Item) => void
  /** Messages alone in their call that failed, since any succeeded. */
  #lonelyFailures = 0
  readonly #progress: Progress

  constructor(
    {
      clock,
      random,
      progress,
    }: { readonly clock: Clock; readonly random: Random; readonly progress: Progress },
    retry: QueueSettings['retry'],
    done: (item: Item) => void,
  ) {
    this.#progress = progress
    this.#clock = clock
    this.#random = random
    this.#retry = retry
    this.#done = done
  }

  /** Nothing succeeded since a message failed alone. */
  get isProbing(): boolean {
    return this.#lonelyFailures > 0
  }

  /**
   * Once a message is to be tried again, what the handler says of later ones of its key is not heard:
   * they come again behind it, in their order.
   */
  hear(batch: readonly Item[], verdicts: readonly Verdict[]): void {
    const waiting = new Set<string>()
    const before = this.#progress.successes
    for (const [i, item] of batch.entries()) {
      if (item.order !== undefined && waiting.has(item.order)) continue
      this.#judge(item, verdicts[i] as Verdict)
      if (item.order !== undefined && !item.isOver && item.doom === undefined) waiting.add(item.order)
    }
    if (this.#progress.successes > before) this.#lonelyFailures = 0
  }

  /**
   * A call that failed as a whole says nothing about which message it was: the batch is tried again in
   * halves (in eighths after a hang), down to the culprit alone. Only there it counts against a
   * message; and while nothing at all succeeds, it is taken for the target's fault for a while.
   */
  divide(batch: readonly Item[], { outcome, reason }: Failure): void {
    const { attempts, first, most, outage } = this.#retry
    const now = this.#clock.mono()
    for (const item of batch) item.lastReason = reason
    const [only] = batch
    if (batch.length > 1 || !only) {
      const cap = Math.max(1, Math.ceil(batch.length / (outcome === 'timeout' ? 8 : 2)))
      for (const item of batch) item.cap = cap
      this.pausedUntil = now + backoff(0, Math.min(first, 50), most, this.#random)
      return
    }
    only.failures++
    only.firstFailure ??= { at: now, successes: this.#progress.successes }
    const { at, successes } = only.firstFailure
    const isItsOwn = this.#progress.successes > successes || now - at >= outage
    if (only.failures >= attempts && isItsOwn) {
      only.doom = reason
      return
    }
    this.#postpone(only, undefined)
    // Many in a row are an outage: the target is asked more and more seldom, by nobody else either.
    if (++this.#lonelyFailures < 2) return
    const patience = Math.min(most, 2_000)
    this.pausedUntil = now + backoff(this.#lonelyFailures - 2, Math.min(first, 100), patience, this.#random)
  }

  #judge(item: Item, verdict: Verdict): void {
    if (verdict.is === 'ok') {
      this.#progress.successes++
      this.#done(item)
      return
    }
    item.lastReason = verdict.reason
    if (verdict.is === 'dead') {
      item.doom = verdict.reason
      return
    }
    item.failures++
    if (item.failures >= this.#retry.attempts) item.doom = verdict.reason
    else this.#postpone(item, verdict.after)
  }

  #postpone(item: Item, after: number | undefined): void {
    const { first, most } = this.#retry
    const pause = after ?? backoff(item.failures - 1, first, most, this.#random)
    item.notBefore = this.#clock.mono() + pause
  }
}
