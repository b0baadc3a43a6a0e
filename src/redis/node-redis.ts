import { ConfigError, RedisReplyError, RedisUnavailable } from '../base/errors.ts'
import type { Arg, Link, Reply, ReplyAs } from './link.ts'
import { replyError } from './reply-error.ts'

/** The part of a node-redis client (5.10+ or 6) that we call. */
export interface NodeRedisClient {
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  destroy(): void
  sendCommand(args: readonly Arg[], options?: object): Promise<unknown>
  subscribe(channels: string[], listener: (message: string, channel: string) => void): Promise<unknown>
  unsubscribe(channels: string[]): Promise<unknown>
}

/** RESP type bytes, as node-redis names them in its type mappings. */
const RESP = { map: 37, set: 126, double: 44, blob: 36, simple: 43, verbatim: 61 } as const

/** RESP3 answers in the shapes of RESP2, so that every client answers alike. */
const FLAT = { [RESP.map]: Array, [RESP.set]: Array, [RESP.double]: String }
const TEXT = { timeout: 0, typeMapping: FLAT }
const BYTES = {
  timeout: 0,
  typeMapping: {
    ...FLAT,
    [RESP.blob]: Buffer,
    [RESP.simple]: Buffer,
    [RESP.verbatim]: Buffer,
    [RESP.double]: Buffer,
  },
}

/**
 * Options that put reconnecting, waiting and timing in our hands. The client's own command timeout
 * costs four to eight times the throughput and does not cover a frozen server.
 */
export const NODE_REDIS_OVERRIDES = {
  url: undefined,
  disableOfflineQueue: true,
  commandsQueueMaxLength: undefined,
  commandOptions: { timeout: 0 },
  pingInterval: undefined,
  maintNotifications: 'disabled',
  clientSideCache: undefined,
  emitInvalidate: false,
  keyPrefix: undefined,
  readonly: false,
} as const

export const NODE_REDIS_SOCKET = {
  connectTimeout: 30_000,
  socketTimeout: undefined,
  keepAliveInitialDelay: 5_000,
  reconnectStrategy: false,
} as const

/** Connects a client made by us and turns it into a link. The deadline is the signal's. */
export async function openNodeRedis(
  client: NodeRedisClient,
  address: string,
  signal: AbortSignal,
): Promise<Link> {
  const link = new NodeRedisLink(client, address)
  const abort = () => link.destroy()
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) throw signal.reason
    await client.connect()
    if (signal.aborted) throw signal.reason
    return link
  } catch (error) {
    link.destroy()
    throw dialError(error, address)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

class NodeRedisLink implements Link {
  readonly address: string
  #client: NodeRedisClient
  #down: Error | undefined
  #destroyed = false
  #listeners: ((cause: Error) => void)[] = []

  constructor(client: NodeRedisClient, address: string) {
    this.#client = client
    this.address = address
    client.on('error', (error: Error) => this.#lose(error))
    client.on('end', () => this.#lose(new Error('the socket was closed')))
  }

  async send(args: readonly Arg[], as: ReplyAs = 'text'): Promise<Reply> {
    try {
      return (await this.#client.sendCommand(args, as === 'bytes' ? BYTES : TEXT)) as Reply
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async subscribe(channels: readonly string[], listener: (message: string, channel: string) => void) {
    try {
      await this.#client.subscribe([...channels], listener)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    try {
      await this.#client.unsubscribe([...channels])
    } catch (error) {
      throw this.#translate(error)
    }
  }

  async ping(): Promise<void> {
    try {
      await this.#client.sendCommand(['PING'], TEXT)
    } catch (error) {
      throw this.#translate(error)
    }
  }

  onDown(listener: (cause: Error) => void): void {
    if (this.#down) listener(this.#down)
    else this.#listeners.push(listener)
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#listeners = []
    try {
      this.#client.destroy()
    } catch {
      // It was closed already.
    }
  }

  #lose(error: Error): void {
    if (this.#destroyed || this.#down) return
    this.#down = new RedisUnavailable(`lost the connection to ${this.address}: ${reason(error)}`)
    const listeners = this.#listeners
    this.destroy()
    for (const listener of listeners) listener(this.#down)
  }

  #translate(error: unknown): Error {
    if (isErrorReply(error)) return replyError(error.message)
    return this.#down ?? new RedisUnavailable(`the connection to ${this.address} is gone: ${reason(error)}`)
  }
}

/** By name along the prototype chain: there may be two copies of the library in one process. */
function isErrorReply(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  for (let proto: object | null = Object.getPrototypeOf(error); proto; proto = Object.getPrototypeOf(proto)) {
    if (proto.constructor.name === 'ErrorReply') return true
  }
  return false
}

/** A system error's code, or its message: node's own messages hold addresses, never credentials. */
function reason(error: unknown): string {
  return error instanceof Error
    ? error.message.replace(/[\r\n]+/g, ' ').slice(0, 200) || error.name
    : 'unknown'
}

function dialError(error: unknown, address: string): Error {
  if (isErrorReply(error)) return refusedLogin(replyError(error.message), address)
  if (error instanceof RedisReplyError || error instanceof ConfigError) return error
  return new RedisUnavailable(`no connection to ${address}: ${reason(error)}`)
}

const LOGIN = new Set(['WRONGPASS', 'NOAUTH', 'NOPERM'])

/** What a server says to the handshake tells whether trying again can help. */
export function refusedLogin(error: RedisReplyError, address: string): Error {
  if (
    LOGIN.has(error.prefix) ||
    /invalid (username|password|DB)|DB index|without any password/i.test(error.message)
  ) {
    return new ConfigError(
      `${address} refused the login: ${error.message}`,
      'correct the user name, the password or the database number of the Redis connection',
    )
  }
  return new RedisUnavailable(`${address} refused the connection: ${error.message}`)
}
