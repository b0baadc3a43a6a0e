import type { FastifyInstance } from 'fastify'
import { type Holdfast, holdfast } from 'holdfast'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SHOPS, startKiotViet } from '../simulators/kiotviet.ts'
import { FAULTS, type Simulator } from '../simulators/simulator.ts'
import { createApp } from './app.ts'
import { KiotViet } from './kiotviet.ts'

const [PHO, TRA] = SHOPS as [(typeof SHOPS)[0], (typeof SHOPS)[0]]
const USERS = {
  anna: { user: 'anna', workspace: PHO.retailer },
  binh: { user: 'binh', workspace: PHO.retailer },
  chi: { user: 'chi', workspace: TRA.retailer },
}
type Who = keyof typeof USERS | null

interface Setup {
  app: FastifyInstance
  hf: Holdfast
  url: string
  ask(method: string, path: string, who?: Who, body?: unknown): ReturnType<typeof ask>
}

let sim: Simulator
let culi: Setup
const opened: Setup[] = []

/** A backend of its own in this process, so that what one test does to it is no other's business. */
async function open(): Promise<Setup> {
  const hf = holdfast({ namespace: 'culi', encryption: { keys: { test: Buffer.alloc(32, 7) } } })
  const address = { api: sim.url, tokenUrl: `${sim.url}/connect/token` }
  const shops = new Map(SHOPS.map((shop) => [shop.retailer, new KiotViet(hf, shop, address)]))
  const app = await createApp({ hf, shops, users: USERS })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [name, shop] of shops) await shop.subscribe(`${url}/webhooks/kiotviet/${name}`)
  const setup = { app, hf, url, ask: ask.bind(null, url) }
  opened.push(setup)
  return setup
}

