import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Arg, Reply, ReplyAs } from './link.ts'
import type { Script } from './script.ts'

/** What capabilities see of Redis: nodes by key, each supervised. */
export interface RedisPort {
  readonly topology: 'single' | 'sentinel' | 'cluster'
  readonly label: string
  readonly clock: Clock
  readonly random: Random
  /** The master that owns the key's slot now. A throwing look-up never happens: a node may be down. */
  nodeFor(key: string): RedisNode
  /** Every known master. */
  nodes(): readonly RedisNode[]
  /** Resolves when every node is ready; rejects with the last cause after `ms`. */
  ready(ms: number): Promise<void>
  /** Slots moved or masters changed: owners must ask `nodeFor` again. Returns the unsubscriber. */
  onTopology(listener: () => void): () => void
  /** What is known of the servers. Never asks them. */
  health(): RedisHealth
  /** Closes the connections that it opened; never rejects. */
  close(): Promise<void>
}

export interface SendOptions {
  /** Milliseconds on the monotonic clock until the caller gets RedisTimeout. */
  readonly deadline: number
  readonly as?: ReplyAs
}

/** One master, behind own deadline, watchdog, reconnect, incarnation gate and breaker. */
export interface RedisNode {
  readonly address: string
  readonly state: NodeState
  /** Rises by one with each connection that passed the gate. */
  readonly generation: number
  /** `run_id.master_replid` proven on the current data link; '' before the first. */
  readonly incarnation: string
  /** Milliseconds of server time now, by the offset measured on the current link. */
  serverNow(): number
  /**
   * Sends one command. Rejects at once with RedisUnavailable while not ready (nothing was sent), with
   * RedisTimeout at the deadline or when the connection is lost first (the command may still run),
   * with RedisReplyError when the server refuses.
   */
  send(args: readonly Arg[], options: SendOptions): Promise<Reply>
  /** EVALSHA, falling back to EVAL on NOSCRIPT, within one deadline. */
  eval(script: Script, keys: readonly string[], args: readonly Arg[], options: SendOptions): Promise<Reply>
  /**
   * Hooks a listener to the life of this node. `gate` runs on each new connection that proved role
   * and incarnation, before it opens for traffic; `send` passed to it goes through at once; if it
   * rejects, the connection is dropped and dialled anew. `down` runs when the link is lost. Hooks
   * attached to a node that is ready run from its next connection on.
   */
  attach(hooks: NodeHooks): () => void
  /** The node's push connection: a second link to the same server incarnation, gated alike. */
  readonly bus: NodeBus
}

/**
 * `connecting`: never was ready. `ready`: proven, open for traffic. `down`: was, and is not. `closed`:
 * for good.
 */
export type NodeState = 'connecting' | 'ready' | 'down' | 'closed'

export interface NodeHooks {
  gate?(context: GateContext): Promise<void>
  down?(cause: Error): void
}

export interface GateContext {
  readonly incarnation: string
  send(args: readonly Arg[], options: SendOptions): Promise<Reply>
  eval(script: Script, keys: readonly string[], args: readonly Arg[], options: SendOptions): Promise<Reply>
}

/**
 * Pub/sub with a provable position. Messages published on this node by scripts arrive in commit
 * order; the reply to `ping` proves that everything published before the ping was delivered.
 * On a lost link `gap` is called once, at once; after re-subscription on a gated link `open` is.
 */
export interface NodeBus {
  readonly isOpen: boolean
  subscribe(channels: readonly string[], handler: BusHandler): () => void
  /** Rejects when the link is down or does not answer within `deadline` ms. */
  ping(deadline: number): Promise<void>
}

export interface BusHandler {
  message(message: string, channel: string): void
  gap(): void
  open(): void
}

/** What is known of the servers behind one source. Never asks them. */
export interface RedisHealth {
  readonly topology: string
  readonly label: string
  readonly nodes: readonly NodeHealth[]
}

/** What is known of one server. Never asks it. */
export interface NodeHealth {
  readonly address: string
  readonly state: NodeState
  readonly since: number
  /** Last measured round trip in ms. */
  readonly latency: number | undefined
  readonly lastError: string | undefined
  readonly reconnects: number
  readonly timeouts: number
  /** Calls that went out, and those of them that wait for their answer: all share one connection. */
  readonly sent: number
  readonly pending: number
  readonly serverVersion: string | undefined
}
