import { createServer, get as httpGet, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { createCache } from '../../src/cache/create.ts'
import { BodySpool } from '../../src/http/body-spool.ts'
import { createHttpCache } from '../../src/http/engine.ts'
import { NodeRequest, sendReply } from '../../src/http/node-bridge.ts'
import { until } from '../support/until.ts'
import { ok, Site, SlowBody, textOf } from './http-harness.ts'

const LIFE = { 'cache-control': 'max-age=60' }

describe('a body that comes in pieces', () => {
  it('reaches its client piece by piece, and the others whole', async () => {
    const site = new Site()
    const body = new SlowBody()
    site.app = () => ok(LIFE, body)
    const reply = await site.send()
    const reader = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    body.push('one ')
    expect(Buffer.from((await reader.next()).value as Uint8Array).toString()).toBe('one ')
    const other = site.ask()
    body.push('two')
    body.push(null)
    expect(Buffer.from((await reader.next()).value as Uint8Array).toString()).toBe('two')
    expect((await reader.next()).done).toBe(true)
    const joined = await other
    expect(joined.text).toBe('one two')
    expect(joined.said).toBe('holdfast; fwd=uri-miss; collapsed; ttl=60')
    expect((await site.ask()).said).toContain('hit')
    expect(site.calls).toBe(1)
  })

  it('is stored although its client went away', async () => {
    const site = new Site()
    const body = new SlowBody()
    site.app = () => ok(LIFE, body)
    const reply = await site.send()
    await (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]().return?.()
    body.push('whole')
    body.push(null)
    await until('it is stored', () => site.http.stats().stored === 1)
    expect((await site.ask()).text).toBe('whole')
  })

  it('that breaks off is an error to its client, and nothing to anybody else', async () => {
    const site = new Site()
    const body = new SlowBody()
    site.app = () => (site.calls === 1 ? ok(LIFE, body) : ok(LIFE, 'right'))
    const reply = await site.send()
    const other = site.ask()
    body.push('half')
    body.push(new Error('connection reset'))
    await expect(textOf(reply.body)).rejects.toThrow('connection reset')
    expect((await other).text).toBe('right')
    expect((await site.ask()).text).toBe('right')
    expect(site.http.stats().cut).toBe(1)
  })

  it.each([
    ['shorter', '10'],
    ['longer', '2'],
    ['said twice', ['4', '5']],
    ['not a number', 'four'],
  ])('whose length is %s is not stored', async (_, length) => {
    for (const piecewise of [true, false]) {
      const site = new Site()
      const headers = { ...LIFE, 'content-length': length }
      site.app = () => ok(headers, piecewise ? Readable.from(['bo', 'dy']) : 'body')
      await site.ask().catch(() => {})
      await site.ask().catch(() => {})
      expect(site.calls).toBe(2)
      expect(site.http.stats().stored).toBe(0)
    }
  })

  it('whose lengths contradict each other is still handed on', async () => {
    const site = new Site()
    site.app = () => ok({ ...LIFE, 'content-length': ['4', '5'] }, Readable.from(['bo', 'dy']))
    expect(await site.ask()).toMatchObject({ text: 'body', said: expect.stringContaining('detail=length') })
  })

  it('of a refresh that may not be stored is not left open', async () => {
    const site = new Site()
    site.app = () => ok({ 'cache-control': 'max-age=60, stale-while-revalidate=60' })
    await site.ask()
    await site.clock.advance(70_000)
    const body = new SlowBody()
    body.push('half')
    const closed = new Promise((resolve) => {
      const source = Readable.from(body)
      source.on('close', resolve)
      site.app = () => ok({ 'cache-control': 'no-store' }, source)
    })
    await site.ask()
    await closed
  })

  it('over the bound passes through at the pace of its client, unstored', async () => {
    const site = new Site({ maxBodyBytes: 10 })
    let made = 0
    site.app = () =>
      ok(
        LIFE,
        (async function* () {
          for (; made < 100; made++) yield Buffer.from('12345')
        })(),
      )
    const reply = await site.send()
    const reader = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    await reader.next()
    await new Promise((resolve) => setTimeout(resolve, 20))
    // What fits into the bound is fetched ahead, no more.
    expect(made).toBeLessThanOrEqual(4)
    let bytes = 5
    for (let step = await reader.next(); !step.done; step = await reader.next()) bytes += step.value.length
    expect(bytes).toBe(500)
    expect(site.http.stats()).toMatchObject({ tooLarge: 1, stored: 0 })
    made = 0
    expect((await site.ask()).text).toHaveLength(500)
  })

  it('over the bound is not even fetched to its end when its client goes', async () => {
    const site = new Site({ maxBodyBytes: 10 })
    const body = new SlowBody()
    site.app = () => ok(LIFE, body)
    const reply = await site.send()
    const reader = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    for (let i = 0; i < 5; i++) body.push('12345')
    await reader.next()
    await reader.return?.()
    body.push('more')
    await until('its source is told', () => body.cancelled)
  })

  it.each([
    ['a body in one piece', 'x'.repeat(11), {}],
    ['a length that is known before', 'x', { 'content-length': '11' }],
  ])('over the bound counts for %s too', async (_, body, headers) => {
    const site = new Site({ maxBodyBytes: 10 })
    site.app = () => ok({ ...LIFE, ...headers }, body)
    expect((await site.ask()).said).toContain('detail=too-large')
    expect(site.http.stats().stored).toBe(0)
  })

  it('is kept byte for byte, compressed as it came', async () => {
    const site = new Site()
    const bytes = gzipSync('a text that repeats a text that repeats')
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    for (const body of [bytes, binary, Readable.from([binary.subarray(0, 100), binary.subarray(100)])]) {
      site.app = () => ok({ ...LIFE, 'content-encoding': 'gzip' }, body)
      const url = `/${site.calls}`
      await site.ask(url)
      const { reply } = await site.ask(url)
      expect(Buffer.compare(reply.body as Buffer, body instanceof Buffer ? body : binary)).toBe(0)
    }
  })

  it('without end is never waited for', async () => {
    const site = new Site({ ttl: '1m' })
    const body = new SlowBody()
    site.app = () => ok({ 'content-type': 'text/event-stream' }, body)
    const [a, b] = await Promise.all([site.send(), site.send()])
    expect([a.status, b.status]).toEqual([200, 200])
    body.push(null)
  })

  it('gives up waiting for the end after the timeout, without storing', async () => {
    const site = new Site({ timeout: '1s' })
    const body = new SlowBody()
    site.app = () => (site.calls === 1 ? ok(LIFE, body) : ok(LIFE, 'own'))
    const first = await site.send()
    const follower = site.ask()
    await site.clock.advance(1_100)
    expect((await follower).text).toBe('own')
    await site.clock.advance(1_100)
    body.push('late')
    body.push(null)
    expect(await textOf(first.body)).toBe('late')
    expect(site.http.stats().stored).toBe(0)
  })
})

describe('a spool', () => {
  it('without a reader is read for the store alone', async () => {
    const spool = new BodySpool(Readable.from(['a', 'b']), 10, 2)
    spool.leave()
    expect((await spool.whole)?.toString()).toBe('ab')
  })

  it('gives a reader that comes late everything', async () => {
    const spool = new BodySpool(Readable.from(['a', 'b']), 10, undefined)
    await spool.whole
    expect(await textOf(spool.reader())).toBe('ab')
  })
})

describe('over real sockets', () => {
  const open: Server[] = []
  afterEach(async () => {
    for (const server of open.splice(0)) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
  async function listen(server: Server): Promise<number> {
    open.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }
  const fetchRaw = (port: number): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      httpGet({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject)
    })

  it('an upstream that resets in the middle ends the client’s connection, and is asked again', async () => {
    let upstreamCalls = 0
    const upstream = await listen(
      createServer((_, res) => {
        upstreamCalls++
        res.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '8' })
        res.write('half')
        if (upstreamCalls === 1) setTimeout(() => res.destroy(), 10)
        else res.end('full')
      }),
    )
    const http = createHttpCache({ cache: createCache() })
    const port = await listen(
      createServer((req, res) => {
        void http
          .handle(new NodeRequest(req), async () => {
            const response = await fetchRaw(upstream)
            return { status: response.statusCode ?? 502, headers: response.rawHeaders, body: response }
          })
          .then((reply) => sendReply(res, reply))
      }),
    )
    await expect(fetchRaw(port).then((res) => textOf(res))).rejects.toThrow()
    await until('it is counted', () => http.stats().cut === 1)
    expect(await textOf(await fetchRaw(port))).toBe('halffull')
    await until('it is stored', () => http.stats().stored === 1)
    expect(await textOf(await fetchRaw(port))).toBe('halffull')
    expect(upstreamCalls).toBe(2)
  })

  it('a client that goes in the middle costs the next one nothing', async () => {
    let upstreamCalls = 0
    let finish = (): void => {}
    const http = createHttpCache({ cache: createCache() })
    const port = await listen(
      createServer((req, res) => {
        void http
          .handle(new NodeRequest(req), () => {
            upstreamCalls++
            const body = new Readable({ read() {} })
            body.push('half')
            finish = () => {
              body.push('full')
              body.push(null)
            }
            return ok(LIFE, body)
          })
          .then((reply) => sendReply(res, reply))
      }),
    )
    const first = await fetchRaw(port)
    await new Promise((resolve) => first.once('data', resolve))
    first.destroy()
    finish()
    await until('it is stored', () => http.stats().stored === 1)
    expect(await textOf(await fetchRaw(port))).toBe('halffull')
    expect(upstreamCalls).toBe(1)
  })
})
