import type { Timer } from '../base/clock.ts'
import { Closed, RedisReplyError, RedisTimeout, RedisUnavailable } from '../base/errors.ts'
import { Deadlines } from './deadlines.ts'
import type { Arg, Link, Reply } from './link.ts'
import type { SendOptions } from './port.ts'
import { meaningOf } from './reply-error.ts'
import type { Script } from './script.ts'
import type { RedisSettings } from './settings.ts'

export interface SessionEvents {
  /** The link is of no use any more; called once, at once. */
  lost(cause: Error): void
  /** A caller was let go because the server had not answered. */
  timeout(): void
  /** The server answered with an error whose first word is `meaning`. */
  refused(meaning: string): void
}

interface Call {
  readonly due: number
  readonly deadline: number
  readonly reject: (cause: Error) => void
}

/**
 * One link and all that watches it: a deadline for each call, a watchdog, the breaker and the
 * memory of which scripts this connection has seen. It ends with the link, never before or after.
 */
export class Session {
  readonly link: Link
  /** Last measured round trip in ms. */
  latency: number | undefined
  /** Calls that went out. */
  sent = 0
  #lost: Error | undefined
  #ended = new AbortController()
  #settings: RedisSettings
  #events: SessionEvents
  /** Callers still waiting. */
  #calls: Deadlines<Call>
  /** Sends without a reply, those that nobody waits for any more included. */
  #pending = 0
  #missedInARow = 0
  /** When the oldest send since the last reply was made; undefined while nothing is awaited. */
  #waitingSince: number | undefined
  #lastHeard: number
  /** When the watchdog's timer should have fired. */
  #due = 0
  #watch: Timer | undefined
  #scripts = new Set<string>()

  constructor(link: Link, settings: RedisSettings, events: SessionEvents) {
    this.link = link
    this.#settings = settings
    this.#events = events
    this.#lastHeard = settings.clock.mono()
    this.#calls = new Deadlines(settings.clock, (call, late) => this.#overdue(call, late))
    link.onDown((cause) => this.fail(cause))
    this.#armWatchdog()
  }

  /** Aborts with the session, for listeners that must not outlive it. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  get pending(): number {
    return this.#pending
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  send(args: readonly Arg[], options: SendOptions): Promise<Reply> {
    return this.#track(() => this.link.send(args, options.as), options.deadline)
  }

  ping(deadline: number): Promise<void> {
    return this.#track(() => this.link.ping(), deadline)
  }

  subscribe(
    channels: readonly string[],
    listener: (message: string, channel: string) => void,
    deadline: number,
  ): Promise<void> {
    return this.#track(() => this.link.subscribe(channels, listener), deadline)
  }

  unsubscribe(channels: readonly string[], deadline: number): Promise<void> {
    return this.#track(() => this.link.unsubscribe(channels), deadline)
  }

  /**
   * The first use of a script on a connection sends its text, so that one round trip is enough and
   * order is kept; later ones send its digest. NOSCRIPT (somebody flushed) falls back to the text.
   */
  async eval(
    script: Script,
    keys: readonly string[],
    args: readonly Arg[],
    options: SendOptions,
  ): Promise<Reply> {
    const { clock } = this.#settings
    const rest = [String(keys.length), ...keys, ...args]
    const due = clock.mono() + options.deadline
    if (this.#scripts.has(script.sha)) {
      try {
        return await this.send(['EVALSHA', script.sha, ...rest], options)
      } catch (error) {
        if (!(error instanceof RedisReplyError) || error.prefix !== 'NOSCRIPT') throw error
      }
    }
    this.#scripts.add(script.sha)
    return this.send(['EVAL', script.lua, ...rest], { ...options, deadline: Math.max(1, due - clock.mono()) })
  }

