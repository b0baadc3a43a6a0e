/**
 * The narrow waist between Holdfast and a Redis client library: one physical connection to one
 * server. node-redis and ioredis are adapted to it by shape; the simulator implements it too.
 * A link never reconnects, never queues while offline and never retries: the supervisor does.
 */
export type Arg = string | Buffer
export type Reply = string | number | Buffer | null | Reply[]

/** How bulk strings in a reply are handed over. Text is cheaper for JSON; bytes are exact. */
export type ReplyAs = 'text' | 'bytes'

export interface Link {
  /** `host:port`, for messages and metrics; never credentials. */
  readonly address: string
  /**
   * Sends one command. Commands leave in call order and replies settle in that order.
   * Rejects with RedisReplyError when the server answers with an error, with RedisUnavailable
   * once the socket is gone. Has no deadline of its own.
   */
  send(args: readonly Arg[], as?: ReplyAs): Promise<Reply>
  /** Subscribes this link. Afterwards only `subscribe`, `unsubscribe` and `ping` may be used on it. */
  subscribe(channels: readonly string[], listener: (message: string, channel: string) => void): Promise<void>
  unsubscribe(channels: readonly string[]): Promise<void>
  /** Allowed on a subscribed link: its reply proves that every earlier push was delivered. */
  ping(): Promise<void>
  /** Called once when the socket is gone, for whatever cause but `destroy()`. */
  onDown(listener: (cause: Error) => void): void
  /** Closes at once; pending sends reject with RedisUnavailable. Idempotent, never throws. */
  destroy(): void
}

export interface Target {
  readonly host: string
  readonly port: number
}

/** Opens links: from a URL, or in the image of a client that the user already has. */
export interface Dialer {
  readonly topology: 'single' | 'sentinel' | 'cluster'
  /** What is dialled, without user, password or query: for errors and health. */
  readonly label: string
  /** Whether it asks for TLS, where that is known: for the hint of an error. */
  readonly tls?: boolean
  /**
   * Opens one link: to `target`, or where there is none to the configured server, the master that
   * the sentinels name now, or any reachable cluster node. Rejects with RedisUnavailable, or with
   * ConfigError when retrying cannot help (wrong password, not a Redis port). The supervisor sets
   * the deadline; when `signal` aborts, the half-open socket is closed.
   */
  dial(target: Target | undefined, signal: AbortSignal): Promise<Link>
}
