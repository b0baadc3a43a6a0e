import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { RedisTimeout, RedisUnavailable } from '../../src/base/errors.ts'
import { connectRedis, type RedisSource } from '../../src/redis/connect.ts'
import type { GateContext, RedisPort } from '../../src/redis/port.ts'
import { defineScript } from '../../src/redis/script.ts'
import type { RedisSettings } from '../../src/redis/settings.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, type RedisServerOptions, startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { until } from '../support/until.ts'

const DEADLINE = { deadline: 2_000 }
const running: { stop(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((thing) => thing.stop()))
})

async function server(options?: RedisServerOptions): Promise<RedisServer> {
  const started = await startRedis(options)
  running.push(started)
  return started
}

async function proxyTo(target: RedisServer): Promise<TestProxy> {
  const proxy = await startProxy(target.port)
  running.push(proxy)
  return proxy
}

function open(source: RedisSource, settings?: Partial<RedisSettings>): RedisPort {
  const port = connectRedis(source, settings)
  running.push({ stop: () => port.close() })
  return port
}

async function openReady(source: RedisSource, settings?: Partial<RedisSettings>): Promise<RedisPort> {
  const port = open(source, settings)
  await port.ready(3_000)
  return port
}

/** Calls every 2.5 ms and writes down how each one ended, and after how long. */
function load(port: RedisPort, deadline: number) {
  const ended: { ms: number; error: unknown }[] = []
  let pending = 0
  const timer = setInterval(() => {
    const from = performance.now()
    pending++
    port
      .nodeFor('k')
      .send(['GET', 'k'], { deadline })
      .then(
        () => undefined,
        (error: unknown) => error,
      )
      .then((error) => {
        pending--
        ended.push({ ms: performance.now() - from, error })
      })
  }, 2.5)
  return {
    ended,
    async stop() {
      clearInterval(timer)
      await until('every call ended', () => pending === 0, 2_000)
    },
  }
}

describe('a server that freezes', () => {
  it('holds no call longer than its deadline at 400 calls a second, fails fast, and is back within 2 s [B5]', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    const calls = load(port, 60)
    await until('the load runs', () => calls.ended.length > 40)
    redis.pause()
    const frozenAt = calls.ended.length
    await until('the freeze is noticed', () => node.state === 'down', 1_000)
    const noticedAt = calls.ended.length
    await until('calls go on failing', () => calls.ended.length > noticedAt + 200)
    redis.resume()
    const resumedAt = performance.now()
    await until('it is ready again', () => node.state === 'ready', 2_000)
    expect(performance.now() - resumedAt).toBeLessThan(2_000)
    await calls.stop()
    expect(Math.max(...calls.ended.map((call) => call.ms))).toBeLessThan(60 + 60)
    const whileDown = calls.ended.slice(noticedAt, noticedAt + 200)
    expect(whileDown.every((call) => call.error instanceof RedisUnavailable)).toBe(true)
    expect(whileDown.map((call) => call.ms).sort((a, b) => a - b)[100]).toBeLessThan(2)
    expect(calls.ended.slice(frozenAt, noticedAt).some((call) => call.error instanceof RedisTimeout)).toBe(
      true,
    )
    expect(node.generation).toBe(2)
  })

  it('is noticed within a second without any traffic', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    redis.pause()
    const from = performance.now()
    await until('the freeze is noticed', () => port.nodeFor('k').state === 'down', 2_000)
    expect(performance.now() - from).toBeLessThan(1_300)
    expect(port.health().nodes[0]?.lastError).toMatch(/silent for \d+ ms/)
    redis.resume()
    await port.ready(2_000)
  })

  it('is noticed when requests arrive and replies never come back', async () => {
    const redis = await server()
    const proxy = await proxyTo(redis)
    const port = await openReady(proxy.url)
    proxy.halfOpen('replies')
    await until('it is noticed', () => port.nodeFor('k').state === 'down', 1_500)
    proxy.heal()
    await port.ready(2_000)
  })
})

