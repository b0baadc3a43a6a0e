/**
 * A Redis connection of thirty lines of protocol, for the harness alone: tests must be able to look
 * at a server without the client libraries, and without Holdfast, that they are judging.
 *
 *   const probe = await connectResp({ port })
 *   await probe.send('SET', 'a', '1')        // 'OK'; server errors reject with their text
 *   probe.onLine = (line) => …               // replies nobody asked for: MONITOR, pub/sub
 *   probe.close()
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export type RespReply = string | number | null | RespReply[]

export interface RespTarget {
  readonly port: number
  readonly host?: string | undefined
  readonly password?: string | undefined
  readonly username?: string | undefined
  /** PEM of the authority, and of our own certificate where the server asks for one. */
  readonly tls?: { ca: string; cert?: string; key?: string } | undefined
}

export interface RespClient {
  send(...args: (string | number | Buffer)[]): Promise<RespReply>
  onLine: ((reply: RespReply) => void) | undefined
  readonly closed: Promise<void>
  close(): void
}

export async function connectResp(target: RespTarget): Promise<RespClient> {
  const host = target.host ?? '127.0.0.1'
  const socket: Socket = target.tls
    ? connectTls({ host, port: target.port, servername: 'localhost', ...target.tls })
    : connect({ host, port: target.port })
  socket.setNoDelay(true)
  const waiting: { resolve(reply: RespReply): void; reject(error: Error): void }[] = []
  let buffered: Buffer = Buffer.alloc(0)

  const client: RespClient = {
    onLine: undefined,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    send(...args) {
      return new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(new Error('probe connection is closed'))
        waiting.push({ resolve, reject })
        socket.write(encode(args))
      })
    },
    close: () => void socket.destroy(),
  }
  socket.on('data', (chunk) => {
    buffered = buffered.length ? Buffer.concat([buffered, chunk]) : chunk
    for (;;) {
      const parsed = parse(buffered, 0)
      if (!parsed) return
      buffered = buffered.subarray(parsed.next)
      const taker = waiting.shift()
      if (!taker) client.onLine?.(parsed.reply instanceof Error ? parsed.reply.message : parsed.reply)
      else if (parsed.reply instanceof Error) taker.reject(parsed.reply)
      else taker.resolve(parsed.reply)
    }
  })
  const fail = (error: Error) => {
    for (const taker of waiting.splice(0)) taker.reject(error)
  }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('probe connection closed')))

  await new Promise<void>((resolve, reject) => {
    socket.once(target.tls ? 'secureConnect' : 'connect', () => resolve())
    socket.once('error', reject)
  })
  if (target.password !== undefined) {
    await client.send('AUTH', ...(target.username ? [target.username] : []), target.password)
  }
  return client
}

function encode(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

/** One RESP2 reply from `at`, or undefined while it is incomplete. */
function parse(bytes: Buffer, at: number): { reply: RespReply | Error; next: number } | undefined {
  const end = bytes.indexOf('\r\n', at)
  if (end < 0) return undefined
  const head = bytes.toString('utf8', at + 1, end)
  const after = end + 2
  switch (String.fromCharCode(bytes[at]!)) {
    case '+':
      return { reply: head, next: after }
    case '-':
      return { reply: new Error(head), next: after }
    case ':':
      return { reply: Number(head), next: after }
    case '$': {
      const length = Number(head)
      if (length < 0) return { reply: null, next: after }
      if (bytes.length < after + length + 2) return undefined
      return { reply: bytes.toString('utf8', after, after + length), next: after + length + 2 }
    }
    case '*': {
      const count = Number(head)
      if (count < 0) return { reply: null, next: after }
      const items: RespReply[] = []
      let next = after
      for (let index = 0; index < count; index++) {
        const item = parse(bytes, next)
        if (!item) return undefined
        items.push(item.reply instanceof Error ? item.reply.message : item.reply)
        next = item.next
      }
      return { reply: items, next }
    }
    default:
      throw new Error(`not a RESP reply: ${JSON.stringify(head.slice(0, 40))}`)
  }
}
