import { RedisReplyError, RedisUnavailable } from '../../src/base/errors.ts'
import type { Arg, Dialer, Link, Reply, ReplyAs, Target } from '../../src/redis/link.ts'
import { INPUT } from './event-queue.ts'
import type { Prng } from './prng.ts'
import type { Snapshot } from './redis/keyspace.ts'
import { ServerError, type ServerReply, Status, toBytes, toText } from './redis/reply.ts'
import { FakeServer, type Peer } from './server.ts'
import { EPOCH_MS, type SimProcess, type World } from './world.ts'

export interface Latency {
  /** Usual one-way delay in ms. */
  readonly low: number
  readonly high: number
  /** Share of messages with a delay of up to `tail` ms. */
  readonly tailShare: number
  readonly tail: number
}

/** A server machine: may be slow, frozen, dead, or back from an old file. */
export class Host {
  readonly world: World
  readonly server: FakeServer
  readonly links = new Set<SimLink>()
  readonly history: { readonly at: number; readonly snapshot: Snapshot }[] = []
  up = true
  #frozenUntil = 0

  constructor(world: World, address: string) {
    this.world = world
    const prng = world.random(`server ${address}`)
    const skew = prng.between(-40, 40)
    this.server = new FakeServer(address, { now: () => EPOCH_MS + world.now + skew, hex: (n) => prng.hex(n) })
  }

  freeze(ms: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.world.now + ms)
  }

  get frozenUntil(): number {
    return this.#frozenUntil
  }

  /** Keeps what a restart or a lagging replica may later come back with. */
  remember(keepMs: number): void {
    this.history.push({ at: this.world.now, snapshot: this.server.keys.snapshot() })
    while (this.history.length > 1 && this.history[0]!.at < this.world.now - keepMs) this.history.shift()
  }
}

interface Pending {
  resolve(reply: ServerReply): void
  reject(error: Error): void
}

type Inbound =
  | { readonly arrives: number; readonly reply: ServerReply }
  | { readonly arrives: number; readonly channel: string; readonly message: string }

interface Outbound {
  readonly arrives: number
  /** undefined = the client closed its end. */
  readonly args: readonly string[] | undefined
}

/**
 * One TCP connection. Both directions keep order; what arrives at one moment is read in one go.
 * Whatever left the client before it closed still reaches the server, late as it may be.
 */
export class SimLink implements Link, Peer {
  readonly address: string
  readonly host: Host
  readonly process: SimProcess
  /** For traces. */
  readonly name: string
  readonly #network: Network
  readonly #pending: Pending[] = []
  readonly #listeners: ((cause: Error) => void)[] = []
  readonly #channels = new Map<string, (message: string, channel: string) => void>()
  readonly #toServer: Outbound[] = []
  readonly #toClient: Inbound[] = []
  #closed: Error | undefined
  #severed = false
  #lostOut = false
  #lostIn = false
  #stalledOut = 0
  #stalledIn = 0
  #lastOut = 0
  #lastIn = 0

  constructor(network: Network, host: Host, process: SimProcess) {
    this.#network = network
    this.host = host
    this.process = process
    this.address = host.server.address
    this.name = `${process.name}@${this.address}#${++network.links}`
    host.links.add(this)
  }

  send(args: readonly Arg[], as: ReplyAs = 'text'): Promise<Reply> {
    return this.#request(args.map(toBytes)).then((reply) => convert(reply, as))
  }

  async subscribe(
    channels: readonly string[],
    listener: (message: string, channel: string) => void,
  ): Promise<void> {
    for (const channel of channels) this.#channels.set(channel, listener)
    await this.#request(['SUBSCRIBE', ...channels.map(toBytes)])
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    await this.#request(['UNSUBSCRIBE', ...channels.map(toBytes)])
    for (const channel of channels) this.#channels.delete(channel)
  }

  async ping(): Promise<void> {
    await this.#request(['PING'])
  }

  onDown(listener: (cause: Error) => void): void {
    this.#listeners.push(listener)
  }

