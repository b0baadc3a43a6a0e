import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend } from '../../src/cli/demo-backend.ts'
import type { Step, Tour } from '../../src/cli/demo-tour.ts'
import { Client } from './client.ts'

const CROWD = 15
const SALES = 'region,sales\nnorth,10\nsouth,32'
const TOTAL = 'What is the total of sales?'

/** A question, the same again, a crowd, a changed table, and the limit. With two backends it alternates. */
export function tour(backends: readonly Backend[]): Tour {
  const first = backends[0]!
  const second = backends[1] ?? first
  const llm = `${first.upstream}/__sim`
  const elsewhere = second === first ? '' : ', in the other process'
  const [user = '', password = ''] = first.account?.split(':') ?? []
  const figures: Record<string, unknown> = {}
  const tryThese: string[] = []

  async function* steps(): AsyncGenerator<Step> {
    for (const { url } of backends) await connected(url)
    await post(`${llm}/latency`, { ms: 300 })
    const here = new Client(first.url)
    await here.signIn(user, password)
    const there = here.at(second.url)
    const { id } = (await here.csv('POST', '/api/v1/datasets?name=sales', SALES)).body

    const miss = await timed(() => here.ask(id, TOTAL))
    figures.firstMs = miss.ms
    yield step('a question', miss.ms, `asks the LLM: ${miss.value.body.answer}`, miss.value.status === 200)

    const hit = await timed(() => there.ask(id, 'what is the total of sales'))
    figures.secondMs = hit.ms
    yield step(
      `the same again${elsewhere}`,
      hit.ms,
      'hit, and nothing paid',
      hit.value.cache === 'holdfast; hit',
    )

    const before = await calls()
    const crowd = await timed(() =>
      Promise.all(Array.from({ length: CROWD }, (_, n) => (n % 2 ? there : here).ask(id, 'lowest sales'))),
    )
    const asked = (await calls()) - before
    Object.assign(figures, { parallelQuestions: CROWD, upstreamCalls: asked })
    const all = crowd.value.every(({ status }) => status === 200)
    yield step(`${CROWD} ask the same at once`, crowd.ms, `${asked} call of the LLM`, all && asked === 1)

    const changed = await timed(() => here.csv('PUT', `/api/v1/datasets/${id}/content`, `${SALES}\nwest,8`))
    yield step('the table is changed', changed.ms, 'one row more', changed.value.status === 200)
    const { answer } = (await there.ask(id, TOTAL)).body
    figures.updateFresh = String(answer).includes('50')
    yield step(`the question once more${elsewhere}`, 0, String(answer), figures.updateFresh === true)

    let status = 200
    for (let n = 0; n < 20 && status === 200; n++) status = (await here.ask(id, TOTAL)).status
    figures.limited = status === 429
    yield step('more than 20 questions in a minute', 0, `${status}: try again later`, status === 429)
    await post(`${llm}/latency`, { ms: 0 })

    tryThese.push(
      `curl -i ${first.url}/api/v1/models`,
      `curl ${llm}/cost`,
      `curl -c jar -H 'content-type: application/json' -d '${JSON.stringify({ user, password })}' ${first.url}/api/v1/auth/sign-in`,
      `curl -b jar ${second.url}/api/v1/datasets`,
    )
  }
  const calls = async () => ((await (await fetch(`${llm}/calls`)).json()) as { total: number }).total
  return { steps: steps(), figures, tryThese }
}

/** It serves from the start; the tour waits until it does so with its cache. */
async function connected(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await new Client(url).get('/healthz')).body?.status === 'ok') return
    await sleep(50)
  }
  throw new Error('the backend runs, but did not connect to Redis')
}

const post = (url: string, body: object) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const from = performance.now()
  const value = await work()
  return { value, ms: performance.now() - from }
}

const step = (name: string, ms: number, note: string, ok: boolean): Step => ({ name, ms, note, ok })