  /** Ends the session because of `cause`; tells the owner. */
  fail(cause: Error): void {
    if (this.#lost) return
    this.end(cause)
    this.#events.lost(cause)
  }

  /** Ends the session by the owner's own wish. */
  end(cause: Error): void {
    if (this.#lost) return
    this.#lost = cause
    this.#watch?.cancel()
    this.link.destroy()
    this.#ended.abort()
    // Nobody waits for a client library to notice that its socket is gone.
    for (const call of this.#calls.clear()) call.reject(interrupted(this.link.address, cause))
  }

  #track<T>(start: () => Promise<T>, deadline: number): Promise<T> {
    const { clock, maxPending } = this.#settings
    const { address } = this.link
    return new Promise<T>((resolve, reject) => {
      if (this.#lost) return reject(unavailable(address, this.#lost))
      if (this.#pending >= maxPending) {
        return reject(new RedisUnavailable(`${maxPending} calls already wait for ${address}`))
      }
      const sentAt = clock.mono()
      const call: Call = { due: sentAt + deadline, deadline, reject }
      this.#calls.add(call, sentAt)
      this.#pending++
      this.sent++
      this.#waitingSince ??= sentAt
      start().then(
        (value) => {
          const inTime = this.#calls.delete(call)
          this.#answered(sentAt, inTime)
          if (inTime) resolve(value)
        },
        (error: unknown) => {
          const inTime = this.#calls.delete(call)
          const refused = error instanceof RedisReplyError
          if (refused) this.#answered(sentAt, inTime)
          else this.#pending--
          if (inTime) reject(refused ? error : interrupted(this.link.address, error))
          if (refused) this.#events.refused(meaningOf(error))
        },
      )
    })
  }

  /** Something came back, if perhaps too late for its caller: the server lives. */
  #answered(sentAt: number, inTime: boolean): void {
    const now = this.#settings.clock.mono()
    this.#pending--
    this.#lastHeard = now
    this.latency = now - sentAt
    this.#waitingSince = this.#pending > 0 ? now : undefined
    if (inTime) this.#missedInARow = 0
  }

  #overdue({ deadline, reject }: Call, lateMs: number): void {
    reject(new RedisTimeout(`no answer from ${this.link.address} within ${deadline} ms`))
    this.#missed(lateMs > this.#settings.lagMs)
  }

  /** Breaker: deadlines missed in a row mean a server too slow to use, even if it still breathes. */
  #missed(ourFault: boolean): void {
    this.#events.timeout()
    if (ourFault || this.#lost) return
    this.#missedInARow++
    if (this.#missedInARow < this.#settings.breakAfter) return
    this.fail(new RedisUnavailable(`${this.link.address} missed ${this.#missedInARow} deadlines in a row`))
  }

  #armWatchdog(): void {
    const { clock, pingEveryMs } = this.#settings
    this.#due = clock.mono() + pingEveryMs
    this.#watch = clock.after(pingEveryMs, () => clock.afterInput(() => this.#look()))
  }

  #look(): void {
    if (this.#lost) return
    const { clock, pingEveryMs, deadAfterMs } = this.#settings
    const now = clock.mono()
    // Time in which our own event loop stood still says nothing about the server: in it, nothing
    // left and nothing was read.
    const stoodStill = Math.max(0, now - this.#due)
    if (this.#waitingSince !== undefined) this.#waitingSince = Math.min(now, this.#waitingSince + stoodStill)
    if (this.#waitingSince !== undefined && now - this.#waitingSince >= deadAfterMs) {
      const silent = Math.round(now - this.#waitingSince)
      this.fail(new RedisUnavailable(`${this.link.address} has been silent for ${silent} ms`))
      return
    }
    // A PING of the watchdog has no deadline of its own: silence is judged above.
    if (this.#waitingSince === undefined && now - this.#lastHeard >= pingEveryMs / 2) {
      this.#track(() => this.link.ping(), 3_600_000).catch(() => {})
    }
    this.#armWatchdog()
  }
}

/**
 * What a caller is told whose command was under way when the connection went. It may have arrived,
 * so this must not look like RedisUnavailable, which promises that nothing was sent.
 */
function interrupted(address: string, cause: unknown): Error {
  if (cause instanceof Closed) return cause
  return new RedisTimeout(`${address} had not answered when the connection was lost`, { cause })
}

/** What a caller is told when there is no connection because of `cause`. */
export function unavailable(address: string, cause: Error): Error {
  return cause instanceof RedisUnavailable || cause instanceof Closed
    ? cause
    : new RedisUnavailable(`no connection to ${address}: ${cause.message}`, { cause })
}
