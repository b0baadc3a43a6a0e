import { sleep } from '../base/clock.ts'
import { Closed, ConfigError, RedisUnavailable } from '../base/errors.ts'
import { formatAddress } from './address.ts'
import { Backoff } from './backoff.ts'
import { Bus } from './bus.ts'
import type { RedisEventName } from './events.ts'
import { keepProving, passGates } from './gate.ts'
import { Handshake } from './handshake.ts'
import type { Identity } from './identity.ts'
import type { Arg, Dialer, Reply, Target } from './link.ts'
import type { Opened } from './open-session.ts'
import { openSession } from './open-session.ts'
import type { NodeHealth, NodeHooks, NodeState, RedisNode, SendOptions } from './port.ts'
import type { Script } from './script.ts'
import { ServerClock } from './server-clock.ts'
import type { Session, SessionEvents } from './session.ts'
import { unavailable } from './session.ts'
import type { RedisSettings } from './settings.ts'

/** What a node tells the topology that owns it. */
export interface NodeOwner {
  /** Something suggests that this is not the master any more, or that slots moved. */
  doubt(node: SupervisedNode, cause: string): void
  event(name: RedisEventName, node: SupervisedNode, cause?: Error): void
}

/** Answers of the server that mean: this connection does not lead to a usable master. */
const NOT_A_MASTER = new Set(['READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH'])
const MAP_IS_OLD = new Set(['MOVED', 'CLUSTERDOWN', 'ASK'])

/**
 * One master, kept connected: dial, prove, run the gate hooks, serve, notice the loss, dial again
 * with a fresh client. No command ever crosses from one connection to the next.
 */
export class SupervisedNode implements RedisNode {
  readonly bus: Bus
  readonly settings: RedisSettings
  readonly #handshake: Handshake
  #dialer: Dialer
  #target: Target | undefined
  #owner: NodeOwner
  #state: NodeState = 'connecting'
  #since: number
  #generation = 0
  #incarnation = ''
  #identity: Identity | undefined
  #session: Session | undefined
  #address: string
  #lastError: Error | undefined
  #reconnects = 0
  #timeouts = 0
  /** Over the connections that are gone. */
  #sent = 0
  #serverClock = new ServerClock()
  #hooks = new Set<NodeHooks>()
  #waiters = new Set<{ resolve: () => void; reject: (cause: Error) => void }>()
  #closing = new AbortController()
  /** Settles the wait for the end of the current connection. */
  #endLife: (cause: Error) => void = () => {}

  constructor(dialer: Dialer, target: Target | undefined, settings: RedisSettings, owner: NodeOwner) {
    this.#dialer = dialer
    this.#target = target
    this.settings = settings
    this.#handshake = new Handshake(settings)
    this.#owner = owner
    this.#address = target ? formatAddress(target.host, target.port) : dialer.label
    this.#since = settings.clock.wall()
    this.bus = new Bus(dialer, settings, {
      open: () => owner.event('open', this),
      gap: (cause) => owner.event('gap', this, cause),
    })
    void this.#run()
  }

  get address(): string {
    return this.#address
  }

  get state(): NodeState {
    return this.#state
  }

  get generation(): number {
    return this.#generation
  }

  get incarnation(): string {
    return this.#incarnation
  }

  get lastError(): Error | undefined {
    return this.#lastError
  }

  serverNow(): number {
    const { clock } = this.settings
    return this.#serverClock.now(clock.mono(), clock.wall())
  }

  send(args: readonly Arg[], options: SendOptions): Promise<Reply> {
    return this.#session ? this.#session.send(args, options) : Promise.reject(this.#refusal())
  }

  eval(script: Script, keys: readonly string[], args: readonly Arg[], options: SendOptions): Promise<Reply> {
    return this.#session ? this.#session.eval(script, keys, args, options) : Promise.reject(this.#refusal())
  }

  attach(hooks: NodeHooks): () => void {
    this.#hooks.add(hooks)
    return () => this.#hooks.delete(hooks)
  }