describe('a server that is slow', () => {
  it('is dropped after some deadlines missed in a row, then refused at once', async () => {
    const redis = await server()
    const proxy = await proxyTo(redis)
    const port = await openReady(proxy.url)
    const node = port.nodeFor('k')
    proxy.latency(100)
    let missed = 0
    // More than five only where our own event loop is late, which is not counted.
    while (node.state === 'ready' && missed < 50) {
      await expect(node.send(['GET', 'k'], { deadline: 20 })).rejects.toBeInstanceOf(RedisTimeout)
      missed++
    }
    expect(node.state).toBe('down')
    expect(missed).toBeGreaterThanOrEqual(5)
    expect(port.health().nodes[0]).toMatchObject({ timeouts: missed })
    const refused = performance.now()
    await expect(node.send(['GET', 'k'], { deadline: 500 })).rejects.toBeInstanceOf(RedisUnavailable)
    expect(performance.now() - refused).toBeLessThan(100)
  })

  it('is not blamed for our own busy event loop: the answer in the socket is read first', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    for (let i = 0; i < 6; i++) {
      const call = node.send(['PING'], { deadline: 30 })
      // Out of the check phase the loop goes to its timers first, and only then reads the socket.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      const until = performance.now() + 60
      while (performance.now() < until);
      expect(await call).toBe('PONG')
    }
    expect(node.generation).toBe(1)
  })
})

describe('a connection that is lost', () => {
  it('fails its calls at once, runs the gate again and comes back after CLIENT KILL', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    const downs: string[] = []
    const gates: string[] = []
    node.attach({
      gate: async (context) => {
        gates.push(context.incarnation)
      },
      down: (cause) => downs.push(cause.message),
    })
    const before = node.incarnation
    // Heard from the start: it may fail before the killer has its own answer.
    const call = node.send(['BLPOP', 'none', '0'], { deadline: 5_000 }).catch((error: unknown) => error)
    const from = performance.now()
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    // It was sent: only RedisUnavailable would promise that it has no effect.
    expect(await call).toBeInstanceOf(RedisTimeout)
    expect(performance.now() - from).toBeLessThan(500)
    expect(downs.length).toBe(1)
    await port.ready(2_000)
    expect(gates).toEqual([before])
    expect(node).toMatchObject({ generation: 2, incarnation: before })
    expect(port.health().nodes[0]?.reconnects).toBe(1)
  })

  it('comes back under another incarnation after kill -9 and a restart on the same port', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    const before = node.incarnation
    await redis.kill()
    await until('it is down', () => node.state === 'down', 500)
    await expect(node.send(['GET', 'k'], DEADLINE)).rejects.toBeInstanceOf(RedisUnavailable)
    await redis.restart()
    const from = performance.now()
    await port.ready(2_000)
    expect(performance.now() - from).toBeLessThan(1_000)
    expect(node.incarnation).not.toBe(before)
    expect(await node.send(['PING'], DEADLINE)).toBe('PONG')
  })

  it('goes on trying while there is no server at all, and connects when one appears', async () => {
    const redis = await server()
    await redis.kill()
    const port = open(redis.url)
    await expect(port.ready(300)).rejects.toBeInstanceOf(RedisUnavailable)
    await expect(port.nodeFor('k').send(['GET', 'k'], DEADLINE)).rejects.toThrow(/ECONNREFUSED/)
    await redis.restart()
    await port.ready(2_000)
  })
})

