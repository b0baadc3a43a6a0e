import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { isAsSaid, runReadme } from '../../test/support/readme-commands.ts'
import { type Llm, startLlm } from '../simulators/llm.ts'
import { type Postgres, startPostgres } from '../simulators/postgres.ts'
import { seeded, zipf } from '../simulators/traffic.ts'
import { Client } from './client.ts'
import { startInsight } from './server.ts'

const README = fileURLToPath(new URL('./README.md', import.meta.url))
const PEOPLE = ['ada@acme', 'bob@acme', 'cy@acme', 'dan@beta', 'eve@beta', 'flo@beta']
const PASSWORD = 'a-password'
const MINUTES = 20
const REFRESH_EVERY = 2
const WORDS = ['total', 'average', 'highest', 'lowest']
const BOARD = ['sales', 'orders'].flatMap((column) =>
  WORDS.map((word) => `What is the ${word} of ${column}?`),
)

let postgres: Postgres
let llm: Llm
beforeAll(async () => {
  ;[postgres, llm] = await Promise.all([startPostgres(), startLlm()])
})
afterAll(() => Promise.all([postgres.close(), llm.close()]))

const table = (seed: number) => {
  const random = seeded(seed)
  const rows = Array.from(
    { length: 40 },
    (_, n) => `r${n},${Math.floor(random() * 900)},${Math.floor(random() * 90)}`,
  )
  return ['region,sales,orders', ...rows].join('\n')
}

/** The same half hour each time: who asked what, and what was answered. */
async function replay(env: Record<string, string>) {
  const clock = new FakeClock()
  const server = await startInsight(
    {
      DATABASE_URL: postgres.url,
      LLM_URL: llm.url,
      PORT: '0',
      ACCOUNTS: PEOPLE.map((user) => `${user}:${PASSWORD}`).join(),
      // All of them come from this one address, and some are quick.
      RATE_LIMIT_QUERY: '9999/minute',
      ...env,
    },
    clock,
  )
  try {
    const people = await Promise.all(
      PEOPLE.map(async (user, index) => {
        const client = new Client(server.url)
        expect((await client.signIn(user, PASSWORD)).status).toBe(200)
        return {
          client,
          random: seeded(index + 1),
          pick: zipf(40, 0.8, seeded(index + 50)),
          team: user.split('@')[1]!,
        }
      }),
    )
    const datasets: Record<string, string> = {}
    for (const { client, team } of people) {
      datasets[team] ??= (await client.csv('POST', '/api/v1/datasets?name=sales', table(7))).body.id
    }
    llm.reset()
    const answers: string[] = []
    const ask = async ({ client, team }: (typeof people)[number], question: string) => {
      const { status, body } = await client.ask(datasets[team]!, question)
      answers.push(`${status} ${team} ${question} ${body.answer}`)
    }
    for (let minute = 0; minute < MINUTES; minute++) {
      for (const [index, person] of people.entries()) {
        if ((minute + index) % REFRESH_EVERY === 0) for (const question of BOARD) await ask(person, question)
        if (person.random() < 0.2) await ask(person, `Tell me about row ${person.pick()}`)
      }
      if (minute === 9)
        await people[0]!.client.csv('PUT', `/api/v1/datasets/${datasets.acme}/content`, table(8))
      await clock.advance(60_000)
    }
    const stats = (await people[0]!.client.get('/stats')).body
    return { answers, cost: llm.cost().usd, hitRate: stats.namespaces.query_result.hitRate as number }
  } finally {
    await server.close()
  }
}

describe('the README of insight', () => {
  it('shows commands that do what it says, as they are written', async () => {
    const env = { PORT: '0', ACCOUNTS: 'ada@acme:a-password', DATABASE_URL: postgres.url, LLM_URL: llm.url }
    const server = await startInsight(env)
    try {
      const ran = await runReadme(README, { 'http://127.0.0.1:3104': server.url })
      expect(ran.length).toBeGreaterThan(10)
      expect(ran.filter((command) => !isAsSaid(command))).toEqual([])
    } finally {
      await server.close()
    }
  })

  it('promises what a replay shows: at least 70 % less cost with the cache, and the same answers [S4-2][S4-45]', {
    timeout: 60_000,
  }, async () => {
    const dear = await replay({ CACHE_ENABLED: 'false' })
    const cheap = await replay({})
    expect(dear.answers.length).toBeGreaterThan(480)
    expect(dear.answers.every((answer) => answer.startsWith('200 '))).toBe(true)
    expect(cheap.answers).toEqual(dear.answers)
    expect(new Set(cheap.answers).size).toBeGreaterThan(2 * BOARD.length)
    expect(1 - cheap.cost / dear.cost).toBeGreaterThan(0.7)
    expect(cheap.hitRate).toBeGreaterThan(80)
    expect(dear.hitRate).toBe(0)
    expect(readFileSync(README, 'utf8')).toContain(
      `with the cache ${Math.floor((1 - cheap.cost / dear.cost) * 100)} % less`,
    )
  })
})
