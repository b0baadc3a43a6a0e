import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { startWorker, type Worker } from '../../test/support/processes.ts'
import { type RedisServer, startRedis, stopAllRedis } from '../../test/support/redis-server.ts'
import { until } from '../../test/support/until.ts'
import { SHOPS, startKiotViet } from '../simulators/kiotviet.ts'
import type { Simulator } from '../simulators/simulator.ts'
import { startCuli } from './server.ts'

/** Four processes at once, each of which compiles its files. */
const START_MS = 90_000
const PHO = SHOPS[0]!
const ANNA = 'token-of-anna'

interface Server {
  url: string
  process: Worker
}

let redis: RedisServer
let sim: Simulator
const servers: Server[] = []

const environment = () => ({
  REDIS_URL: redis.url,
  REDIS_SOCKET_TIMEOUT: '5',
  UPSTREAM_URL: sim.url,
  CULI_PLAN_LEASE: '1s',
  // KiotViet lives in the process that sends a thousand requests at once.
  KIOTVIET_TIMEOUT: '20s',
})

async function startServer(): Promise<Server> {
  const port = String(await freePort())
  const env = { ...environment(), PORT: port }
  const process = await startWorker(new URL('./server.ts', import.meta.url), { env, readyMs: START_MS })
  const url = `http://127.0.0.1:${port}`
  await untilConnected(url)
  return { url, process }
}

const untilConnected = (url: string) =>
  until('it has its Redis', async () => (await ask(url, 'GET', '/healthz')).body.status === 'ok', 20_000)