describe('the gate', () => {
  it('lets hooks send before the connection opens for traffic', async () => {
    const redis = await server()
    const port = open(redis.url)
    const node = port.nodeFor('k')
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const script = defineScript('one', 'return 1')
    let seen: GateContext | undefined
    node.attach({
      async gate(context) {
        expect(await context.send(['PING'], DEADLINE)).toBe('PONG')
        expect(await context.eval(script, [], [], DEADLINE)).toBe(1)
        seen = context
        await held
      },
    })
    await until('the gate runs', () => seen)
    expect(node.state).toBe('connecting')
    await expect(node.send(['PING'], DEADLINE)).rejects.toBeInstanceOf(RedisUnavailable)
    release()
    await port.ready(1_000)
    expect(node.incarnation).toBe(seen?.incarnation)
  })

  it('drops and redials a connection whose hook rejects', async () => {
    const redis = await server()
    const port = open(redis.url)
    let tries = 0
    port.nodeFor('k').attach({
      async gate() {
        if (++tries < 3) throw new Error('not yet')
      },
    })
    await port.ready(3_000)
    expect(tries).toBe(3)
    expect(port.nodeFor('k').generation).toBe(1)
  })

  it('notices a freeze while a hook is waiting, and opens on a later connection', async () => {
    const redis = await server()
    const port = open(redis.url)
    let tries = 0
    port.nodeFor('k').attach({
      async gate(context) {
        tries++
        if (tries === 1) redis.pause()
        await context.send(['PING'], { deadline: 60_000 })
      },
    })
    await until('the first connection is given up', () => port.health().nodes[0]?.lastError, 3_000)
    redis.resume()
    await port.ready(3_000)
    expect(tries).toBeGreaterThan(1)
  })

  it('keeps a replica out, and opens when it is promoted', async () => {
    const master = await server()
    const replica = await startReplica(master)
    running.push(replica)
    const port = open(replica.url)
    await expect(port.ready(400)).rejects.toThrow(/is a replica, not a master/)
    await replica.cli('REPLICAOF', 'NO', 'ONE')
    await port.ready(2_000)
  })

  it('notices REPLICAOF on an open connection, which nothing else tells', async () => {
    const master = await server()
    const other = await server()
    const port = await openReady(master.url)
    await master.cli('REPLICAOF', '127.0.0.1', String(other.port))
    const node = port.nodeFor('k')
    await until('the role is noticed', () => node.state === 'down', 2_500)
    await master.cli('REPLICAOF', 'NO', 'ONE')
    await port.ready(3_000)
  })

  it('drops the connection on READONLY and tells the caller', async () => {
    const master = await server()
    const other = await server()
    const port = await openReady(master.url, { recheckMs: 60_000 })
    await master.cli('REPLICAOF', '127.0.0.1', String(other.port))
    const node = port.nodeFor('k')
    await expect(node.send(['SET', 'k', '1'], DEADLINE)).rejects.toMatchObject({ prefix: 'READONLY' })
    await until('the connection is dropped', () => node.state === 'down', 1_000)
  })

  it('notices a changed replication id on an open connection', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    const before = node.incarnation
    await redis.cli('DEBUG', 'CHANGE-REPL-ID')
    await until('another incarnation is proved', () => node.incarnation !== before, 3_000)
    expect(node.incarnation.split('.')[0]).toBe(before.split('.')[0])
  })
})