  destroy(): void {
    if (this.#closed) return
    this.#fail(new RedisUnavailable(`the link to ${this.address} was closed`), false)
    if (this.#lostOut || this.#severed) this.#detach()
    else this.#post(undefined)
  }

  get open(): boolean {
    return !this.#closed && !this.#severed
  }

  /** RST: some of what is under way is lost; the client notices after `noticeMs`. */
  cut(prng: Prng, noticeMs: number): void {
    if (this.#severed) return
    this.#severed = true
    this.#toServer.length = prng.int(this.#toServer.length + 1)
    this.#toClient.length = prng.chance(0.5) ? prng.int(this.#toClient.length + 1) : this.#toClient.length
    if (this.#toServer.length === 0) this.#detach()
    else this.#toServer.push({ arrives: this.#lastOut, args: undefined })
    const notice = Math.max(this.host.world.now + noticeMs, this.#lastIn)
    this.process.input(notice, () =>
      this.#fail(new RedisUnavailable(`connection to ${this.address} reset`), true),
    )
  }

  /** Its process died: the kernel closes the socket, what was written still arrives. */
  abandon(): void {
    if (!this.#closed) this.#closed = new RedisUnavailable('the process died')
    if (this.#lostOut || this.#severed) this.#detach()
    else this.#post(undefined)
  }

  /** Everything from now on vanishes without a trace, in one direction or both. */
  swallow(direction: 'out' | 'in' | 'both'): void {
    if (direction !== 'in') {
      this.#lostOut = true
      this.#toServer.length = 0
    }
    if (direction !== 'out') {
      this.#lostIn = true
      this.#toClient.length = 0
    }
  }

  /** Nothing moves until then; afterwards all of it arrives in order. */
  stall(ms: number, direction: 'out' | 'in' | 'both'): void {
    const until = this.host.world.now + ms
    if (direction !== 'in') this.#stalledOut = Math.max(this.#stalledOut, until)
    if (direction !== 'out') this.#stalledIn = Math.max(this.#stalledIn, until)
  }

  push(channel: string, message: string): void {
    this.#deliver({ arrives: this.#arrival('in'), channel, message })
  }

  #request(args: readonly string[]): Promise<ServerReply> {
    if (this.#closed) return Promise.reject(new RedisUnavailable(this.#closed.message))
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#post(args)
    })
  }

  #post(args: readonly string[] | undefined): void {
    if (this.#lostOut || this.#severed) return
    const arrives = this.#arrival('out')
    this.#toServer.push({ arrives, args })
    if (this.#toServer.length === 1 || this.#toServer.at(-2)!.arrives !== arrives) this.#wakeServer(arrives)
    this.#network.messages++
  }

  /** When a message sent now gets there: never before one sent earlier. */
  #arrival(direction: 'out' | 'in'): number {
    const last = direction === 'out' ? this.#lastOut : this.#lastIn
    const stalled = direction === 'out' ? this.#stalledOut : this.#stalledIn
    const arrives = Math.max(last, stalled, this.host.world.now + this.#network.delay())
    if (direction === 'out') this.#lastOut = arrives
    else this.#lastIn = arrives
    return arrives
  }

  #wakeServer(at: number): void {
    this.host.world.at(at, () => this.#read(), INPUT)
  }

  /** The server reads what has arrived and executes it. */
  #read(): void {
    const { host } = this
    const { now } = host.world
    if (!host.up) return
    const until = Math.max(host.frozenUntil, this.#stalledOut)
    if (until > now) {
      this.#wakeServer(until)
      return
    }
    while (this.#toServer[0] && this.#toServer[0].arrives <= now) {
      const { args } = this.#toServer.shift()!
      if (args === undefined) {
        this.#detach()
        return
      }
      const reply = this.#execute(args)
      if (!this.#severed) this.#deliver({ arrives: this.#arrival('in'), reply })
    }
  }

  #execute(args: readonly string[]): ServerReply {
    const { server } = this.host
    if (args[0] !== 'SUBSCRIBE' && args[0] !== 'UNSUBSCRIBE') return this.#network.execute(this, args)
    this.host.world.note('server', () => `${this.name} ${args.join(' ')}`)
    for (const channel of args.slice(1)) {
      if (args[0] === 'SUBSCRIBE') server.subscribe(this, channel)
      else server.unsubscribe(this, channel)
    }
    return null
  }

  #deliver(message: Inbound): void {
    if (this.#lostIn || this.#closed || this.#severed) return
    this.#toClient.push(message)
    if (this.#toClient.length === 1 || this.#toClient.at(-2)!.arrives !== message.arrives)
      this.#wakeClient(message.arrives)
  }

  #wakeClient(at: number): void {
    this.process.input(at, () => this.#receive())
  }

  #receive(): void {
    const { now } = this.host.world
    if (this.#stalledIn > now && !this.#closed) {
      this.#wakeClient(this.#stalledIn)
      return
    }
    while (!this.#closed && this.#toClient[0] && this.#toClient[0].arrives <= now) {
      const message = this.#toClient.shift()!
      if ('reply' in message) this.#pending.shift()?.resolve(message.reply)
      else {
        const channel = toText(message.channel)
        this.host.world.note('push', () => `${this.name} ${channel} ${clip(toText(message.message))}`)
        this.#channels.get(channel)?.(toText(message.message), channel)
      }
    }
  }

  #fail(cause: Error, tell: boolean): void {
    if (this.#closed) return
    this.host.world.note('closed', () => `${this.name} ${cause.message}`)
    this.#closed = cause
    this.#toClient.length = 0
    for (const waiting of this.#pending.splice(0)) waiting.reject(new RedisUnavailable(cause.message))
    if (tell) for (const listener of this.#listeners) listener(cause)
  }

  #detach(): void {
    this.host.world.note('detached', () => this.name)
    this.host.links.delete(this)
    this.host.server.unsubscribe(this)
  }
}

function convert(reply: ServerReply, as: ReplyAs): Reply {
  if (reply === null || typeof reply === 'number') return reply
  if (typeof reply === 'string') return as === 'bytes' ? Buffer.from(reply, 'latin1') : toText(reply)
  if (reply instanceof Status) return reply.text
  if (reply instanceof ServerError) throw new RedisReplyError(reply.message)
  return reply.map((item) => (item instanceof ServerError ? item.message : convert(item, as)))
}

/** All hosts and all links, and the name service that says which host is the master. */
export class Network {
  readonly world: World
  readonly hosts: Host[]
  /** What a dial without target reaches. */
  master: Host
  latency: Latency
  messages = 0
  links = 0
  readonly #prng: Prng

  constructor(world: World, addresses: readonly string[], latency: Latency) {
    this.world = world
    this.hosts = addresses.map((address) => new Host(world, address))
    this.master = this.hosts[0]!
    this.latency = latency
    this.#prng = world.random('network')
  }

  delay(): number {
    const { low, high, tailShare, tail } = this.latency
    return this.#prng.chance(tailShare) ? this.#prng.between(high, tail) : this.#prng.between(low, high)
  }

  execute(link: SimLink, args: readonly string[]): ServerReply {
    const reply = link.host.server.execute(args)
    if (this.world.tracing) {
      this.world.note('server', () => `${link.name} ${show(args)} -> ${showReply(reply)}`)
    }
    return reply
  }

  openLinks(): SimLink[] {
    return this.hosts.flatMap((host) => [...host.links].filter((link) => link.open && !link.process.dead))
  }

  dialer(process: SimProcess): Dialer {
    return {
      topology: 'single',
      label: 'sim:6379',
      dial: (target, signal) => this.#dial(process, target, signal),
    }
  }

  async #dial(process: SimProcess, target: Target | undefined, signal: AbortSignal): Promise<Link> {
    const host = target
      ? this.hosts.find((h) => h.server.address === `${target.host}:${target.port}`)
      : this.master
    await this.#wait(process, signal)
    if (!host?.up) throw new RedisUnavailable(`connection to ${host?.server.address ?? 'nowhere'} refused`)
    const link = new SimLink(this, host, process)
    const abort = () => link.destroy()
    signal.addEventListener('abort', abort, { once: true })
    try {
      await link.send(['HELLO', '3'])
    } finally {
      signal.removeEventListener('abort', abort)
    }
    return link
  }

  #wait(process: SimProcess, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new RedisUnavailable('dial aborted')), { once: true })
      process.input(this.world.now + this.delay() * 2, resolve)
    })
  }
}

const clip = (text: string): string =>
  (text.length > 60 ? `${text.slice(0, 87)}…` : text).replaceAll('\n', '⏎')

function show(args: readonly string[]): string {
  const shown = args[0] === 'EVAL' ? ['EVAL', '…', ...args.slice(2)] : args
  return shown.map(clip).join(' ')
}

function showReply(reply: ServerReply): string {
  if (reply === null) return 'nil'
  if (Array.isArray(reply)) return `[${reply.map(showReply).join(', ')}]`
  if (reply instanceof Status) return reply.text
  if (reply instanceof ServerError) return `(error) ${reply.message}`
  return clip(String(reply))
}
