import type { Backend } from '../../src/cli/demo-backend.ts'
import type { Step, Tour } from '../../src/cli/demo-tour.ts'

const CROWD = 300

interface Overview {
  totals: Record<string, number>
  sources: Record<string, { state: string }>
}

/** A first look, a crowd, a refresh, and the sources down: what dashboards do all day. */
export function tour(backends: readonly Backend[]): Tour {
  const first = backends[0]!
  const second = backends[1] ?? first
  const sims = Object.values(first.upstreams ?? {})
  const elsewhere = second === first ? '' : ', in the other process'
  const figures: Record<string, unknown> = {}
  const tryThese: string[] = []
  // A range that the manifest does not name.
  const path = (account: string) => `/api/v1/accounts/${account}/overview?range=today`

  async function* steps(): AsyncGenerator<Step> {
    for (const { url } of backends) await connected(url)
    const warming = performance.now()
    const ahead = await settled(sims)
    figures.loadedAhead = ahead
    yield step(
      'a start',
      performance.now() - warming,
      `${ahead} calls ahead: what the manifest names`,
      ahead > 0,
    )
    const miss = await ask<Overview>('GET', first.url + path('lotus-tea'))
    Object.assign(figures, { firstMs: miss.ms })
    yield step('first look at an account', miss.ms, 'asks Meta, Google Ads and GA4', isFresh(miss.body))

    const hit = await ask<Overview>('GET', second.url + path('lotus-tea'))
    Object.assign(figures, { secondMs: hit.ms })
    yield step(
      `second look${elsewhere}`,
      hit.ms,
      `${Math.round(miss.ms / hit.ms)} times faster`,
      hit.ms < miss.ms,
    )

    const before = await calls(sims)
    const from = performance.now()
    const crowd = await Promise.all(
      Array.from({ length: CROWD }, (_, i) =>
        ask('GET', backends[i % backends.length]!.url + path('hue-silk')),
      ),
    )
    const took = performance.now() - from
    const asked = (await calls(sims)) - before
    Object.assign(figures, { parallelMisses: CROWD, upstreamCalls: asked })
    const spread = second === first ? '' : ' over two processes'
    // Meta's report has two pages.
    const ok = asked === 4 && crowd.every(({ status }) => status === 200)
    yield step(`${CROWD} people open another one${spread}`, took, `${asked} upstream calls`, ok)

    const refresh = await ask('POST', `${first.url}/api/v1/accounts/lotus-tea/refresh`)
    yield step('refresh', refresh.ms, 'old from now on, in every process', refresh.status === 202)
    const meanwhile = await ask<Overview>('GET', second.url + path('lotus-tea'))
    const isShown = meanwhile.body.totals.spend === hit.body.totals.spend
    yield step(`next look${elsewhere}`, meanwhile.ms, 'does not wait: new figures come behind it', isShown)
    for (let tries = 0; tries < 60; tries++) {
      if (isFresh((await ask<Overview>('GET', second.url + path('lotus-tea'))).body)) break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }

    await Promise.all(sims.map((url) => ask('POST', `${url}/__sim/faults`, { kind: '500' })))
    await ask('POST', `${first.url}/api/v1/accounts/lotus-tea/refresh`)
    await ask('GET', second.url + path('lotus-tea'))
    const down = await ask<Overview>('GET', second.url + path('lotus-tea'))
    const isThere = down.status === 200 && down.body.totals.spend === hit.body.totals.spend
    figures.shownWhileDown = isThere
    await Promise.all(sims.map((url) => ask('DELETE', `${url}/__sim/faults`)))
    yield step('all three sources fail', down.ms, 'what was there is shown, and told as stale', isThere)

    const quota = await ask<{ quotas: unknown[] }>('GET', `${first.url}/api/v1/quota`)
    yield step(
      'quotas',
      quota.ms,
      `${quota.body.quotas.length} gauges, from what the sources say`,
      quota.body.quotas.length > 0,
    )

    tryThese.push(
      `curl '${second.url}/api/v1/accounts/pho-house/campaigns?source=google-ads&limit=3'`,
      `curl ${first.url}/api/v1/quota`,
      `curl -s ${first.url}/metrics | grep -E '^(cache_|upstream_)'`,
      'npx tsx examples/metrics/replay.ts   # a day of dashboards in some seconds',
    )
  }
  return { steps: steps(), figures, tryThese }
}

const isFresh = ({ sources }: Overview): boolean =>
  Object.values(sources).every(({ state }) => state === 'fresh')

async function calls(sims: readonly string[]): Promise<number> {
  const all = await Promise.all(
    sims.map((url) => ask<{ total: number; byRoute: Record<string, number> }>('GET', `${url}/__sim/calls`)),
  )
  return all.reduce((sum, { body }) => sum + body.total - (body.byRoute['POST /token'] ?? 0), 0)
}

async function ask<Body>(
  method: string,
  url: string,
  body?: object,
): Promise<{ status: number; body: Body; ms: number }> {
  const from = performance.now()
  const answer = await fetch(url, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const ms = performance.now() - from
  return { status: answer.status, body: (text === '' ? {} : JSON.parse(text)) as Body, ms }
}

/** Calls of the sources, once they are no longer becoming more. */
async function settled(sims: readonly string[]): Promise<number> {
  let seen = -1
  for (let tries = 0; tries < 40; tries++) {
    const now = await calls(sims)
    if (now === seen && now > 0) break
    seen = now
    await new Promise((resolve) => setTimeout(resolve, 700))
  }
  return seen
}

/** It serves from the start; the tour waits until it does so with its cache. */
async function connected(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { body } = await ask<{ status: string }>('GET', `${url}/healthz`)
    if (body.status === 'ok') return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the backend runs, but did not connect to Redis within 5 s')
}

const step = (name: string, ms: number, note: string, ok: boolean): Step => ({ name, ms, note, ok })