async function ask(url: string, method: string, path: string, body?: object, token = ANNA) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  return {
    status: answer.status,
    source: answer.headers.get('cache-status') ?? '',
    body: (await answer.json()) as Record<string, unknown> & { id: string },
  }
}
/** Of the server whose turn it is. */
const url = (turn: number) => servers[turn % servers.length]!.url
const control = (method: string, path: string, body?: object) =>
  fetch(`${sim.url}/__sim/${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
const calls = (route: string) => sim.calls().byRoute[route] ?? 0
const keys = async () => (await redis.cli('KEYS', '*')) as string[]

beforeAll(async () => {
  ;[redis, sim] = await Promise.all([startRedis({ aof: true }), startKiotViet()])
  servers.push(...(await Promise.all(Array.from({ length: 4 }, () => startServer()))))
}, START_MS)
afterAll(async () => {
  await Promise.all(servers.map(({ process }) => process.kill()))
  await sim.close()
  await stopAllRedis()
})

describe('four processes over one Redis', { timeout: 60_000 }, () => {
  it('ask for one token and one answer when a thousand first requests come at once, over one pair of connections each [S0-5][S0-13][S0-29][S0-30][B1][B4]', async () => {
    const all = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(url(i), 'GET', '/products')))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
    expect(sim.calls().byRoute).toEqual({ 'POST /connect/token': 1, 'GET /products': 1 })
    const clients = String(await redis.cli('CLIENT', 'LIST'))
      .trim()
      .split('\n')
    expect(clients.filter((line) => !line.includes('cmd=client')).length).toBe(4 * 2)
  })

  it('keep nothing for longer than it is good for, and no secret in clear [S0-2][S0-3][S0-11][S0-16][S0-17][S0-19][S0-22][B2][B27]', async () => {
    for (const path of ['/products?page=2', '/invoices', '/customers']) {
      expect((await ask(url(0), 'GET', path)).status).toBe(200)
      expect((await ask(url(1), 'GET', path)).source).toContain('hit')
    }
    const talk = await ask(url(0), 'POST', '/conversations')
    await ask(url(1), 'POST', `/conversations/${talk.body.id}/messages`, { text: 'hello' })

    const life = async (part: string) => {
      const found = (await keys()).filter((key) => key.includes(part))
      expect(found.length).toBeGreaterThan(0)
      return Promise.all(found.map(async (key) => Number(await redis.cli('PTTL', key)) / 1_000))
    }
    for (const seconds of await life(`api_cache:kiotviet:${PHO.retailer}:products`)) {
      expect(seconds).toBeGreaterThan(300)
      expect(seconds).toBeLessThanOrEqual(600)
    }
    for (const seconds of await life(`api_cache:kiotviet:${PHO.retailer}:invoices`)) {
      expect(seconds).toBeGreaterThan(0)
      expect(seconds).toBeLessThanOrEqual(30)
    }
    const token = Math.max(...(await life(':token:')))
    expect(token).toBeGreaterThan(80_000)
    expect(token).toBeLessThan(86_400 - 60)
    for (const part of [':rl:', ':session:']) {
      for (const seconds of await life(part)) expect(seconds).toBeGreaterThan(0)
    }

    const { good } = (await (await control('GET', 'tokens')).json()) as { good: string[] }
    // One item each, which is too short to be compressed: of a product everything can be read.
    await ask(url(0), 'GET', '/products/5')
    const { contactNumber, code } = (await ask(url(0), 'GET', '/customers/5')).body as Record<string, string>
    const stored = JSON.stringify(await Promise.all((await keys()).map(dump)))
    const secrets = [PHO.clientSecret, talk.body.id, ...good, contactNumber!, code!]
    expect([good.length, code]).toEqual([1, 'KH000005'])
    expect(['SP000005', ...secrets].filter((text) => stored.includes(text))).toEqual(['SP000005'])
  })

  it('all read anew what KiotViet tells one of them has changed [S0-18]', async () => {
    await (await startCuli({ ...environment(), PORT: '0', PUBLIC_URL: url(0) })).close() // has subscribed
    for (const server of servers) await ask(server.url, 'GET', '/products/9')
    for (let price = 70_000; price < 70_005; price++) {
      const before = calls('GET /products/:id')
      const told = await control('PATCH', 'products/9', { basePrice: price })
      expect(await told.json()).toMatchObject({ delivered: [204] })
      const all = await Promise.all(servers.map((server) => ask(server.url, 'GET', '/products/9')))
      expect(all.map(({ body }) => body.basePrice)).toEqual([price, price, price, price])
      expect(calls('GET /products/:id') - before).toBe(1)
    }
  })

  it('count messages together [S0-7][S0-8]', async () => {
    const { body } = await ask(url(0), 'POST', '/conversations', undefined, 'token-of-binh')
    const path = `/conversations/${body.id}/messages`
    const statuses: number[] = []
    for (let i = 0; i < 28; i++) {
      statuses.push((await ask(url(i), 'POST', path, { text: 'hello' }, 'token-of-binh')).status)
    }
    expect(statuses).toEqual([...Array(20).fill(200), ...Array(8).fill(429)])
  })

  it('execute a plan once when fifty ask for it at the same time [S0-23][S0-24]', async () => {
    const before = calls('PUT /products/:id')
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, i) => ask(url(i), 'POST', '/plans/1/execute')),
    )
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(all.filter(({ status }) => status === 409)).toHaveLength(49)
    expect(calls('PUT /products/:id') - before).toBe(3)
  })

  it('go on with a conversation whose process was killed [S0-20]', async () => {
    const { body } = await ask(url(0), 'POST', '/conversations', undefined, 'token-of-chi')
    const say = async (text: string) =>
      (await ask(url(0), 'POST', `/conversations/${body.id}/messages`, { text }, 'token-of-chi')).body
    expect(await say('price of bún chả')).toMatchObject({ turns: 1 })
    await servers.shift()!.process.kill()
    const next = await say('how many are left?')
    expect(next).toMatchObject({ turns: 2, reply: expect.stringContaining('Bún chả') })
  })

  const newPlan = async (prices: Record<number, number>) =>
    (await ask(url(0), 'POST', '/plans', { title: 'Sale', prices })).body.id
  /** The first process has changed the price of 41 and waits for KiotViet to change that of 42. */
  const stuck = async (path: string) => {
    await control('POST', 'faults', { kind: 'slow', path: '/products/42', times: 1, ms: 20_000 })
    const before = calls('PUT /products/:id')
    const answer = ask(url(0), 'POST', path).catch(() => undefined)
    await until('it is in the middle of the plan', () => calls('PUT /products/:id') === before + 2)
    return { answer, before }
  }
  const executed = (turn: number, path: string) =>
    until(
      'the lease is over',
      async () => {
        const answer = await ask(url(turn), 'POST', path)
        if (answer.status !== 409) return answer
        await new Promise((resolve) => setTimeout(resolve, 50))
        return undefined
      },
      20_000,
    )

  it('go on with a plan whose process was killed, where it had stopped [S0-21][S0-23]', async () => {
    const path = `/plans/${await newPlan({ 41: 1_000, 42: 2_000, 43: 3_000 })}`
    const { before } = await stuck(`${path}/execute`)
    expect((await ask(url(1), 'POST', `${path}/execute`)).status).toBe(409)
    await servers.shift()!.process.kill()
    expect(await executed(0, `${path}/execute`)).toMatchObject({ status: 200, body: { attempt: 2 } })
    expect(calls('PUT /products/:id') - before).toBe(4) // 41, 42 of the dead one, 42, 43
    expect((await ask(url(1), 'GET', path)).body).toMatchObject({ state: 'done', attempts: 2 })
    expect((await ask(url(1), 'POST', `${path}/execute`)).status).toBe(409)
  })

  it('refuse what a process writes that stood still and lost its plan [S0-24]', async () => {
    const path = `/plans/${await newPlan({ 41: 4_000, 42: 5_000, 43: 6_000 })}`
    const { answer, before } = await stuck(`${path}/execute`)
    servers[0]!.process.pause()
    expect(await executed(1, `${path}/execute`)).toMatchObject({ status: 200, body: { attempt: 2 } })
    servers[0]!.process.resume()
    expect(await answer).toMatchObject({ status: 409 })
    expect(calls('PUT /products/:id') - before).toBe(4) // 43 was not changed a second time
    expect((await ask(url(1), 'GET', path)).body).toMatchObject({ state: 'done', attempts: 2 })
  })

  it('go on reading without Redis, and find it again by themselves [S0-1][S0-27]', async () => {
    await redis.kill()
    await until('they see it', async () => (await ask(url(0), 'GET', '/healthz')).body.degraded === true)
    for (const server of servers) {
      expect((await ask(server.url, 'GET', '/products/50')).status).toBe(200)
      expect((await ask(server.url, 'GET', '/healthz')).status).toBe(200)
    }
    expect((await ask(url(0), 'POST', '/plans/1/execute')).status).toBe(503)
    await redis.restart()
    for (const server of servers) await untilConnected(server.url)
    expect((await ask(url(0), 'POST', '/plans/1/execute')).status).toBe(409)
  })

  it('find their token again after a crash of all of them [S0-4]', async () => {
    await Promise.all(servers.splice(0).map(({ process }) => process.kill()))
    const before = calls('GET /products/:id')
    servers.push(await startServer())
    expect((await ask(url(0), 'GET', '/products/51')).status).toBe(200)
    expect(calls('GET /products/:id') - before).toBe(1)
    // One call since the start, but for the one of each process that read while Redis was away.
    expect(calls('POST /connect/token')).toBeLessThanOrEqual(1 + 2)
  })
})

describe('a server whose Redis was never there', () => {
  it('starts, says so, and serves [S0-26][S0-27]', async () => {
    const nobody = `redis://127.0.0.1:${await freePort()}/0`
    const culi = await startCuli({ REDIS_URL: nobody, PORT: '0', UPSTREAM_URL: sim.url })
    expect(await ask(culi.url, 'GET', '/healthz')).toMatchObject({
      status: 200,
      body: { degraded: true, driver: 'redis' },
    })
    expect((await ask(culi.url, 'GET', '/products')).status).toBe(200)
    await culi.close()
  })
})

/** What Redis has under a key, as text. */
async function dump(key: string): Promise<unknown> {
  const type = String(await redis.cli('TYPE', key))
  if (type === 'hash') return [key, await redis.cli('HGETALL', key)]
  if (type === 'zset') return [key, await redis.cli('ZRANGE', key, 0, -1)]
  if (type === 'string') return [key, await redis.cli('GET', key)]
  if (type === 'none') return [key] // has expired since
  throw new Error(`the test does not know how to read a ${type}`)
}
