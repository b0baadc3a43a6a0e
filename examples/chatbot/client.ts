import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type ClientOptions, WebSocket } from 'ws'

export interface Acknowledged {
  id: string
  /** From sending to the acknowledgement. */
  ms: number
  /** What the bot said; undefined while a person answers. */
  reply: string | undefined
}

interface Frame {
  type: string
  id?: string
  bot?: boolean
  text?: string
  error?: string
  detail?: string
  lines?: { id: string; sender: string; body: string }[]
}

/** Another end of the socket: what the page does, for the bench and the tests. */
export class ChatClient {
  readonly socket: WebSocket
  /** All that came in, in order. */
  readonly frames: Frame[] = []
  readonly closed: Promise<{ code: number; error: string | undefined }>
  readonly #heard = new Set<(frame: Frame) => void>()

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('error', () => {}) // 'close' follows
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Frame
      this.frames.push(frame)
      for (const heard of this.#heard) heard(frame)
    })
    this.closed = once(socket, 'close').then(([code]) => ({
      code: code as number,
      error: this.frames.findLast(({ type }) => type === 'error')?.error,
    }))
  }

  /** @param url of the server, `http://…` */
  static open(url: string, chat: string, options?: ClientOptions): ChatClient {
    return new ChatClient(new WebSocket(`${url.replace('http', 'ws')}/ws?chat=${chat}`, options))
  }

  /** Resolves when the server has said welcome. */
  static async join(url: string, chat: string): Promise<ChatClient> {
    const client = ChatClient.open(url, chat)
    await client.hear(({ type }) => type === 'welcome')
    return client
  }

  /** The last such frame that came, else the first that comes. */
  hear(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const before = this.frames.findLast(wanted)
    if (before) return Promise.resolve(before)
    const found = new Promise<Frame>((resolve) => {
      const heard = (frame: Frame) => {
        if (!wanted(frame)) return
        this.#heard.delete(heard)
        resolve(frame)
      }
      this.#heard.add(heard)
    })
    const lost = this.closed.then(({ code, error }) => {
      throw new Error(`the socket closed with ${code} ${error ?? ''}`)
    })
    lost.catch(() => {})
    return Promise.race([found, lost])
  }

  /** Sends, and resolves with the acknowledgement and the answer. @throws what the server refused with */
  async say(text: string, id: string = randomUUID()): Promise<Acknowledged> {
    const from = performance.now()
    const settled = this.hear((frame) => frame.id === id && frame.type !== 'reply')
    this.socket.send(JSON.stringify({ type: 'message', id, text }))
    const frame = await settled
    const ms = performance.now() - from
    if (frame.type === 'error') throw new Error(frame.detail)
    if (!frame.bot) return { id, ms, reply: undefined }
    const { text: reply } = await this.hear((other) => other.type === 'reply' && other.id === id)
    return { id, ms, reply }
  }

  /** A ping of the protocol, to its pong. */
  async ping(): Promise<void> {
    const answered = once(this.socket, 'pong')
    this.socket.ping()
    await answered
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.closed
  }
}

export async function openChat(url: string): Promise<string> {
  const answer = await fetch(`${url}/api/v1/chats`, { method: 'POST' })
  if (answer.status !== 201) throw new Error(`no new chat: the server answered ${answer.status}`)
  return ((await answer.json()) as { id: string }).id
}
