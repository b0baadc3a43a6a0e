import { dialError } from './dial-error.ts'
import { Lifeline } from './lifeline.ts'
import type { Arg, Link, Reply, ReplyAs } from './link.ts'
import { replyError } from './reply-error.ts'

/** The part of an ioredis client (5.4+ or 6) that a link calls. */
export interface IoredisClient {
  on(event: string, listener: (...args: never[]) => void): unknown
  connect(): Promise<unknown>
  disconnect(): void
  call(command: string, ...args: Arg[]): Promise<unknown>
  callBuffer(command: string, ...args: Arg[]): Promise<unknown>
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  ping(): Promise<unknown>
  readonly stream?: { destroy(): void } | undefined
}

export type IoredisOptions = Readonly<Record<string, unknown>>

/** Reconnecting, queueing, retrying and timing are ours, and nothing may change what is sent. */
const OURS = {
  lazyConnect: true,
  retryStrategy: null,
  reconnectOnError: null,
  enableOfflineQueue: false,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
  keepAlive: 5_000,
  keyPrefix: '',
  readOnly: false,
  stringNumbers: false,
  replyMapping: 'legacy',
  scripts: undefined,
}

/**
 * Opens one link with a client of its own.
 * @param create makes a client from these options: `new Redis`, or `duplicate` of the user's
 */
export async function openIoredis(
  create: (options: IoredisOptions) => IoredisClient,
  base: IoredisOptions,
  address: string,
  connectTimeout: number,
  signal: AbortSignal,
): Promise<Link> {
  const link = new IoredisLink(create({ ...base, ...OURS, connectTimeout }), address)
  try {
    await link.connect(signal)
    return link
  } catch (error) {
    throw dialError(isErrorReply(error) ? replyError(error.message) : error, address)
  }
}

class IoredisLink implements Link {
  readonly address: string
  #client: IoredisClient
  #life: Lifeline
  #listener: ((message: string, channel: string) => void) | undefined

  constructor(client: IoredisClient, address: string) {
    this.address = address
    this.#client = client
    this.#life = new Lifeline(address, () => {
      client.disconnect()
      // `disconnect()` waits up to 2 s for a frozen server to say goodbye.
      client.stream?.destroy()
    })
    client.on('error', (error: Error) => this.#life.lose(error))
    client.on('end', () => this.#life.lose(new Error('the socket was closed')))
    client.on('message', (channel: string, message: string) => this.#listener?.(message, channel))
  }

  async connect(signal: AbortSignal): Promise<void> {
    const abort = () => this.destroy()
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (!signal.aborted) await this.#client.connect()
      if (signal.aborted) throw signal.reason
      // A refused SELECT is only an event: the client would go on in database 0.
      if (this.#life.cause) throw this.#life.cause
    } catch (error) {
      this.destroy()
      throw this.#life.cause ?? error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  send(args: readonly Arg[], as: ReplyAs = 'text'): Promise<Reply> {
    const [command = '', ...rest] = args
    const name = String(command)
    const reply = as === 'bytes' ? this.#client.callBuffer(name, ...rest) : this.#client.call(name, ...rest)
    return reply.catch(this.#translate) as Promise<Reply>
  }

  async subscribe(channels: readonly string[], listener: (message: string, channel: string) => void) {
    this.#listener = listener
    await this.#client.subscribe(...channels).catch(this.#translate)
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    await this.#client.unsubscribe(...channels).catch(this.#translate)
  }

  async ping(): Promise<void> {
    await this.#client.ping().catch(this.#translate)
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

/** By name: ioredis takes the class from `redis-errors`, of which there may be several copies. */
function isErrorReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}
