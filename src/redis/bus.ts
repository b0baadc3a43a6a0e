import type { Timer } from '../base/clock.ts'
import { Closed, RedisUnavailable } from '../base/errors.ts'
import { parseAddress } from './address.ts'
import { Backoff } from './backoff.ts'
import { Handshake } from './handshake.ts'
import type { Identity } from './identity.ts'
import type { Dialer } from './link.ts'
import { openSession } from './open-session.ts'
import type { BusHandler, NodeBus } from './port.ts'
import type { Session } from './session.ts'
import { unavailable } from './session.ts'
import type { RedisSettings } from './settings.ts'

export interface BusEvents {
  open(): void
  gap(cause: Error): void
}

interface Subscriber {
  readonly channels: readonly string[]
  readonly handler: BusHandler
  /** Told `open` and not yet `gap`. */
  isOpen: boolean
}

/**
 * The push connection of one node. It exists only while somebody listens and the data link is
 * ready, and only if it leads to the very server that the data link proved.
 */
export class Bus implements NodeBus {
  #dialer: Dialer
  #settings: RedisSettings
  #events: BusEvents
  #subscribers = new Set<Subscriber>()
  #byChannel = new Map<string, Set<Subscriber>>()
  /** Identity and address proved by the data link; undefined while that is down. */
  #followed: { identity: Identity; address: string; dialAddress: boolean } | undefined
  #session: Session | undefined
  #attempt: AbortController | undefined
  #retry: Timer | undefined
  /** Channels that the open link has; those wanted are the keys of `#byChannel`. */
  #subscribed = new Set<string>()
  #adjusting: Promise<void> = Promise.resolve()
  #backoff: Backoff
  #handshake: Handshake
  #openedAt = 0
  #closed: Error | undefined

  constructor(dialer: Dialer, settings: RedisSettings, events: BusEvents) {
    this.#dialer = dialer
    this.#settings = settings
    this.#events = events
    this.#backoff = new Backoff(settings)
    this.#handshake = new Handshake(settings)
  }

  get isOpen(): boolean {
    return this.#session !== undefined
  }