describe('the push connection', () => {
  it('says gap at once when it or the data connection is lost, and open when both are back', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const node = port.nodeFor('k')
    const story: string[] = []
    node.bus.subscribe(['c'], {
      message: (message) => story.push(message),
      gap: () => story.push('gap'),
      open: () => story.push('open'),
    })
    await until('open', () => node.bus.isOpen)
    await redis.cli('PUBLISH', 'c', '1')
    await node.bus.ping(1_000)
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until('open again', () => story.length === 4)
    await redis.cli('PUBLISH', 'c', '2')
    await node.bus.ping(1_000)
    await redis.restart()
    await until('open again', () => story.length === 7, 3_000)
    await redis.cli('PUBLISH', 'c', '3')
    await node.bus.ping(1_000)
    expect(story).toEqual(['open', '1', 'gap', 'open', '2', 'gap', 'open', '3'])
  })

  it('serves many subscribers over one connection and opens each of them once', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const bus = port.nodeFor('k').bus
    const opened = [0, 0, 0]
    const got: string[] = []
    const leave = opened.map((_, i) =>
      bus.subscribe(['all', `own${i}`], {
        message: (message, channel) => got.push(`${i}:${channel}:${message}`),
        gap() {},
        open: () => opened[i]!++,
      }),
    )
    await until('all are open', () => opened.every((times) => times === 1))
    let late = 0
    bus.subscribe(['own0', 'late'], { message: () => {}, gap() {}, open: () => late++ })
    await until('the late one is open', () => late === 1)
    leave[1]!()
    await redis.cli('PUBLISH', 'all', 'm')
    await redis.cli('PUBLISH', 'own1', 'm')
    await redis.cli('PUBLISH', 'own2', 'm')
    await bus.ping(1_000)
    expect(got).toEqual(['0:all:m', '2:all:m', '2:own2:m'])
    expect(opened).toEqual([1, 1, 1])
    expect(String(await redis.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')).match(/id=/g)?.length).toBe(1)
  })

  it('loses no channel when one is left and taken again in the same tick', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const bus = port.nodeFor('k').bus
    bus.subscribe(['base'], { message() {}, gap() {}, open() {} })
    await until('open', () => bus.isOpen)
    const got: string[] = []
    for (let round = 0; round < 50; round++) {
      let open = false
      const handler = { message: (m: string) => got.push(m), gap() {}, open: () => (open = true) }
      bus.subscribe(['x'], handler)()
      const leave = bus.subscribe(['x'], handler)
      await until('x is open', () => open, 1_000, 1)
      await redis.cli('PUBLISH', 'x', String(round))
      await bus.ping(1_000)
      expect(got.splice(0)).toEqual([String(round)])
      leave()
    }
  })

  it('is closed while nobody listens', async () => {
    const redis = await server()
    const port = await openReady(redis.url)
    const bus = port.nodeFor('k').bus
    await expect(bus.ping(100)).rejects.toBeInstanceOf(RedisUnavailable)
    const leave = bus.subscribe(['x'], { message() {}, gap() {}, open() {} })
    await until('open', () => bus.isOpen)
    leave()
    expect(bus.isOpen).toBe(false)
    await until(
      'the connection is gone',
      async () => (await redis.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')) === '',
    )
  })
})

describe('what cannot work', () => {
  it('fails at once with ConfigError on a wrong password, without showing it', async () => {
    const redis = await server({ password: 'right' })
    for (const library of ['redis', 'ioredis'] as const) {
      const port = open({ url: `redis://:wr0ng-secret@127.0.0.1:${redis.port}`, library })
      const failed = port.ready(3_000)
      await expect(failed).rejects.toMatchObject({ code: 'CONFIG' })
      await expect(failed).rejects.not.toThrow(/wr0ng/)
      expect(JSON.stringify(port.health())).not.toContain('wr0ng')
    }
    const none = open(`redis://127.0.0.1:${redis.port}`)
    await expect(none.ready(3_000)).rejects.toMatchObject({ code: 'CONFIG' })
  })

  it('fails at once with ConfigError on a database that does not exist', async () => {
    const redis = await server()
    for (const library of ['redis', 'ioredis'] as const) {
      const port = open({ url: `${redis.url}/99`, library })
      await expect(port.ready(3_000)).rejects.toMatchObject({ code: 'CONFIG' })
    }
  })

  it('fails at once with ConfigError on a port that speaks HTTP', async () => {
    const web = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    const at = web.address() as { port: number }
    for (const library of ['redis', 'ioredis'] as const) {
      const port = open({ host: '127.0.0.1', port: at.port, library })
      const failed = port.ready(3_000)
      await expect(failed).rejects.toMatchObject({ code: 'CONFIG' })
      await expect(failed).rejects.toThrow(/does not speak the Redis protocol/)
      await port.close()
      const tls = open({ host: '127.0.0.1', port: at.port, tls: true, library })
      await expect(tls.ready(3_000)).rejects.toThrow(/does not speak TLS/)
      await tls.close()
    }
    await new Promise((resolve) => web.close(resolve))
  })

  it('says of TLS on a plain-text port of Redis what may be wrong [B10]', async () => {
    const redis = await server()
    const port = open({ host: '127.0.0.1', port: redis.port, tls: true }, { handshakeMs: 300 })
    await expect(port.ready(1_500)).rejects.toThrow(/with TLS, which a plain-text port leaves unanswered/)
    await port.close()
  })

  it('gives up on a port that accepts and never answers, again and again, and leaves no socket', async () => {
    const redis = await server()
    const proxy = await proxyTo(redis)
    proxy.blackHole(true)
    for (const library of ['redis', 'ioredis'] as const) {
      const port = open({ host: '127.0.0.1', port: proxy.port, library }, { handshakeMs: 150 })
      await expect(port.ready(700)).rejects.toMatchObject({ code: 'REDIS_TIMEOUT' })
      const opened = proxy.opened
      await until('it tries again', () => proxy.opened > opened, 2_000)
      await port.close()
      await until('no socket is left', () => proxy.open === 0, 2_000)
    }
  })
})

