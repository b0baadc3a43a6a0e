import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { holdfast } from 'holdfast'
import { afterEach, describe, expect, it } from 'vitest'
import { listen } from '../simulators/listen.ts'
import { ChatCache } from './chat-cache.ts'
import { ChatService } from './chat-service.ts'
import { ChatClient } from './client.ts'
import { Conversations } from './conversation.ts'
import type { Chat, Message } from './database.ts'
import { type SocketPolicy, serveSockets } from './sockets.ts'

const CHAT = 'a'.repeat(24)
const open: { close(): Promise<unknown> }[] = []

afterEach(async () => {
  for (const part of open.splice(0).reverse()) await part.close()
})

/** Sockets over a service whose queue and tables are arrays: the policy is what is looked at. */
async function start(policy: SocketPolicy = {}, save = async (_: readonly Message[]) => {}) {
  const hf = holdfast()
  const saved: Message[] = []
  const row: Chat = { id: CHAT, status: 'open', check_reply: true }
  const rows = {
    findChat: async (id: string) => (id === CHAT ? row : undefined),
    setCheckReply: async () => row,
    openChat: async () => {},
    messages: async () => [],
  }
  const background = {
    save: async (messages: readonly Message[]) => {
      await save(messages)
      saved.push(...messages)
    },
    setStatus: () => {},
  }
  const chats = new ChatCache(hf.cache, rows)
  const service = new ChatService({ chats, conversations: new Conversations(hf), background, database: rows })
  const http = createServer()
  const streams: Socket[] = []
  http.on('connection', (stream) => streams.push(stream))
  const sockets = serveSockets(http, service, policy)
  const { port, close } = await listen(http)
  open.push(hf, { close }, sockets)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    sockets,
    said: () => saved.filter(({ sender }) => sender === 'visitor'),
    bytesRead: () => streams.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
  }
}

const frame = (text: string, id = 'm1') => JSON.stringify({ type: 'message', id, text })

