import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../../src/cli/demo-backend.ts'
import type { Step, Tour } from '../../src/cli/demo-tour.ts'
import { ChatClient, openChat } from './client.ts'

const CHATS = 10
const MESSAGES = 20

/** A chat, a crowd, an operator, and what is in the table afterwards. With two servers it alternates. */
export function tour(backends: readonly Backend[]): Tour {
  const first = backends[0]!
  const second = backends[1] ?? first
  const headers = { authorization: `Bearer ${first.operatorToken}`, 'content-type': 'application/json' }
  const figures: Record<string, unknown> = {}
  const tryThese: string[] = []

  async function* steps(): AsyncGenerator<Step> {
    const chat = await openChat(first.url)
    const visitor = await ChatClient.join(first.url, chat)
    const hello = await visitor.say('hello')
    figures.firstMs = hello.ms
    yield {
      name: 'a message, answered',
      ms: hello.ms,
      note: 'its row is written behind the answer',
      ok: Boolean(hello.reply),
    }

    const ids = await Promise.all(Array.from({ length: CHATS }, () => openChat(first.url)))
    const crowd = await Promise.all(
      ids.map((id, i) => ChatClient.join(backends[i % backends.length]!.url, id)),
    )
    const from = performance.now()
    const took: number[] = []
    await Promise.all(
      crowd.map(async (client) => {
        for (let n = 0; n < MESSAGES; n++) took.push((await client.say(`message ${n}`)).ms)
      }),
    )
    const said = performance.now()
    took.sort((a, b) => a - b)
    figures.p95Ms = took[Math.floor(took.length * 0.95)]
    const spread = backends.length > 1 ? ' over two servers' : ''
    const name = `${CHATS * MESSAGES} messages of ${CHATS} chats${spread}`
    yield {
      name,
      ms: said - from,
      note: `p95 ${took[Math.floor(took.length * 0.95)]!.toFixed(0)} ms`,
      ok: true,
    }

    const wanted = Array.from({ length: MESSAGES }, (_, n) => `message ${n}`).join()
    const isSaved = async (id: string) => {
      const answer = await fetch(`${second.url}/api/v1/chats/${id}/messages`, { headers })
      const { messages } = (await answer.json()) as { messages: { sender: string; body: string }[] }
      const own = messages.filter(({ sender }) => sender === 'visitor').map(({ body }) => body)
      return own.join() === wanted
    }
    let isThere = false
    for (let tries = 0; tries < 100 && !isThere; tries++) {
      isThere = (await Promise.all(ids.map(isSaved))).every(Boolean)
      if (!isThere) await sleep(50)
    }
    figures.saved = isThere
    yield {
      name: 'all rows in the table',
      ms: performance.now() - said,
      note: 'once, each chat in its order',
      ok: isThere,
    }

    const flipped = performance.now()
    await fetch(`${second.url}/api/v1/chats/${chat}/check_reply`, {
      method: 'PUT',
      headers,
      body: '{"check_reply":false}',
    })
    const ms = performance.now() - flipped
    const { reply } = await visitor.say('are you a bot?')
    figures.silent = reply === undefined
    const where = second === first ? '' : ', at the other server'
    yield {
      name: `an operator takes over${where}`,
      ms,
      note: 'the bot is silent from the next message on',
      ok: reply === undefined,
    }
    await Promise.all([visitor, ...crowd].map((client) => client.close()))

    tryThese.push(
      `open ${first.url}/ in a browser`,
      `curl ${first.url}/stats`,
      `curl -H 'authorization: Bearer ${first.operatorToken}' ${first.url}/api/v1/chats/${chat}/messages`,
    )
  }
  return { steps: steps(), figures, tryThese }
}
