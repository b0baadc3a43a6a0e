/** People who use the five backends: one step after another, each a request or a message. */
import type { Backend } from '../../src/cli/demo-backend.ts'
import { ChatClient, openChat } from '../chatbot/client.ts'
import { Client } from '../insight/client.ts'
import type { Outcome } from './meter.ts'

export interface Visitor {
  /** Between two steps, once it has warmed up. */
  pauseMs: number
  step(turn: number): Promise<Outcome>
  leave?(): Promise<unknown>
}

type Arrive = (backends: readonly Backend[]) => Promise<Visitor>

const pick = <T>(list: readonly T[], turn: number): T => list[turn % list.length]!

async function ask(
  url: string,
  headers: Record<string, string> = {},
  method = 'GET',
  body?: object,
): Promise<Outcome> {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  })
  await answer.arrayBuffer()
  const said = answer.headers.get('cache-status')
  return { status: answer.status, hit: said === null ? undefined : /;\s*hit/.test(said) }
}

const culi: Arrive = async (backends) => ({
  pauseMs: 500,
  step(turn) {
    const user = pick(['anna', 'binh', 'chi'], turn)
    const path = pick(
      ['/products?page_size=5', '/products/7', '/invoices?page_size=5', '/customers/7'],
      Math.floor(turn / 3),
    )
    return ask(pick(backends, turn).url + path, { authorization: `Bearer token-of-${user}` })
  },
})

const chatbot: Arrive = async (backends) => {
  const chat = await openChat(backends[0]!.url)
  const clients = await Promise.all(backends.map(({ url }) => ChatClient.join(url, chat)))
  const words = ['hello', 'what are your opening hours?', 'thank you', 'is anybody there?']
  return {
    pauseMs: 700,
    async step(turn) {
      await pick(clients, turn).say(pick(words, turn))
      return { status: 200 }
    },
    leave: () => Promise.all(clients.map((client) => client.close())),
  }
}

const metrics: Arrive = async (backends) => {
  const answer = await fetch(`${backends[0]!.url}/api/v1/accounts`)
  const accounts = ((await answer.json()) as { data: { id: string }[] }).data.slice(0, 2)
  return {
    pauseMs: 500,
    step(turn) {
      const range = pick(['last_7d', 'last_7d', 'last_30d'], turn)
      return ask(
        `${pick(backends, turn).url}/api/v1/accounts/${pick(accounts, turn).id}/overview?range=${range}`,
      )
    },
  }
}

const tasks: Arrive = async (backends) => {
  const made = await fetch(`${backends[0]!.url}/api/v1/tasks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Watch the traffic' }),
  })
  const task = `/api/v1/tasks/${((await made.json()) as { id: string }).id}`
  const paths = ['/api/v1/rates/EUR', task, '/api/v1/tasks', '/api/v1/rates/JPY', task, '/api/v1/rates/VND']
  return {
    pauseMs: 400,
    step(turn) {
      const { url } = pick(backends, turn)
      if (turn % 25 !== 24) return ask(url + pick(paths, turn))
      return ask(url + task, {}, 'PATCH', {
        status: pick(['running', 'done', 'pending'], Math.floor(turn / 25)),
      })
    },
  }
}

const insight: Arrive = async (backends) => {
  const [user = '', password = ''] = backends[0]!.account?.split(':') ?? []
  const client = new Client(backends[0]!.url)
  await client.signIn(user, password)
  const csv = 'region,sales\nnorth,10\nsouth,32\nwest,8'
  const { id } = (await client.csv('POST', '/api/v1/datasets?name=sales', csv)).body
  const questions = ['total', 'average', 'highest', 'lowest'].map((word) => `What is the ${word} of sales?`)
  return {
    // A person may ask 20 questions a minute.
    pauseMs: 4_500,
    async step(turn) {
      const { status, cache } = await client
        .at(pick(backends, turn).url)
        .ask(id, pick(questions, Math.floor(turn / 2)))
      return { status, hit: cache?.endsWith('hit') }
    },
  }
}

export const VISITORS: Readonly<Record<string, Arrive>> = { culi, chatbot, metrics, tasks, insight }
