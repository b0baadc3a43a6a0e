import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { HoldfastError } from 'holdfast'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { type ChatService, UnknownChat } from './chat-service.ts'

export interface SocketPolicy {
  /** Origins beside our own whose pages may connect. */
  origins?: readonly string[]
  /** A socket that does not answer a ping within one more of these is cut. @default 30 s */
  heartbeatMs?: number
  /** @default 10_000 */
  maxSockets?: number
}

const MAX_FRAME_BYTES = 64 * 1024
const MAX_TEXT = 2_000
/** Messages of one socket that wait for their turn: then we read no more of it for a while. */
const MAX_WAITING = 16
/** Bytes that a reader may leave lying before it is cut off. */
const MAX_UNREAD = 256 * 1024
const CLOSING_MS = 5_000

/** RFC 6455, section 7.4.1. */
const GOING_AWAY = 1001
const NO_TEXT = 1003
const MALFORMED = 1007
const NOT_ALLOWED = 1008
const TOO_LARGE = 1009

const Frame = z.strictObject({
  type: z.literal('message'),
  id: z.string().regex(/^[\w-]{1,64}$/, 'wants 1 to 64 of A-Z a-z 0-9 _ -'),
  text: z
    .string()
    .trim()
    .min(1)
    .max(MAX_TEXT)
    // Neither can be stored as text: PostgreSQL has no NUL, and half a surrogate pair is no character.
    .refine((text) => !/[\0\p{Surrogate}]/u.test(text), 'is no valid text'),
})

/** A frame that ends its socket: what is said first, and the code after it. */
class Refusal extends Error {
  readonly error: string
  readonly close: number

  constructor(close: number, error: string, detail: string) {
    super(detail)
    this.error = error
    this.close = close
  }
}

/** Chats over WebSocket at `/ws?chat=<id>`. One message of a socket at a time, in its order. */
export function serveSockets(server: Server, chats: ChatService, policy: SocketPolicy = {}) {
  const { origins = [], heartbeatMs = 30_000, maxSockets = 10_000 } = policy
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES })
  const visitors = new Set<Visitor>()
  let closing: Promise<void> | undefined

  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy())
    const url = new URL(request.url ?? '/', 'http://any')
    if (url.pathname !== '/ws') return refuse(stream, '404 Not Found')
    if (!isAllowed(request, origins)) return refuse(stream, '403 Forbidden')
    if (closing || visitors.size >= maxSockets) return refuse(stream, '503 Service Unavailable')
    sockets.handleUpgrade(request, stream, head, (socket) => {
      const visitor = new Visitor(socket, chats, url.searchParams.get('chat') ?? '')
      visitors.add(visitor)
      socket.once('close', () => visitors.delete(visitor))
    })
  })

  const heartbeat = setInterval(() => {
    for (const visitor of visitors) visitor.beat()
  }, heartbeatMs)
  heartbeat.unref()

  return {
    /** Lets each socket finish the message that is being worked on, and says that we go: 1001. */
    close(): Promise<void> {
      closing ??= (async () => {
        clearInterval(heartbeat)
        const late = setTimeout(() => {
          for (const visitor of visitors) visitor.cut()
        }, CLOSING_MS)
        await Promise.all([...visitors].map((visitor) => visitor.leave()))
        clearTimeout(late)
      })()
      return closing
    },
  }
}

class Visitor {
  readonly #socket: WebSocket
  readonly #chats: ChatService
  readonly #chat: string
  #turn: Promise<void>
  #waiting = 0
  #isAlive = true
  #isOver = false

  constructor(socket: WebSocket, chats: ChatService, chat: string) {
    this.#socket = socket
    this.#chats = chats
    this.#chat = chat
    socket.on('error', () => {}) // protocol errors: ws closes with their code by itself
    socket.on('pong', () => {
      this.#isAlive = true
    })
    this.#turn = this.#take(() => this.#welcome())
    socket.on('message', (data, isBinary) => {
      if (++this.#waiting >= MAX_WAITING) socket.pause()
      this.#turn = this.#turn
        .then(() => this.#take(() => this.#answer(data, isBinary)))
        .then(() => {
          if (--this.#waiting < MAX_WAITING / 2 && socket.isPaused) socket.resume()
        })
    })
  }

  beat(): void {
    if (this.#socket.isPaused) return // its pong waits behind its messages
    if (!this.#isAlive) this.cut()
    else this.#socket.ping()
    this.#isAlive = false
  }

  cut(): void {
    this.#socket.terminate()
  }

  async leave(): Promise<void> {
    this.#socket.pause()
    const isOver = this.#isOver
    this.#isOver = true // what still waits is not worked on: it was not acknowledged
    const gone = new Promise((resolve) => this.#socket.once('close', resolve))
    if (this.#socket.readyState === this.#socket.CLOSED) return
    await Promise.race([this.#turn, gone])
    this.#socket.resume()
    if (!isOver) this.#socket.close(GOING_AWAY, 'the server restarts')
    await gone
  }

  async #welcome(): Promise<void> {
    const { check_reply, lines } = await this.#chats.join(this.#chat)
    this.#say({ type: 'welcome', bot: check_reply, lines })
  }

  async #answer(data: RawData, isBinary: boolean): Promise<void> {
    const { id, text } = read(data, isBinary)
    try {
      const { reply, settled } = await this.#chats.send(this.#chat, { id, text })
      this.#say({ type: 'ack', id, bot: reply !== undefined })
      if (reply !== undefined) this.#say({ type: 'reply', id, text: reply })
      await settled
    } catch (error) {
      if (error instanceof UnknownChat) throw error
      if (!(error instanceof HoldfastError)) console.error(error) // those are counted by their part
      this.#say({ type: 'error', id, error: 'not_taken', detail: 'not taken at the moment; send it again' })
    }
  }

  async #take(work: () => Promise<void>): Promise<void> {
    if (this.#isOver) return
    try {
      await work()
    } catch (error) {
      if (error instanceof Refusal) this.#end(error.close, error.error, error.message)
      else if (error instanceof UnknownChat) this.#end(NOT_ALLOWED, 'unknown_chat', error.message)
      else {
        console.error(error)
        this.#end(1011, 'broken', 'something broke on our side')
      }
    }
  }

  #end(code: number, error: string, detail: string): void {
    this.#isOver = true
    this.#say({ type: 'error', error, detail })
    this.#socket.close(code, error)
  }

  #say(frame: object): void {
    if (this.#socket.bufferedAmount > MAX_UNREAD) this.cut()
    else this.#socket.send(JSON.stringify(frame))
  }
}

function read(data: RawData, isBinary: boolean): { id: string; text: string } {
  if (isBinary) throw new Refusal(NO_TEXT, 'not_text', 'send text frames')
  const text = String(data)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Refusal(MALFORMED, 'not_json', 'the frame is not JSON')
  }
  const frame = Frame.safeParse(json)
  if (frame.success) return frame.data
  const issue = frame.error.issues[0]!
  const detail = `${issue.path.join('.') || 'the frame'}: ${issue.message}`
  if (issue.code === 'too_big') throw new Refusal(TOO_LARGE, 'too_long', detail)
  throw new Refusal(MALFORMED, 'bad_message', detail)
}

/** Browsers say whose page connects, and cookies aside, a foreign page has no business here. */
function isAllowed({ headers }: IncomingMessage, origins: readonly string[]): boolean {
  const { origin, host } = headers
  if (origin === undefined || origins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

function refuse(stream: Duplex, status: string): void {
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
