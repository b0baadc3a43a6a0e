import { setTimeout } from 'node:timers/promises'
import type { Backend } from './demo-backend.ts'
import type { Step, Tour } from './demo-tour.ts'

const PARALLEL = 100

/** The same requests that the reader can make with curl, timed. With two backends it alternates. */
export function tourTasks(backends: readonly Backend[]): Tour {
  const first = backends[0]!
  const second = backends[1] ?? first
  const figures: Record<string, unknown> = {}
  const elsewhere = second === first ? '' : ', in the other process'
  const tryThese: string[] = []

  async function* steps(): AsyncGenerator<Step> {
    await Promise.all(backends.map(connected))
    const miss = await timed(() => get(`${first.url}/api/v1/rates/EUR`))
    figures.firstMs = miss.ms
    yield step('first call', miss, `asks the upstream (${miss.value.cacheStatus})`, miss.value.status === 200)

    const hit = await timed(() => get(`${second.url}/api/v1/rates/EUR`))
    Object.assign(figures, { secondMs: hit.ms, secondCacheStatus: hit.value.cacheStatus })
    const isHit = hit.value.cacheStatus === 'holdfast; hit'
    yield step(`second call${elsewhere}`, hit, `hit, ${Math.round(miss.ms / hit.ms)} times faster`, isHit)

    const before = await upstreamCalls(first)
    const crowd = await timed(() =>
      Promise.all(
        Array.from({ length: PARALLEL }, (_, i) =>
          get(`${backends[i % backends.length]!.url}/api/v1/rates/JPY`),
        ),
      ),
    )
    const calls = (await upstreamCalls(first)) - before
    Object.assign(figures, { parallelMisses: PARALLEL, upstreamCalls: calls })
    const spread = backends.length > 1 ? ' over two processes' : ''
    const all = crowd.value.every((answer) => answer.status === 200)
    const note = `${calls} upstream call${calls === 1 ? '' : 's'}`
    yield step(`${PARALLEL} parallel misses${spread}`, crowd, note, all && calls === 1)

    const created = await send('POST', `${first.url}/api/v1/tasks`, { name: 'Learn Holdfast' })
    const path = `/api/v1/tasks/${created.id}`
    await get(first.url + path)
    const cached = await timed(() => get(second.url + path))
    const seen = cached.value.cacheStatus === 'holdfast; hit'
    yield step(`a task, cached${elsewhere}`, cached, 'hit', seen)

    const update = await timed(() => send('PATCH', first.url + path, { status: 'done' }))
    yield step(
      'update the task',
      update,
      'one SQL transaction, its cache entries dropped',
      update.value.status === 'done',
    )

    const next = await timed(() => get(second.url + path))
    const fresh = next.value.body.status === 'done'
    Object.assign(figures, { taskHit: seen, updateFresh: fresh })
    yield step(`next read${elsewhere}`, next, fresh ? 'fresh: status is done' : 'STALE', fresh)

    tryThese.push(
      `curl -i ${first.url}/api/v1/rates/CHF`,
      `curl -i ${second.url}${path}`,
      `curl -i -X PATCH -H 'content-type: application/json' -d '{"status":"running"}' ${first.url}${path}`,
    )
  }
  return { steps: steps(), figures, tryThese }
}

/** The backend serves from the start; the tour waits until it does so with its cache. */
async function connected(backend: Backend): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    if ((await get(`${backend.url}/healthz`)).body.status === 'ok') return
    await setTimeout(50)
  }
  throw new Error('the backend runs, but did not connect to Redis within 3 s')
}

interface Answer {
  status: number
  cacheStatus: string
  body: Record<string, unknown>
}

async function get(url: string): Promise<Answer> {
  const answer = await fetch(url)
  const body = (await answer.json()) as Record<string, unknown>
  return { status: answer.status, cacheStatus: answer.headers.get('cache-status') ?? '', body }
}

async function send(method: string, url: string, body: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) })
  return (await answer.json()) as Record<string, unknown>
}

const upstreamCalls = async (backend: Backend): Promise<number> =>
  Number((await get(`${backend.upstream}/__sim/calls`)).body.calls)

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const from = performance.now()
  const value = await work()
  return { value, ms: performance.now() - from }
}

const step = (name: string, { ms }: { ms: number }, note: string, ok: boolean): Step => ({
  name,
  ms,
  note,
  ok,
})
