import type { FastifyInstance } from 'fastify'
import { type Holdfast, holdfast } from 'holdfast'
import { createAdmin } from 'holdfast/admin'
import type { Limits } from 'holdfast/limit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../test/support/until.ts'
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
type Who = keyof typeof USERS | 'mallory' | null

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
async function open(categories: Record<string, Limits> = {}): Promise<Setup> {
  const encryption = { keys: { test: Buffer.alloc(32, 7) } }
  const hf = holdfast({ namespace: 'culi', encryption, limits: { categories } })
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
const refusedTokens = async () =>
  ((await (await control('GET', 'tokens')).json()) as { refused: number }).refused
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
    took.sort((a, b) => a - b)
    expect(took[0]).toBeLessThan(30)
    expect(took[10]).toBeLessThan(150)
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

  it('shows customers to no administrator [S0-19]', async () => {
    const own = await open()
    const { contactNumber } = (await own.ask('GET', '/customers/9')).body as unknown as Record<string, string>
    const { code } = (await own.ask('GET', '/products/9')).body as unknown as Record<string, string>
    const token = 'e'.repeat(40)
    const tokens = [{ token, edition: 'enterprise' as const, name: 'eve' }]
    const admin = createAdmin({ holdfast: own.hf, tokens, dashboard: false })
    const see = async (path: string) => {
      const headers = { authorization: `Bearer ${token}` }
      const request = new Request(`http://admin.test/api/v1/cache/${path}`, { headers })
      return (await (await admin.fetch(request, { address: '127.0.0.1' })).json()) as Record<string, unknown>
    }
    const { keys } = (await see('keys')) as { keys: string[] }
    const shown = await Promise.all(keys.map((key) => see(`key/${encodeURIComponent(key)}`)))
    await admin.close()
    const values = shown.map(({ value }) => value)
    expect(values).toHaveLength(2)
    expect(values).toContain('[redacted]')
    const text = JSON.stringify(shown)
    expect([text.includes(code!), text.includes(contactNumber!)]).toEqual([true, false])
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
    await control('POST', 'tokens', { expiresIn: 2 })
    const own = await open()
    await control('POST', 'tokens', { expiresIn: 86_400 })
    const before = await refusedTokens()
    const end = Date.now() + 2_500
    for (let id = 1; Date.now() < end; id = (id % 60) + 1) {
      await own.hf.cache.invalidateTag(`kiotviet:${PHO.retailer}:products/${id}`)
      expect((await own.ask('GET', `/products/${id}`)).status).toBe(200)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect((await refusedTokens()) - before).toBe(0)
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
        const before = sim.calls().total
        for (let i = 0; i < 5; i++) {
          const stale = await own.ask('GET', '/products')
          expect([stale.status, stale.body]).toEqual([200, good.body])
          await until('KiotViet was asked behind it', () => sim.calls().total > before)
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

describe('how often somebody may come', () => {
  it('is said per user and per workspace, for requests of any kind [S0-7]', async () => {
    const own = await open({ requests: { user: '4/minute', workspace: '6/minute' } })
    const statuses = async (who: Who, times: number) => {
      const seen: number[] = []
      for (let i = 0; i < times; i++) seen.push((await own.ask('GET', '/plans/1', who)).status)
      return seen
    }
    expect(await statuses('anna', 5)).toEqual([200, 200, 200, 200, 429])
    expect(await statuses('binh', 3)).toEqual([200, 200, 429]) // the workspace has six
    expect(await statuses('chi', 1)).toEqual([200])
    const refused = await own.ask('GET', '/products')
    expect(refused.headers.get('content-type')).toContain('application/problem+json')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.headers.get('ratelimit')).toContain('r=0')
  })

  it('is said per minute for messages of a user [S0-8]', async () => {
    const { body } = await culi.ask('POST', '/conversations')
    const say = (id: string, who: Who) =>
      culi.ask('POST', `/conversations/${id}/messages`, who, { text: 'hello' })
    for (let i = 0; i < 20; i++) expect((await say(body.id, 'anna')).status).toBe(200)
    const refused = await say(body.id, 'anna')
    expect(refused.status).toBe(429)
    expect(refused.body).toMatchObject({ title: 'Too many requests', status: 429 })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.headers.get('ratelimit-policy')).toBeTruthy()
    const other = await culi.ask('POST', '/conversations', 'binh')
    expect((await say(other.body.id, 'binh')).status).toBe(200)
  })

  it('is said per connection for calls of tools [S0-9]', async () => {
    const own = await open({ mcp: { connection: '3/minute' } })
    const params = { name: 'products', arguments: { page: 2 } }
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params }
    const use = (who: Who, shop: string) => own.ask('POST', `/mcp/${shop}`, who, call)
    const first = await use('anna', PHO.retailer)
    expect(first.body).toMatchObject({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text' }] } })
    expect((await use('binh', PHO.retailer)).status).toBe(200)
    expect((await use('anna', PHO.retailer)).status).toBe(200)
    expect((await use('anna', PHO.retailer)).status).toBe(429)
    expect((await use('chi', TRA.retailer)).status).toBe(200)
    expect((await use('chi', PHO.retailer)).status).toBe(404)
  })
})

describe('a conversation', () => {
  it('remembers what was spoken of, and belongs to who began it [S0-20]', async () => {
    const own = await open()
    const { body, status } = await own.ask('POST', '/conversations')
    expect(status).toBe(201)
    const say = async (text: string, who: Who = 'anna') =>
      (await own.ask('POST', `/conversations/${body.id}/messages`, who, { text })).body
    expect(await say('how many are left?')).toMatchObject({ reply: expect.stringContaining('Ask'), turns: 1 })
    expect(await say('price of phở gà')).toEqual({ reply: 'Phở gà nhỏ costs 25,000 ₫.', turns: 2 })
    expect(await say('How many are left?')).toEqual({ reply: 'There are 14 of Phở gà nhỏ.', turns: 3 })
    expect(await say('price of gold')).toMatchObject({ reply: 'There is no gold.' })
    expect(await say('hello', 'binh')).toMatchObject({ status: 404 })
  })
})

describe('a plan', () => {
  it('is executed once, however often that is asked for at the same time [S0-23][S0-24]', async () => {
    const own = await open()
    const before = calls('PUT /products/:id')
    const all = await Promise.all(Array.from({ length: 50 }, () => own.ask('POST', '/plans/1/execute')))
    const won = all.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    expect(all.filter(({ status }) => status === 409)).toHaveLength(49)
    expect(won[0]!.body).toMatchObject({ id: '1', changed: 3, attempt: 1 })
    expect(calls('PUT /products/:id') - before).toBe(3)
    expect((await own.ask('POST', '/plans/1/execute')).body).toMatchObject({ status: 409 })
    expect((await own.ask('GET', '/products/1')).body).toMatchObject({ basePrice: 25_000 })
    // Another workspace's plan of the same number is another plan.
    expect((await own.ask('POST', '/plans/1/execute', 'chi')).status).toBe(200)
  })

  it('goes on where it stopped when KiotViet failed in the middle of it [S0-21]', async () => {
    const own = await open()
    const prices = { 11: 1_000, 12: 2_000, 13: 3_000 }
    const { body } = await own.ask('POST', '/plans', 'anna', { title: 'Sale', prices })
    await control('POST', 'faults', { kind: '500', path: '/products/12', times: 1 })
    const before = calls('PUT /products/:id')
    expect((await own.ask('POST', `/plans/${body.id}/execute`)).status).toBe(502)
    const half = await own.ask('GET', `/plans/${body.id}`)
    expect(half.body).toMatchObject({ state: 'retryable', done: ['product 11'], attempts: 1 })
    expect((await own.ask('POST', `/plans/${body.id}/execute`)).body).toMatchObject({ attempt: 2 })
    expect(calls('PUT /products/:id') - before).toBe(4) // 11, 12 in vain, 12, 13
    const whole = await own.ask('GET', `/plans/${body.id}`)
    expect(whole.body).toMatchObject({ state: 'done', done: ['product 11', 'product 12', 'product 13'] })
    expect((await own.ask('GET', `/plans/${body.id}`, 'chi')).status).toBe(404)
  })
})

describe('what cannot be', () => {
  const conversation = '/conversations/nosuchconversation0000/messages'
  it.each([
    ['GET', '/products', null, undefined, 401],
    ['GET', '/products', 'mallory', undefined, 401],
    ['POST', '/plans/1/execute', null, undefined, 401],
    ['GET', '/products?page=0', 'anna', undefined, 400],
    ['GET', '/products?page=1&page=2', 'anna', undefined, 400],
    ['GET', '/invoices?page_size=101', 'anna', undefined, 400],
    ['GET', '/invoices?page_size=ten', 'anna', undefined, 400],
    ['GET', '/customers?pagesize=10', 'anna', undefined, 400],
    ['GET', '/products/0', 'anna', undefined, 400],
    ['GET', '/products/abc', 'anna', undefined, 400],
    ['GET', '/products/%00', 'anna', undefined, 400],
    ['GET', '/products/%', 'anna', undefined, 400],
    ['GET', `/products/${'9'.repeat(2_000)}`, 'anna', undefined, 414],
    ['GET', '/products/1;drop', 'anna', undefined, 400],
    ['GET', '/products/999999', 'anna', undefined, 404],
    ['GET', '/nothing', 'anna', undefined, 404],
    ['DELETE', '/products/1', 'anna', undefined, 404],
    ['GET', '/plans/2', 'anna', undefined, 404],
    ['GET', '/plans/__proto__', 'anna', undefined, 404],
    ['POST', '/plans/2/execute', 'anna', undefined, 404],
    ['POST', '/plans', 'anna', {}, 422],
    ['POST', '/plans', 'anna', '{"title"', 400],
    ['POST', '/plans', 'anna', { title: 'x', prices: { 1: -5 } }, 422],
    ['POST', '/plans', 'anna', { title: 'x', prices: { one: 5 } }, 422],
    ['POST', '/plans', 'anna', { title: 'x'.repeat(70_000), prices: {} }, 413],
    ['POST', conversation, 'anna', { text: 'hello' }, 404],
    ['POST', conversation, 'anna', { text: ' ' }, 422],
    ['POST', conversation, 'anna', { text: 'x'.repeat(2_001) }, 422],
    ['POST', conversation, 'anna', { text: 5 }, 422],
    ['POST', `/mcp/${PHO.retailer}`, 'anna', { jsonrpc: '1.0' }, 422],
    ['POST', '/mcp/nobody', 'anna', { jsonrpc: '2.0' }, 404],
    ['POST', `/webhooks/kiotviet/${PHO.retailer}`, null, {}, 401],
    ['POST', `/webhooks/kiotviet/${PHO.retailer}`, null, undefined, 401],
  ] as const)('%s %s of %s is refused in so many words', async (method, path, who, body, status) => {
    const own = opened.at(-1)!
    const { body: problem, headers, ...answer } = await own.ask(method, path, who, body)
    expect([answer.status, problem.status]).toEqual([status, status])
    expect(headers.get('content-type')).toContain('application/problem+json')
    expect(String(problem.detail).length).toBeGreaterThan(5)
  })

  it('is refused without a body where none was asked for', async () => {
    const headers = { authorization: 'Bearer anna' }
    expect((await fetch(`${culi.url}/products/0`, { method: 'HEAD', headers })).status).toBe(400)
    expect((await fetch(`${culi.url}/products/1`, { method: 'HEAD', headers })).status).toBe(200)
  })

  it('a body that is no JSON is refused too', async () => {
    const headers = { authorization: 'Bearer anna', 'content-type': 'text/csv' }
    const answer = await fetch(`${culi.url}/plans`, { method: 'POST', headers, body: 'a,b' })
    expect(answer.status).toBe(415)
  })
})

describe('health and figures', () => {
  it('are there without Redis: one process needs none [S0-1][S0-27][S0-36]', async () => {
    const health = await culi.ask('GET', '/healthz', null)
    expect(health.body).toMatchObject({ status: 'ok', driver: 'embedded', degraded: false })
    const figures = String((await culi.ask('GET', '/metrics', null)).body.text)
    expect(figures).toMatch(/^holdfast_cache_hit_ratio\{namespace="default"\} 0\.\d+$/m)
  })
})