  /**
   * Messages may arrive before `open`; what was published before `open` may also be missed. Every
   * `open` means: from here on nothing is missed until `gap`.
   */
  subscribe(channels: readonly string[], handler: BusHandler): () => void {
    if (this.#closed) throw this.#closed
    const subscriber: Subscriber = { channels: [...new Set(channels)], handler, isOpen: false }
    this.#subscribers.add(subscriber)
    for (const channel of subscriber.channels) {
      const there = this.#byChannel.get(channel)
      if (there) there.add(subscriber)
      else this.#byChannel.set(channel, new Set([subscriber]))
    }
    if (this.#session) this.#adjust(this.#session)
    else this.#connect()
    return () => this.#leave(subscriber)
  }

  ping(deadline: number): Promise<void> {
    if (this.#session) return this.#session.ping(deadline)
    return Promise.reject(this.#closed ?? new RedisUnavailable('the push connection is not open'))
  }

  /** The data link passed its gate: connect to the same server. */
  follow(address: string, identity: Identity, how: 'address' | undefined): void {
    this.#followed = { identity, address, dialAddress: how === 'address' }
    this.#connect()
  }

  /** The data link is gone: nothing that this bus says can be trusted any more. */
  lose(cause: Error): void {
    this.#followed = undefined
    this.#disconnect(cause)
  }

  close(cause: Error): void {
    this.#closed = cause
    this.lose(cause)
    this.#subscribers.clear()
    this.#byChannel.clear()
  }

  #connect(): void {
    if (this.#session || this.#attempt || !this.#followed || this.#subscribers.size === 0) return
    this.#retry?.cancel()
    const attempt = new AbortController()
    this.#attempt = attempt
    this.#open(attempt.signal).then(
      () => {
        if (this.#attempt === attempt) this.#attempt = undefined
      },
      () => {
        if (this.#attempt !== attempt) return
        this.#attempt = undefined
        this.#retryLater(0)
      },
    )
  }

  async #open(signal: AbortSignal): Promise<void> {
    const followed = this.#followed
    if (!followed) return
    const target = followed.dialAddress ? parseAddress(followed.address) : undefined
    let live: Session | undefined
    // This link's own: what an attempt that came to nothing had subscribed is worth nothing later.
    const subscribed = new Set<string>()
    const events = {
      lost: (cause: Error) => {
        if (live) this.#onLost(live, cause)
      },
      timeout() {},
      refused() {},
    }
    const { session, identity } = await this.#handshake.attempt((settings) =>
      openSession(this.#dialer, target, settings, events, signal),
    )
    try {
      if (identity.runId !== followed.identity.runId || identity.replid !== followed.identity.replid) {
        throw new RedisUnavailable('the push connection reached another server than the data connection')
      }
      await this.#reconcile(session, subscribed)
      if (signal.aborted) throw signal.reason
      if (session.isLost) throw new RedisUnavailable('the push connection was lost while subscribing')
    } catch (error) {
      session.end(error as Error)
      throw error
    }
    live = session
    this.#session = session
    this.#subscribed = subscribed
    this.#openedAt = this.#settings.clock.mono()
    this.#events.open()
    // Somebody may have come or gone in the very last turn.
    this.#adjust(session)
  }

  /** Brings the server's subscriptions to what is wanted now, one change at a time, in order. */
  async #reconcile(session: Session, subscribed: Set<string>): Promise<void> {
    const { handshakeMs } = this.#settings
    for (;;) {
      const missing = [...this.#byChannel.keys()].filter((channel) => !subscribed.has(channel))
      const idle = [...subscribed].filter((channel) => !this.#byChannel.has(channel))
      if (session.isLost || missing.length + idle.length === 0) return
      if (missing.length > 0) await session.subscribe(missing, this.#deliver, handshakeMs)
      for (const channel of missing) subscribed.add(channel)
      if (idle.length > 0) await session.unsubscribe(idle, handshakeMs)
      for (const channel of idle) subscribed.delete(channel)
    }
  }

  /** The same while the bus is open; a newcomer is told `open` once its channels are subscribed. */
  #adjust(session: Session): void {
    const subscribed = this.#subscribed
    this.#adjusting = this.#adjusting
      .then(() => this.#reconcile(session, subscribed))
      .then(
        () => {
          if (this.#session !== session) return
          for (const subscriber of [...this.#subscribers]) {
            if (subscriber.channels.every((channel) => subscribed.has(channel))) this.#tellOpen(subscriber)
          }
        },
        (error: Error) => session.fail(unavailable(session.link.address, error)),
      )
  }

  #leave(subscriber: Subscriber): void {
    if (!this.#subscribers.delete(subscriber)) return
    for (const channel of subscriber.channels) {
      const there = this.#byChannel.get(channel)
      if (there?.delete(subscriber) && there.size === 0) this.#byChannel.delete(channel)
    }
    if (this.#subscribers.size === 0) this.#disconnect(new Closed('nobody listens any more'))
    else if (this.#session) this.#adjust(this.#session)
  }

  #deliver = (message: string, channel: string): void => {
    const there = this.#byChannel.get(channel)
    if (there) for (const subscriber of [...there]) subscriber.handler.message(message, channel)
  }

  #tellOpen(subscriber: Subscriber): void {
    if (subscriber.isOpen || !this.#subscribers.has(subscriber)) return
    subscriber.isOpen = true
    subscriber.handler.open()
  }

  #onLost(session: Session, cause: Error): void {
    if (this.#session !== session) return
    this.#disconnect(cause)
    this.#retryLater(this.#settings.clock.mono() - this.#openedAt)
  }

  #disconnect(cause: Error): void {
    this.#attempt?.abort(cause)
    this.#attempt = undefined
    this.#retry?.cancel()
    this.#subscribed = new Set()
    const session = this.#session
    this.#session = undefined
    session?.end(cause)
    if (session) this.#events.gap(cause)
    for (const subscriber of [...this.#subscribers]) {
      if (!subscriber.isOpen) continue
      subscriber.isOpen = false
      subscriber.handler.gap()
    }
  }

  #retryLater(lived: number): void {
    if (!this.#followed || this.#subscribers.size === 0) return
    this.#retry = this.#settings.clock.after(this.#backoff.after(lived), () => this.#connect())
  }
}
