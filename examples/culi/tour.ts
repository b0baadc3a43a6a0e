import type { Backend } from '../../src/cli/demo-backend.ts'
import type { Step, Tour } from '../../src/cli/demo-tour.ts'

const CROWD = 100
const HURRY = 50

/** Reads, a change at the till, an outage of KiotViet, a plan that fifty want to execute. */
export function tour(backends: readonly Backend[]): Tour {
  const first = backends[0]!
  const second = backends[1] ?? first
  const kiotviet = `${first.upstream}/__sim`
  const elsewhere = second === first ? '' : ', in the other process'
  const spread = second === first ? '' : ' over two processes'
  const at = (turn: number) => backends[turn % backends.length]!.url
  const figures: Record<string, unknown> = {}
  const tryThese: string[] = []

  async function* steps(): AsyncGenerator<Step> {
    for (const { url } of backends) await connected(url)
    await ask('POST', `${kiotviet}/latency`, { ms: 300 })
    const miss = await ask('GET', `${first.url}/products`)
    Object.assign(figures, { firstMs: miss.ms })
    yield step('first read', miss.ms, 'asks KiotViet, for a token first', miss.status === 200)

    const hit = await ask('GET', `${second.url}/products`)
    Object.assign(figures, { secondMs: hit.ms })
    yield step(`second read${elsewhere}`, hit.ms, 'hit', hit.source.includes('hit'))

    const before = await calls()
    const began = performance.now()
    const crowd = await Promise.all(Array.from({ length: CROWD }, (_, i) => ask('GET', `${at(i)}/customers`)))
    const asked = (await calls()) - before
    Object.assign(figures, { parallelMisses: CROWD, upstreamCalls: asked })
    const ok = asked === 1 && crowd.every(({ status }) => status === 200)
    const took = performance.now() - began
    yield step(`${CROWD} parallel reads of customers${spread}`, took, `${asked} call of KiotViet`, ok)
    await ask('POST', `${kiotviet}/latency`, { ms: 0 })

    const path = '/products/7'
    for (const { url } of backends) await ask('GET', url + path)
    const basePrice = 10_000 + Math.floor(Math.random() * 80) * 1_000
    const changed = await ask('PATCH', `${kiotviet}${path}`, { basePrice })
    const next = await ask('GET', second.url + path)
    const isFresh = next.body.basePrice === basePrice
    figures.webhookFresh = isFresh
    yield step('a price changes at the till', changed.ms, 'KiotViet says so, signed', changed.status === 200)
    yield step(`next read${elsewhere}`, next.ms, isFresh ? 'the new price' : 'STALE', isFresh)

    await ask('POST', `${kiotviet}/faults`, { kind: '500' })
    const during = await ask('GET', `${second.url}/customers`)
    await ask('DELETE', `${kiotviet}/faults`)
    figures.servedInOutage = during.status === 200
    yield step('a read while KiotViet is down', during.ms, 'served as if nothing was', during.status === 200)

    const made = await ask('POST', `${first.url}/plans`, { title: 'Lunch', prices: { 4: 45_000, 5: 50_000 } })
    const plan = `/plans/${String(made.body.id)}`
    const from = performance.now()
    const race = await Promise.all(
      Array.from({ length: HURRY }, (_, i) => ask('POST', `${at(i)}${plan}/execute`)),
    )
    const won = race.filter(({ status }) => status === 200).length
    const refused = race.filter(({ status }) => status === 409).length
    Object.assign(figures, { executed: won, refused })
    const once = won === 1 && refused === HURRY - 1
    const times = `executed ${won === 1 ? 'once' : `${won} times`}, ${refused} refused`
    yield step(`${HURRY} execute one plan${spread}`, performance.now() - from, times, once)

    const header = "-H 'authorization: Bearer token-of-anna'"
    tryThese.push(
      `curl -i ${header} ${first.url}/products?page_size=2`,
      `curl ${header} ${second.url}${plan}`,
      `curl -X POST -H 'content-type: application/json' -d '{"kind":"html"}' ${kiotviet}/faults`,
    )
  }
  const calls = async () => Number((await ask('GET', `${kiotviet}/calls`)).body.total)
  return { steps: steps(), figures, tryThese }
}

async function ask(method: string, url: string, body?: object) {
  const from = performance.now()
  const answer = await fetch(url, {
    method,
    headers: { authorization: 'Bearer token-of-anna', ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return {
    status: answer.status,
    source: answer.headers.get('cache-status') ?? '',
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
    ms: performance.now() - from,
  }
}

/** It serves from the start; the tour waits until it does so with its cache. */
async function connected(url: string): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    if ((await ask('GET', `${url}/healthz`)).body.status === 'ok') return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the backend runs, but did not connect to Redis within 3 s')
}

const step = (name: string, ms: number, note: string, ok: boolean): Step => ({ name, ms, note, ok })