describe('the socket policy', () => {
  it.each([
    ['a binary frame', Buffer.from(frame('hi')), 1003, 'not_text'],
    ['no JSON', '{"type":', 1007, 'not_json'],
    ['JSON that is no message', '[]', 1007, 'bad_message'],
    ['null', 'null', 1007, 'bad_message'],
    ['an unknown type', '{"type":"shout","id":"m1","text":"hi"}', 1007, 'bad_message'],
    ['a field too many', '{"type":"message","id":"m1","text":"hi","sender":"bot"}', 1007, 'bad_message'],
    ['a text that is none', '{"type":"message","id":"m1","text":7}', 1007, 'bad_message'],
    ['an empty text', frame('  '), 1007, 'bad_message'],
    ['an id that is no name', frame('hi', '../x'), 1007, 'bad_message'],
    ['a NUL', frame('a\0b'), 1007, 'bad_message'],
    ['half a surrogate pair', '{"type":"message","id":"m1","text":"\\ud83d"}', 1007, 'bad_message'],
    ['a text too long', frame('x'.repeat(2_001)), 1009, 'too_long'],
  ] as const)('answers %s with an error message and its close code', async (_, data, code, error) => {
    const { url, said } = await start()
    const client = await ChatClient.join(url, CHAT)
    client.socket.send(data)
    client.socket.send(frame('after')) // not read any more
    expect(await client.closed).toEqual({ code, error })
    expect(client.frames.at(-1)?.detail).toMatch(/\w/)
    expect(said()).toEqual([])
  })

  it('names the field that is wrong', async () => {
    const { url } = await start()
    const client = await ChatClient.join(url, CHAT)
    client.socket.send('{"type":"message","id":"m1","text":7}')
    await client.closed
    expect(client.frames.at(-1)?.detail).toMatch(/^text: /)
  })

  it('takes a text of the longest size, in any script', async () => {
    const { url, said } = await start()
    const client = await ChatClient.join(url, CHAT)
    await client.say('語'.repeat(2_000))
    await client.say('👍\n\tя', 'm2')
    expect(said().map(({ body }) => body)).toEqual(['語'.repeat(2_000), '👍\n\tя'])
  })

  it('closes a frame over 64 KiB unread with 1009, and text that is no UTF-8 with 1007', async () => {
    const { url } = await start()
    const large = await ChatClient.join(url, CHAT)
    large.socket.send('x'.repeat(65 * 1024))
    expect((await large.closed).code).toBe(1009)
    const garbled = await ChatClient.join(url, CHAT)
    garbled.socket.send(Buffer.from([0xff, 0xfe]), { binary: false })
    expect((await garbled.closed).code).toBe(1007)
  })

  it.each([CHAT.replace('a', 'b'), 'short', '', `${CHAT}a`])(
    'closes the unknown chat %j with 1008',
    async (id) => {
      const { url } = await start()
      const client = ChatClient.open(url, id)
      client.socket.on('open', () => client.socket.send(frame('hi')))
      expect(await client.closed).toEqual({ code: 1008, error: 'unknown_chat' })
    },
  )

  it('admits pages of its own host, listed ones and what is no page, and no other', async () => {
    const { url, port } = await start({ origins: ['https://shop.example'] })
    const knock = async (origin?: string) => {
      const client = ChatClient.open(url, CHAT, origin === undefined ? {} : { origin })
      const refused = once(client.socket, 'unexpected-response').then(([, answer]) => {
        client.socket.terminate()
        return answer.statusCode as number
      })
      const joined = client.hear(({ type }) => type === 'welcome').then(() => client.close().then(() => 101))
      joined.catch(() => {})
      return Promise.race([refused, joined])
    }
    expect(await knock()).toBe(101)
    expect(await knock(`http://127.0.0.1:${port}`)).toBe(101)
    expect(await knock('https://shop.example')).toBe(101)
    expect(await knock('https://evil.example')).toBe(403)
    expect(await knock(`http://127.0.0.1:${port + 1}`)).toBe(403)
    expect(await knock('null')).toBe(403)
  })

  it('refuses an upgrade elsewhere, and more sockets than it may have', async () => {
    const { url, port } = await start({ maxSockets: 1 })
    expect(await upgrade(port, '/other')).toContain('404')
    await ChatClient.join(url, CHAT)
    expect(await upgrade(port, `/ws?chat=${CHAT}`)).toContain('503')
  })

  it('keeps who answers a ping, and cuts who does not', async () => {
    const { url } = await start({ heartbeatMs: 100 })
    const dead = ChatClient.open(url, CHAT, { autoPong: false })
    const alive = await ChatClient.join(url, CHAT)
    expect((await dead.closed).code).toBe(1006)
    expect((await alive.say('still here')).reply).toMatch(/\w/)
  })

  it('takes the messages of a socket one by one in their order, and reads no further than it can', async () => {
    let running = 0
    let most = 0
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const { url, said, bytesRead } = await start({}, async () => {
      most = Math.max(most, ++running)
      await gate
      running--
    })
    const client = await ChatClient.join(url, CHAT)
    const body = 'x'.repeat(1_900)
    for (let i = 0; i < 800; i++) client.socket.send(frame(`${i} ${body}`, `m${i}`))
    let before: number
    do {
      before = bytesRead()
      await new Promise((resolve) => setTimeout(resolve, 50))
    } while (before < 10_000 || bytesRead() > before)
    expect(bytesRead()).toBeLessThan(750_000) // of 1.5 million
    go()
    await client.hear(({ type, id }) => type === 'ack' && id === 'm799')
    expect(most).toBe(1)
    expect(said().map(({ id }) => id)).toEqual(Array.from({ length: 800 }, (_, i) => `${CHAT}.m${i}`))
  })

  it('goes on after a message that the queue refused, which is taken when it comes again', async () => {
    let refuse = true
    const { url, said } = await start({}, async () => {
      if (refuse) throw new Error('the queue is full (meant to be)')
    })
    const client = await ChatClient.join(url, CHAT)
    await expect(client.say('one', 'm1')).rejects.toThrow('send it again')
    refuse = false
    client.frames.length = 0
    await client.say('one', 'm1')
    expect(said().map(({ id }) => id)).toEqual([`${CHAT}.m1`])
  })

  it('finishes what it works on before it goes, says 1001, and lets nobody in', async () => {
    const release: (() => void)[] = []
    const { url, port, sockets, said } = await start(
      {},
      () => new Promise<void>((resolve) => release.push(resolve)),
    )
    const client = await ChatClient.join(url, CHAT)
    const first = client.say('first', 'm1')
    const second = client.say('second', 'm2')
    second.catch(() => {})
    await expect.poll(() => release.length).toBe(1)
    const closed = sockets.close()
    expect(await upgrade(port, `/ws?chat=${CHAT}`)).toContain('503')
    release[0]!()
    expect((await first).reply).toMatch(/\w/)
    await expect(second).rejects.toThrow('1001')
    expect((await client.closed).code).toBe(1001)
    await closed
    expect(said().map(({ id }) => id)).toEqual([`${CHAT}.m1`])
  })
})

/** The status line with which a bare upgrade is answered. */
async function upgrade(port: number, path: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  const [data] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return String(data).split('\r\n')[0]!
}
