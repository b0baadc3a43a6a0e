import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { FAULTS, type Simulator, startSimulator } from './simulator.ts'

const refusal = (status: number) => ({ body: { no: status }, headers: { 'x-reason': 'told to' } })

describe('a simulator', () => {
  let sim: Simulator
  const get = (path = '/things/1') => fetch(sim.url + path)
  const control = (path: string, body: object) =>
    fetch(`${sim.url}/__sim/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  beforeAll(async () => {
    sim = await startSimulator({
      name: 'things',
      refusals: {
        401: refusal(401),
        403: { ...refusal(403), status: 400 },
        429: refusal(429),
        500: refusal(500),
      },
      routes(app) {
        app.get<{ Params: { id: string } }>('/things/:id', ({ params }) => ({ id: params.id }))
        app.get('/others', () => [])
      },
    })
  })
  afterEach(() => sim.reset())
  afterAll(() => sim.close())

  it('counts what it was asked, by route, its own controls not among it', async () => {
    await Promise.all([get(), get('/things/2?a=1'), get('/others'), get('/nothing')])
    const counted = { total: 4, byRoute: { 'GET /things/:id': 2, 'GET /others': 1, 'GET (none)': 1 } }
    expect(await (await get('/__sim/calls')).json()).toEqual(counted)
    expect(sim.calls()).toEqual(counted)
    await fetch(`${sim.url}/__sim/calls`, { method: 'DELETE' })
    expect(sim.calls()).toEqual({ total: 0, byRoute: {} })
  })

  it('refuses as often as it is told, where it is told, in its own words', async () => {
    expect((await control('faults', { kind: '429', times: 2, path: '/things' })).status).toBe(204)
    expect((await get('/others')).status).toBe(200)
    const first = await get()
    expect([first.status, first.headers.get('x-reason'), await first.json()]).toEqual([
      429,
      'told to',
      { no: 429 },
    ])
    expect((await get()).status).toBe(429)
    expect((await get()).status).toBe(200)
    expect(sim.calls().total).toBe(4)
  })

  it('refuses until it is told to stop, and with the status that its API uses', async () => {
    await control('faults', { kind: '403' })
    for (let i = 0; i < 3; i++) expect((await get()).status).toBe(400)
    await fetch(`${sim.url}/__sim/faults`, { method: 'DELETE' })
    expect((await get()).status).toBe(200)
  })

  it('answers a page of HTML where JSON was wanted', async () => {
    await control('faults', { kind: 'html', times: 1 })
    const page = await get()
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html'])
    await control('faults', { kind: 'html', times: 1, status: 503 })
    expect((await get()).status).toBe(503)
  })

  it('resets the connection, and ends another one in the middle of a body', async () => {
    await control('faults', { kind: 'reset', times: 1 })
    await expect(get()).rejects.toThrow('fetch failed')
    await control('faults', { kind: 'truncated', times: 1 })
    const half = await get()
    expect(half.status).toBe(200)
    await expect(half.text()).rejects.toThrow('terminated')
    expect((await get()).status).toBe(200)
  })

  it('is late, once or from now on', async () => {
    const timed = async () => {
      const from = performance.now()
      expect((await get()).status).toBe(200)
      return performance.now() - from
    }
    await control('faults', { kind: 'slow', times: 1, ms: 60 })
    expect(await timed()).toBeGreaterThan(50)
    await control('latency', { ms: 40 })
    expect(await timed()).toBeGreaterThan(30)
  })

  it('knows its faults and says so', async () => {
    expect((await control('faults', { kind: 'flood' })).status).toBe(400)
    expect((await control('latency', { ms: -1 })).status).toBe(400)
    for (const kind of FAULTS) expect((await control('faults', { kind })).status).toBe(204)
  })

  it('closes while a call is still waiting', async () => {
    const other = await startSimulator({
      name: 'late',
      refusals: { 401: refusal(401), 403: refusal(403), 429: refusal(429), 500: refusal(500) },
      routes: (app) => void app.get('/', () => 'late'),
    })
    other.fault({ kind: 'slow', ms: 600_000 })
    const asked = expect(fetch(other.url)).rejects.toThrow('fetch failed')
    while (other.calls().total === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await other.close()
    await asked
  })
})