async function ask(url: string, method: string, path: string, who: Who = 'anna', body?: unknown) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      ...(who && { authorization: `Bearer ${who}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  const isJson = answer.headers.get('content-type')?.includes('json')
  return {
    status: answer.status,
    headers: answer.headers,
    source: answer.headers.get('cache-status') ?? '',
    body: (isJson ? JSON.parse(text) : { text }) as Body,
  }
}
type Body = Record<string, unknown> & { data: { id: number; basePrice: number }[]; id: string }

const control = (method: string, path: string, body?: object) =>
  fetch(`${sim.url}/__sim/${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
const calls = (route: string) => sim.calls().byRoute[route] ?? 0

beforeAll(async () => {
  sim = await startKiotViet()
  culi = await open()
})
afterAll(async () => {
  for (const { app } of opened) await app.close()
  await sim.close()
})

describe('what is read from KiotViet', () => {
  it('comes from it once, whatever a hundred visitors ask, and in milliseconds afterwards [S0-12][S0-13][S0-14]', async () => {
    await control('POST', 'latency', { ms: 300 })
    const before = calls('GET /products')
    const from = performance.now()
    const crowd = await Promise.all(
      Array.from({ length: 100 }, () => culi.ask('GET', '/products?page_size=5')),
    )
    const first = performance.now() - from
    expect(crowd.every(({ status, body }) => status === 200 && body.data.length === 5)).toBe(true)
    const took: number[] = []
    for (let i = 0; i < 20; i++) {
      const sent = performance.now()
      expect((await culi.ask('GET', '/products?page_size=5&page=1')).source).toContain('hit')
      took.push(performance.now() - sent)
    }
    await control('POST', 'latency', { ms: 0 })
    expect(calls('GET /products') - before).toBe(1)
    expect(first).toBeGreaterThan(290)
    expect(took.sort((a, b) => a - b)[10]).toBeLessThan(30)
  })

  it('is the same for the same question, and another for another shop [S0-15][B17]', async () => {
    const before = calls('GET /customers')
    const one = await culi.ask('GET', '/customers?page=2&page_size=10')
    const same = await culi.ask('GET', '/customers?page_size=10&page=2', 'binh')
    expect([same.source, same.body]).toEqual([expect.stringContaining('hit'), one.body])
    const other = await culi.ask('GET', '/customers?page=2&page_size=10', 'chi')
    expect(other.source).not.toContain('hit')
    expect(other.body.data[0]).toMatchObject({ retailerId: TRA.retailerId })
    expect(one.body.data[0]).toMatchObject({ retailerId: PHO.retailerId })
    expect(calls('GET /customers') - before).toBe(2)
  })

  it('is read anew once KiotViet tells of a change, and only what changed [S0-18][B21]', async () => {
    for (const path of ['/products', '/products/7', '/products/8', '/invoices']) await culi.ask('GET', path)
    const before = sim.calls().total
    const changed = await control('PATCH', 'products/7', { basePrice: 123_000 })
    expect(await changed.json()).toMatchObject({ delivered: expect.arrayContaining([204]) })
    expect((await culi.ask('GET', '/products/7')).body).toMatchObject({ basePrice: 123_000 })
    expect((await culi.ask('GET', '/products')).body.data[6]).toMatchObject({ basePrice: 123_000 })
    for (const path of ['/products', '/products/7', '/products/8', '/invoices']) {
      expect((await culi.ask('GET', path)).source).toContain('hit')
    }
    expect(sim.calls().total - before).toBe(2)
  })

  it('is not dropped on the word of strangers', async () => {
    const notice = { Notifications: [{ Action: 'product.update.1', Data: [{ Id: 1 }] }] }
    const post = (path: string, headers: Record<string, string>, body: object | string = notice) =>
      fetch(culi.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }).then(({ status }) => status)
    const path = `/webhooks/kiotviet/${PHO.retailer}`
    expect(await post(path, {})).toBe(401)
    expect(await post(path, { 'x-hub-signature': `sha256=${'0'.repeat(64)}` })).toBe(401)
    expect(await post('/webhooks/kiotviet/nobody', {})).toBe(404)
  })

  it('follows a token that KiotViet has taken back, by one new token [S0-30][B4]', async () => {
    await culi.ask('GET', '/products')
    const before = calls('POST /connect/token')
    await control('DELETE', 'tokens')
    const all = await Promise.all([21, 22, 23, 24].map((id) => culi.ask('GET', `/products/${id}`)))
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(calls('POST /connect/token') - before).toBe(1)
  })

  it('never uses a token that is over [S0-6]', async () => {
    await control('POST', 'tokens', { expiresIn: 3 })
    const own = await open()
    await control('POST', 'tokens', { expiresIn: 86_400 })
    const end = Date.now() + 3_500
    for (let id = 1; Date.now() < end; id = (id % 60) + 1) {
      await own.hf.cache.invalidateTag(`kiotviet:${PHO.retailer}:products/${id}`)
      expect((await own.ask('GET', `/products/${id}`)).status).toBe(200)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
})

describe('while KiotViet fails', () => {
  it.each(FAULTS)(
    '(%s) what is there is served, and what is not is no fault of ours [S2-6]',
    async (kind) => {
      const own = await open()
      const good = await own.ask('GET', '/products')
      const hits = await own.ask('GET', '/products')
      expect(hits.source).toContain('hit')
      await own.hf.cache.expireTag(`kiotviet:${PHO.retailer}:products`)
      await control('POST', 'faults', { kind, ms: 10_000 })
      try {
        for (let i = 0; i < 5; i++) {
          const stale = await own.ask('GET', '/products')
          expect([stale.status, stale.body]).toEqual([200, good.body])
        }
        if (kind === 'slow') return // it takes the whole deadline: see below
        const other = await own.ask('GET', '/products/33')
        expect(other.headers.get('content-type')).toContain('application/problem+json')
        expect([502, 503, 504]).toContain(other.status)
        expect(Number(other.headers.get('retry-after'))).toBeGreaterThan(0)
        expect(JSON.stringify(other.body)).not.toContain(sim.url)
        const talk = await own.ask('POST', '/conversations')
        const said = await own.ask('POST', `/conversations/${talk.body.id}/messages`, 'anna', {
          text: 'price of phở',
        })
        expect(said.status).toBe(200)
      } finally {
        await control('DELETE', 'faults')
      }
    },
  )

  it('who waits for it waits three seconds', async () => {
    const own = await open()
    await own.ask('GET', '/products')
    await control('POST', 'faults', { kind: 'slow', ms: 10_000 })
    const from = performance.now()
    const late = await own.ask('GET', '/products/34')
    await control('DELETE', 'faults')
    expect(late.status).toBe(504)
    expect(performance.now() - from).toBeGreaterThan(2_900)
  })
})
