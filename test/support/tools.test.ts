import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countCommands, countTrips } from './monitor.ts'
import { startWorker } from './processes.ts'
import { startProxy } from './proxy.ts'
import { type RedisServer, startRedis } from './redis-server.ts'
import { connectResp } from './resp.ts'
import { until } from './until.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const soon = (promise: Promise<unknown>) =>
  Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))])

describe('the proxy', () => {
  it('delays, slices and counts', async () => {
    const proxy = await startProxy(redis.port)
    const client = await connectResp({ port: proxy.port })
    proxy.latency(20)
    const start = performance.now()
    expect(await client.send('ECHO', 'hello')).toBe('hello')
    expect(performance.now() - start).toBeGreaterThanOrEqual(36)
    proxy.latency(0)
    proxy.slice(1)
    expect(await client.send('ECHO', 'sliced')).toBe('sliced')
    expect([proxy.opened, proxy.open]).toEqual([1, 1])
    client.close()
    await until('the proxy saw the close', () => proxy.open === 0)
    await proxy.stop()
  })

  it('cuts, refuses, swallows either direction, and heals', async () => {
    const proxy = await startProxy(redis.port)
    const cut = await connectResp({ port: proxy.port })
    await cut.send('PING')
    proxy.cut()
    await cut.closed
    await expect(cut.send('PING')).rejects.toThrow()

    proxy.refuse(true)
    const refused = await connectResp({ port: proxy.port }).catch(() => undefined)
    await refused?.closed
    proxy.heal()

    const half = await connectResp({ port: proxy.port })
    await half.send('PING')
    proxy.halfOpen('replies')
    const lost = half.send('SET', 'half', '1').catch(() => 'cut')
    expect(await soon(lost)).toBe('silence')
    await until('the request arrived', async () => (await redis.cli('GET', 'half')) === '1')
    proxy.heal()
    expect(await lost).toBe('cut')

    const hole = await connectResp({ port: proxy.port })
    proxy.blackHole(true)
    expect(await soon(hole.send('SET', 'hole', '1').catch(() => 'cut'))).toBe('silence')
    expect(await redis.cli('GET', 'hole')).toBe(null)
    hole.close()
    await proxy.stop()
  })
})

describe('counting', () => {
  it('sees client commands in order, script commands apart, and not its own', async () => {
    const client = await redis.connect()
    const seen = await countCommands(redis, async () => {
      await client.send('SET', 'a', '1')
      await client.send('EVAL', "return redis.call('GET', KEYS[1])", 1, 'a')
      await client.send('PING')
      return 7
    })
    expect(seen.result).toBe(7)
    expect(seen.commands.map(({ name }) => name)).toEqual(['SET', 'EVAL'])
    expect(seen.commands[0]!.args).toEqual(['a', '1'])
    expect(seen.requests).toBe(2)
    expect(seen.inScripts).toEqual({ GET: 1 })
    client.close()
  })

  it('tells pipelined commands from round trips', async () => {
    const counter = await countTrips(redis.port)
    const client = await connectResp({ port: counter.port })
    await client.send('PING')
    expect(await counter.during(() => Promise.all([client.send('GET', 'a'), client.send('GET', 'b')]))).toBe(
      1,
    )
    const one = async () => {
      await client.send('GET', 'a')
      await client.send('GET', 'b')
    }
    expect(await counter.during(one)).toBe(2)
    client.close()
    await counter.stop()
  })
})

describe('workers', () => {
  it('answer, fail with the code of their error, say things unasked, and end', async () => {
    const worker = await startWorker(new URL('./echo-worker.ts', import.meta.url))
    const notes: unknown[] = []
    worker.onMessage((message) => notes.push(message.note))
    expect(await worker.ask({ op: 'echo', text: 'hello' })).toBe('hello')
    expect(notes).toEqual(['asked'])
    await expect(worker.ask({ op: 'fail' })).rejects.toMatchObject({ message: 'as asked', code: 'ASKED' })
    await worker.stop()
    expect(worker.alive).toBe(false)

    const other = await startWorker(new URL('./echo-worker.ts', import.meta.url))
    other.pause()
    const answer = other.ask({ op: 'echo', text: 'never' })
    answer.catch(() => {})
    await other.kill()
    await expect(answer).rejects.toThrow('ended')
  })
})