  /** Resolves once ready; rejects at once with ConfigError when trying again cannot help. */
  whenReady(): Promise<void> {
    if (this.#state === 'ready') return Promise.resolve()
    if (this.#state === 'closed') return Promise.reject(this.#refusal())
    if (this.#lastError instanceof ConfigError) return Promise.reject(this.#lastError)
    return new Promise((resolve, reject) => this.#waiters.add({ resolve, reject }))
  }

  health(): NodeHealth {
    return {
      address: this.#address,
      state: this.#state,
      since: this.#since,
      latency: this.#session?.latency,
      lastError: this.#lastError?.message,
      reconnects: this.#reconnects,
      timeouts: this.#timeouts,
      sent: this.#sent + (this.#session?.sent ?? 0),
      pending: this.#session?.pending ?? 0,
      serverVersion: this.#identity?.version,
    }
  }

  close(cause: Error = new Closed()): void {
    if (this.#state === 'closed') return
    const wasReady = this.#state === 'ready'
    this.#become('closed')
    this.#closing.abort(cause)
    this.bus.close(cause)
    this.#session?.end(cause)
    this.#leaveSession()
    this.#endLife(cause)
    if (wasReady) this.#tellDown(cause)
    this.#settleWaiters((waiter) => waiter.reject(cause))
  }

  /** Drops the connection, if any, because of what somebody else learned. */
  drop(cause: Error): void {
    this.#session?.fail(cause)
  }

  async #run(): Promise<void> {
    const { clock } = this.settings
    const backoff = new Backoff(this.settings)
    while (this.#state !== 'closed') {
      let lived = 0
      try {
        lived = await this.#live()
      } catch (error) {
        if (this.#isClosed()) return
        this.#noteFailure(error as Error)
      }
      if (this.#isClosed()) return
      try {
        // What trying again will hardly mend is tried more slowly.
        const patience = this.#lastError instanceof ConfigError ? 4 : 1
        await sleep(clock, backoff.after(lived) * patience, this.#closing.signal)
      } catch {
        return
      }
    }
  }

  /** One connection from dialling to loss. Returns how long it was ready, in ms. */
  async #live(): Promise<number> {
    const { clock } = this.settings
    const lost = new Promise<Error>((resolve) => {
      this.#endLife = resolve
    })
    let readyAt: number | undefined
    const events: SessionEvents = {
      lost: (cause) => {
        this.#endLife(cause)
        if (readyAt !== undefined) this.#onLost(cause)
      },
      timeout: () => {
        this.#timeouts++
        this.#owner.event('timeout', this)
      },
      refused: (meaning) => this.#onRefused(meaning),
    }
    const opened = await this.#handshake.attempt((settings) =>
      openSession(this.#dialer, this.#target, settings, events, this.#closing.signal),
    )
    try {
      this.#serverClock.reset()
      this.#serverClock.add(opened.identity.clock)
      await passGates(this.#hooks, opened, lost, this.settings)
      if (opened.session.isLost) throw await lost
    } catch (error) {
      opened.session.end(error as Error)
      throw error
    }
    readyAt = clock.mono()
    this.#onReady(opened)
    const stopProving = keepProving(opened, this.settings, (sample) => this.#serverClock.add(sample))
    await lost
    stopProving()
    return clock.mono() - readyAt
  }

  #onReady({ session, identity, incarnation }: Opened): void {
    this.#session = session
    this.#identity = identity
    this.#incarnation = incarnation
    this.#address = session.link.address
    if (this.#generation > 0) this.#reconnects++
    this.#generation++
    this.#lastError = undefined
    this.#become('ready')
    this.bus.follow(
      session.link.address,
      identity,
      this.#dialer.topology === 'single' ? undefined : 'address',
    )
    this.#settleWaiters((waiter) => waiter.resolve())
    this.#owner.event('ready', this)
  }

  #leaveSession(): void {
    this.#sent += this.#session?.sent ?? 0
    this.#session = undefined
  }

  #onLost(cause: Error): void {
    this.#leaveSession()
    this.#lastError = cause
    if (this.#state === 'ready') this.#become('down')
    this.bus.lose(cause)
    this.#tellDown(cause)
    this.#owner.event('lost', this, cause)
    this.#owner.doubt(this, 'connection lost')
  }

  #noteFailure(cause: Error): void {
    this.#lastError = cause
    if (this.#state === 'connecting') this.#become('down')
    this.#owner.event('refused', this, cause)
    if (cause instanceof ConfigError) this.#settleWaiters((waiter) => waiter.reject(cause))
    this.#owner.doubt(this, 'not connected')
  }

  #onRefused(meaning: string): void {
    if (NOT_A_MASTER.has(meaning)) {
      this.#session?.fail(new RedisUnavailable(`${this.#address} answered ${meaning}`))
    } else if (MAP_IS_OLD.has(meaning)) {
      this.#owner.doubt(this, meaning)
    }
  }

  #tellDown(cause: Error): void {
    for (const hooks of [...this.#hooks]) hooks.down?.(cause)
  }

  #settleWaiters(settle: (waiter: { resolve: () => void; reject: (cause: Error) => void }) => void): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const waiter of waiters) settle(waiter)
  }

  #become(state: NodeState): void {
    this.#state = state
    this.#since = this.settings.clock.wall()
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #refusal(): Error {
    if (this.#state === 'closed') return this.#closing.signal.reason as Error
    return this.#lastError
      ? unavailable(this.#address, this.#lastError)
      : new RedisUnavailable(`not connected to ${this.#address} yet`)
  }
}