describe('servers with restrictions', () => {
  it('works with KEYS, CONFIG, FLUSHALL and FLUSHDB renamed away [S4-40]', async () => {
    const redis = await server({ renamed: true })
    const port = await openReady(redis.url)
    expect(await port.nodeFor('k').eval(defineScript('one', 'return 1'), [], [], DEADLINE)).toBe(1)
  })

  it('works as a user limited to the prefix and the commands we name', async () => {
    const rules =
      '~hf:* &hf:* +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous -script -function +script|load +info +time +wait'
    const redis = await server({ acl: [`app on >s%cret ${rules}`] })
    for (const library of ['redis', 'ioredis'] as const) {
      const port = await openReady({ url: `redis://app:s%25cret@127.0.0.1:${redis.port}`, library })
      const node = port.nodeFor('hf:k')
      const set = defineScript('set', "return redis.call('SET', KEYS[1], ARGV[1])")
      expect(await node.eval(set, ['hf:k'], ['v'], DEADLINE)).toBe('OK')
      await expect(node.eval(set, ['other'], ['v'], DEADLINE)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
      let got = ''
      node.bus.subscribe(['hf:c'], { message: (message) => (got = message), gap() {}, open() {} })
      await until('open', () => node.bus.isOpen)
      await node.send(['PUBLISH', 'hf:c', 'm'], DEADLINE)
      await node.bus.ping(1_000)
      expect(got).toBe('m')
    }
  })

  it('names the commands that a user lacks', async () => {
    const redis = await server({ acl: ['app on >pw ~* &* +@all -info'] })
    const port = open(`redis://app:pw@127.0.0.1:${redis.port}`)
    await expect(port.ready(2_000)).rejects.toMatchObject({
      code: 'CONFIG',
      mend: expect.stringMatching(/\+info/),
    })
  })

  it('speaks TLS, verifies the certificate, and says so when it does not like it [S2-22][S2-43]', async () => {
    const redis = await server({ tls: true })
    const at = { host: 'localhost', port: redis.port }
    for (const library of ['redis', 'ioredis'] as const) {
      const port = await openReady({ ...at, tls: { ca: redis.tls!.ca }, library }, { handshakeMs: 2_000 })
      expect(await port.nodeFor('k').send(['PING'], DEADLINE)).toBe('PONG')
      const blind = open({ url: `rediss://localhost:${redis.port}`, library }, { handshakeMs: 2_000 })
      await expect(blind.ready(3_000)).rejects.toMatchObject({ code: 'CONFIG' })
    }
  })
})
