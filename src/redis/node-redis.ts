import { RedisReplyError } from '../base/errors.ts'
import { dialError } from './dial-error.ts'
import { Lifeline } from './lifeline.ts'
import type { Arg, Link, Reply, ReplyAs } from './link.ts'
import { replyError } from './reply-error.ts'

/** The part of a node-redis client (5.10+ or 6) that a link calls. */
export interface NodeRedisClient {
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  destroy(): void
  sendCommand(args: readonly Arg[], options?: object): Promise<unknown>
  subscribe(channels: string[], listener: (message: string, channel: string) => void): Promise<unknown>
  unsubscribe(channels: string[]): Promise<unknown>
}

/** Options of node-redis as far as we touch them. */
export interface NodeRedisOptions {
  readonly [option: string]: unknown
  readonly RESP?: 2 | 3 | undefined
  readonly socket?: Readonly<Record<string, unknown>> | undefined
}

/** RESP type bytes: the keys of node-redis's type mappings. */
const MAP = 37
const SET = 126
const DOUBLE = 44
const BLOB = 36
const SIMPLE = 43
const VERBATIM = 61

/** RESP3 answers in the shapes of RESP2, so that every client answers alike. */
const TEXT = { timeout: 0, typeMapping: { [MAP]: Array, [SET]: Array, [DOUBLE]: String } }
const BYTES = {
  timeout: 0,
  typeMapping: {
    [MAP]: Array,
    [SET]: Array,
    [DOUBLE]: Buffer,
    [BLOB]: Buffer,
    [SIMPLE]: Buffer,
    [VERBATIM]: Buffer,
  },
}

/**
 * Reconnecting, queueing and timing are ours. The client's own command timeout would cost four to
 * eight times the throughput and not cover a frozen server; its prefix, cache and tracking would
 * change what is sent.
 */
const OURS = {
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
}

/**
 * Opens one link with a client of its own.
 * @param create makes a client from these options: `createClient`, or `duplicate` of the user's
 */
export async function openNodeRedis(
  create: (options: NodeRedisOptions) => NodeRedisClient,
  base: NodeRedisOptions,
  address: string,
  connectTimeout: number,
  signal: AbortSignal,
): Promise<Link> {
  const open = async (RESP: 2 | 3): Promise<Link> => {
    const life = new AbortController()
    const socket = {
      ...base.socket,
      connectTimeout,
      socketTimeout: undefined,
      keepAliveInitialDelay: 5_000,
      reconnectStrategy: false,
      // `destroy()` does not reach a socket that is still connecting; node:net's signal does.
      signal: life.signal,
    }
    const client = create({ ...base, ...OURS, RESP, socket })
    const link = new NodeRedisLink(client, address, life)
    await link.connect(signal)
    return link
  }
  const wanted = base.RESP ?? 3
  try {
    return await open(wanted)
  } catch (error) {
    if (wanted !== 3 || !(error instanceof RedisReplyError) || !NO_RESP3.test(error.message)) {
      throw dialError(error, address)
    }
  }
  try {
    return await open(2)
  } catch (error) {
    throw dialError(error, address)
  }
}

/** Servers before 6, and proxies that speak RESP2 only. */
const NO_RESP3 = /NOPROTO|unknown command .?HELLO/i

class NodeRedisLink implements Link {
  readonly address: string
  #client: NodeRedisClient
  #life: Lifeline

  constructor(client: NodeRedisClient, address: string, socket: AbortController) {
    this.address = address
    this.#client = client
    this.#life = new Lifeline(address, () => {
      try {
        client.destroy()
      } finally {
        socket.abort()
      }
    })
    client.on('error', (error: Error) => this.#life.lose(error))
    client.on('end', () => this.#life.lose(new Error('the socket was closed')))
  }

  async connect(signal: AbortSignal): Promise<void> {
    const abort = () => this.destroy()
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (!signal.aborted) await this.#client.connect()
      if (signal.aborted) throw signal.reason
    } catch (error) {
      this.destroy()
      if (isErrorReply(error)) throw replyError(error.message)
      throw this.#life.cause ?? error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  send(args: readonly Arg[], as: ReplyAs = 'text'): Promise<Reply> {
    return this.#client
      .sendCommand(args, as === 'bytes' ? BYTES : TEXT)
      .catch(this.#translate) as Promise<Reply>
  }

  async subscribe(channels: readonly string[], listener: (message: string, channel: string) => void) {
    await this.#client.subscribe([...channels], listener).catch(this.#translate)
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    await this.#client.unsubscribe([...channels]).catch(this.#translate)
  }

  async ping(): Promise<void> {
    await this.#client.sendCommand(['PING'], TEXT).catch(this.#translate)
  }

  onDown(listener: (cause: Error) => void): void {
    this.#life.onDown(listener)
  }

  destroy(): void {
    this.#life.end()
  }

  #translate = (error: unknown): never => {
    throw isErrorReply(error) ? replyError(error.message) : this.#life.explain(error)
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
