import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import {
  Agent,
  type Dispatcher,
  getGlobalDispatcher,
  interceptors,
  request,
  setGlobalDispatcher,
  fetch as undiciFetch,
} from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { undiciStore } from '../../src/undici/store.ts'
import { type HttpOrigin, startOrigin } from '../support/http-origin.ts'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

let redis: RedisServer
let origin: HttpOrigin
let live: LiveCache[]
let stores: ReturnType<typeof undiciStore>[]
let agents: Dispatcher[]

beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

beforeEach(async () => {
  origin = await startOrigin((seen, response) => {
    response.setHeader('cache-control', 'public, max-age=60')
    response.setHeader('etag', '"one"')
    response.end(`${seen.method} ${seen.path} ${origin.calls()}`)
  })
  const namespace = freshNamespace()
  live = [await openCache(redis.url, { namespace }), await openCache(redis.url, { namespace })]
  stores = live.map(({ cache }) => undiciStore({ cache }))
  agents = stores.map((store) => new Agent().compose(interceptors.cache({ store })))
})
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.close()))
  for (const { close } of live) await close()
  await origin.stop()
})

/** Ways to send a GET through a dispatcher, and what comes back. */
const WAYS: Record<string, (url: string, dispatcher: Dispatcher) => Promise<string>> = {
  'undici.request': async (url, dispatcher) => (await request(url, { dispatcher })).body.text(),
  'undici.fetch': async (url, dispatcher) => (await undiciFetch(url, { dispatcher })).text(),
  "Node's own fetch": async (url, dispatcher) => {
    const before = getGlobalDispatcher()
    setGlobalDispatcher(dispatcher)
    try {
      return await (await fetch(url)).text()
    } finally {
      setGlobalDispatcher(before)
    }
  },
}

const stored = (n = 1) => until('it is stored', () => stores[0]!.stats().stored >= n)

describe.each(Object.entries(WAYS))('through %s', (_, get) => {
  it('a response is fetched once by two processes', async () => {
    const url = `${origin.url}/products?page=1`
    const first = await get(url, agents[0]!)
    await stored()
    for (let i = 0; i < 6; i++) expect(await get(url, agents[i % 2]!)).toBe(first)
    expect(origin.calls()).toBe(1)
    await get(`${origin.url}/products?page=2`, agents[1]!)
    expect(origin.calls()).toBe(2)
  })

  it('bytes come back as they were, compressed by the server or not', async () => {
    const text = 'äöü €'.repeat(500)
    origin.answer((_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', 'content-type': 'text/plain; charset=utf-8' })
      response.end(text)
    })
    expect(await get(`${origin.url}/text`, agents[0]!)).toBe(text)
    await stored()
    expect(await get(`${origin.url}/text`, agents[1]!)).toBe(text)
    expect(origin.calls()).toBe(1)
  })
})

describe('with undici deciding', () => {
  const get = WAYS['undici.request']!

  it('a compressed body is kept compressed, and fetch unpacks it', async () => {
    origin.answer((_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', 'content-encoding': 'gzip' })
      response.end(gzipSync('packed'))
    })
    for (const agent of [agents[0]!, agents[1]!]) {
      expect(await WAYS['undici.fetch']!(`${origin.url}/gzip`, agent)).toBe('packed')
      await stored()
    }
    expect(origin.calls()).toBe(1)
  })

  it('what must not be stored is not stored', async () => {
    origin.answer((_, response) => {
      response.setHeader('cache-control', 'no-store')
      response.end('secret')
    })
    for (let i = 0; i < 3; i++) await get(`${origin.url}/no-store`, agents[i % 2]!)
    expect(origin.calls()).toBe(3)
    expect(stores.map((store) => store.stats().stored)).toEqual([0, 0])
  })

  it('a response that varies is kept once for each value', async () => {
    origin.answer((seen, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', vary: 'accept-language' })
      response.end(`in ${seen.headers['accept-language']}`)
    })
    const read = async (language: string, agent: Dispatcher) =>
      (
        await request(`${origin.url}/greet`, { dispatcher: agent, headers: { 'accept-language': language } })
      ).body.text()
    for (const language of ['en', 'de']) {
      expect(await read(language, agents[0]!)).toBe(`in ${language}`)
    }
    await stored(2)
    for (const language of ['de', 'en', 'de']) expect(await read(language, agents[1]!)).toBe(`in ${language}`)
    expect(origin.calls()).toBe(2)
  })

  it('a stale response is revalidated, and its life renewed by 304', async () => {
    origin.answer((seen, response) => {
      response.setHeader('cache-control', 'max-age=1')
      response.setHeader('etag', '"one"')
      if (seen.headers['if-none-match'] === '"one"') {
        response.statusCode = 304
        return response.end()
      }
      return response.end('body')
    })
    const url = `${origin.url}/revalidated`
    expect(await get(url, agents[0]!)).toBe('body')
    await stored()
    await until('it was revalidated', async () => {
      expect(await get(url, agents[1]!)).toBe('body')
      return origin.requests.some((seen) => seen.headers['if-none-match'])
    })
    expect(origin.requests.filter((seen) => !seen.headers['if-none-match'])).toHaveLength(1)
  })

  it('a write to a resource drops it for both', async () => {
    const url = `${origin.url}/thing`
    const first = await get(url, agents[0]!)
    await stored()
    expect(await get(url, agents[1]!)).toBe(first)
    await (await request(url, { dispatcher: agents[1]!, method: 'PUT', body: 'x' })).body.dump()
    await until('both ask again', async () => (await get(url, agents[0]!)) !== first)
  })

  it('a body that the server cuts is never stored', async () => {
    let cuts = 0
    const server = createServer((socket: Socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        const isCut = cuts++ < 2
        socket.write('HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 8\r\n\r\nhalf')
        if (isCut) setTimeout(() => socket.resetAndDestroy(), 5)
        else socket.end('full')
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const url = `http://127.0.0.1:${port}/cut`
    await expect(get(url, agents[0]!)).rejects.toThrow()
    await expect(get(url, agents[1]!)).rejects.toThrow()
    expect(await get(url, agents[0]!)).toBe('halffull')
    await stored()
    expect(await get(url, agents[1]!)).toBe('halffull')
    expect(cuts).toBe(3)
    expect(stores.map((store) => store.stats().aborted)).toEqual([1, 1])
    await new Promise((resolve) => server.close(resolve))
  })

  it('a caller that goes away in mid-body leaves nothing behind', async () => {
    origin.answer((_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60' })
      response.write('a'.repeat(1_000))
      if (origin.calls() > 1) response.end('end')
    })
    const controller = new AbortController()
    const pending = request(`${origin.url}/left`, { dispatcher: agents[0]!, signal: controller.signal })
    const { body } = await pending
    body.on('error', () => undefined)
    controller.abort()
    await until('it was dropped', () => stores[0]!.stats().aborted === 1)
    expect(await get(`${origin.url}/left`, agents[1]!)).toBe(`${'a'.repeat(1_000)}end`)
  })

  it('goes on while Redis is down', async () => {
    const own = await startRedis()
    const down = await openCache(own.url, { deadlines: { read: 200, write: 200, invalidate: 300 } })
    const store = undiciStore({ cache: down.cache })
    const agent = new Agent().compose(interceptors.cache({ store }))
    await own.kill()
    for (let i = 1; i <= 3; i++) expect(await get(`${origin.url}/down`, agent)).toBe(`GET /down ${i}`)
    await agent.close()
    await down.close()
    await own.stop()
  })
})
