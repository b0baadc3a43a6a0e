import type { Clock } from '../base/clock.ts'
import { sleep, systemClock } from '../base/clock.ts'
import type { Duration } from '../base/duration.ts'
import { toMs } from '../base/duration.ts'
import { LimitExceeded } from './errors.ts'
import { Limiter } from './limiter.ts'
import type { LimiterSettings } from './options.ts'
import type { HeaderBag, SignalOptions } from './remote-signals.ts'
import { readSignals } from './remote-signals.ts'

/** What `createOutbound` makes a limiter of. */
export interface OutboundSettings extends LimiterSettings, SignalOptions {
  /** Longest wait for a turn. @default '30s' */
  maxWait?: Duration | undefined
}

/** One call of a remote API: for whom, what it costs, how long its turn may take. */
export interface OutboundCall {
  /** Which account, business or app of the remote is used. @default one for all */
  id?: string | undefined
  cost?: number | undefined
  /** @default the limiter's */
  maxWait?: Duration | undefined
  signal?: AbortSignal | undefined
}

/** Gaps between tries while others take the units first. */
const LEAST_WAIT_MS = 5

/**
 * Keeps calls to a remote API within its limits, over all processes: waits for a turn, and obeys
 * what the remote's own answers say. Callers of one id in one process take turns in order.
 * @throws InvalidOption, InvalidKey as `createLimiter`
 */
export function createOutbound(settings: OutboundSettings): Outbound {
  return new Outbound(settings)
}

/** Keeps calls to a remote API within its limits, over all processes, and heeds what its answers say. */
export class Outbound {
  readonly limiter: Limiter
  readonly #clock: Clock
  readonly #maxWait: number
  readonly #signals: SignalOptions
  readonly #queues = new Map<string, Promise<void>>()

  constructor({ maxWait = '30s', usagePercent, usagePauseMs, ...settings }: OutboundSettings) {
    this.limiter = new Limiter({ algorithm: 'gcra', ...settings })
    this.#clock = settings.redis?.clock ?? settings.clock ?? systemClock
    this.#maxWait = toMs(maxWait, 'maxWait')
    this.#signals = { usagePercent, usagePauseMs }
  }

  /**
   * Resolves when the call may be made.
   * @throws LimitExceeded when its turn would come later than `maxWait`, at once if that is known;
   * the signal's reason when it aborts
   */
  async acquire(call: OutboundCall = {}): Promise<void> {
    const id = call.id ?? ''
    const bound = call.maxWait === undefined ? this.#maxWait : toMs(call.maxWait, 'maxWait')
    const end = this.#clock.mono() + bound
    const before = this.#queues.get(id) ?? Promise.resolve()
    let leave: () => void = () => {}
    const mine = new Promise<void>((resolve) => {
      leave = resolve
    })
    const tail = before.then(() => mine)
    this.#queues.set(id, tail)
    try {
      await this.#turn(before, end, call.signal)
      for (;;) {
        call.signal?.throwIfAborted()
        const decision = await this.limiter.consume(
          { remote: id === '' ? 'all' : `id ${id}` },
          { cost: call.cost },
        )
        if (decision.allowed) return
        const wait = Math.max(LEAST_WAIT_MS, decision.retryAfter)
        if (this.#clock.mono() + wait > end) throw new LimitExceeded(decision)
        await sleep(this.#clock, wait, call.signal)
      }
    } finally {
      leave()
      if (this.#queues.get(id) === tail) this.#queues.delete(id)
    }
  }

  /** `acquire`, then `fn`. */
  async run<T>(fn: () => T | Promise<T>, call: OutboundCall = {}): Promise<T> {
    await this.acquire(call)
    return fn()
  }

  /**
   * Learns from an answer's header fields, for all processes: pauses the id that the remote names,
   * or that of the call, and never believes to have more left than the remote says. Never rejects.
   */
  async observe(headers: HeaderBag, call: { id?: string | undefined } = {}): Promise<void> {
    for (const signal of readSignals(headers, this.#clock.wall(), this.#signals)) {
      const id = signal.id ?? call.id ?? ''
      const subject = { remote: id === '' ? 'all' : `id ${id}` }
      try {
        if (signal.pauseMs !== undefined) await this.limiter.block(subject, signal.pauseMs, { extend: true })
        if (signal.remaining === undefined) continue
        const { remaining } = await this.limiter.peek(subject)
        if (remaining > signal.remaining)
          await this.limiter.penalty(subject, { cost: remaining - signal.remaining })
      } catch {
        // Redis is away, or the remote named an id that cannot be one: the next answer tells again.
      }
    }
  }

  /** Closes the limiter behind it. */
  close(): Promise<void> {
    return this.limiter.close()
  }

  async #turn(before: Promise<void>, end: number, signal: AbortSignal | undefined): Promise<void> {
    const timer = new AbortController()
    const stop = () => timer.abort(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    try {
      signal?.throwIfAborted()
      const late = sleep(this.#clock, Math.max(0, end - this.#clock.mono()), timer.signal).then(() => {
        throw new LimitExceeded(undefined)
      })
      await Promise.race([before, late])
    } finally {
      signal?.removeEventListener('abort', stop)
      timer.abort()
    }
  }
}
