import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { LockLost, LockTimeout } from '../../src/lock/errors.ts'
import type { Lease } from '../../src/lock/lease.ts'
import { Locks } from '../../src/lock/locks.ts'
import { connectRedis } from '../../src/redis/connect.ts'
import type { RedisPort } from '../../src/redis/port.ts'
import { countCommands } from '../support/monitor.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

describe('locks and one Redis that misbehaves', () => {
  let server: RedisServer
  let proxy: TestProxy
  const open: { port: RedisPort; locks: Locks }[] = []

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(server.port)
  })
  afterAll(async () => {
    for (const { port, locks } of open) {
      locks.close()
      await port.close()
    }
    await proxy.stop()
    await server.stop()
  })

  async function connect(url = server.url, clock = systemClock): Promise<Locks> {
    const port = connectRedis(url, { clock })
    await port.ready(5_000)
    const locks = new Locks({ redis: port, namespace: 'test' })
    open.push({ port, locks })
    return locks
  }
  const keyOf = (name: string) => `hf:test:lock:{${name}}`

  it('takes and gives back an uncontended lock in two commands, and asks in one when it is held', async () => {
    const locks = await connect()
    const lock = locks.lock('two')
    const alone = await countCommands(server, () => lock.run(() => 1))
    expect(alone.requests).toBe(2)
    const held = await lock.acquire()
    const busy = await countCommands(server, () => lock.tryAcquire())
    expect(busy.requests).toBe(1)
    await held.release()
  })

  it('drains 50 waiters in order with at most four commands each, and does not sleep between them [L22]', async () => {
    const locks = await connect()
    const lock = locks.lock('drain')
    const order: number[] = []
    let took = 0
    const seen = await countCommands(server, async () => {
      const held = await lock.acquire()
      const all = Array.from({ length: 50 }, (_, index) => lock.run(() => void order.push(index)))
      await until('all are in line', async () => (await server.cli('ZCARD', `${keyOf('drain')}:q`)) === 50)
      await until('all listen', async () => Number(await server.cli('HLEN', keyOf('drain'))) >= 53)
      const started = performance.now()
      await held.release()
      await Promise.all(all)
      took = performance.now() - started
    })
    const evals = (seen.byName.EVAL ?? 0) + (seen.byName.EVALSHA ?? 0)
    expect(order).toEqual(Array.from({ length: 50 }, (_, index) => index))
    expect(evals).toBeLessThanOrEqual(2 + 50 * 4)
    expect(took).toBeLessThan(3_000)
  })

  it('notices at the next renewal that somebody else took the lock, and aborts with the cause [L16]', async () => {
    const locks = await connect()
    const lease = await locks.lock('stolen', { ttl: 1_000 }).acquire()
    const started = performance.now()
    await server.cli('DEL', `${keyOf('stolen')}:h`)
    const thief = await locks.lock('stolen').acquire()
    await aborted(lease)
    expect(performance.now() - started).toBeLessThan(700)
    expect(lease.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'stolen' })
    expect(await lease.release()).toBe(false)
    thief.assertHeld()
    expect(await thief.release()).toBe(true)
  })

  it('calls a lock stolen whose keys were overwritten, and vanished when they are gone [L16]', async () => {
    const locks = await connect()
    const overwritten = await locks.lock('over', { ttl: 300 }).acquire()
    await server.cli('SET', `${keyOf('over')}:h`, 'garbage')
    const gone = await locks.lock('gone', { ttl: 300 }).acquire()
    await server.cli('DEL', keyOf('gone'), `${keyOf('gone')}:h`)
    await Promise.all([aborted(overwritten), aborted(gone)])
    expect(overwritten.signal.reason.reason).toBe('stolen')
    expect(gone.signal.reason.reason).toBe('vanished')
  })

  it('aborts before its ttl is over when the server stands still, and says so [L17]', async () => {
    const locks = await connect()
    const started = performance.now()
    const lease = await locks.lock('paused', { ttl: 1_000 }).acquire()
    server.pause()
    try {
      await aborted(lease)
      expect(performance.now() - started).toBeLessThanOrEqual(1_100)
      expect(lease.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'unreachable' })
      expect(() => lease.assertHeld()).toThrow(LockLost)
    } finally {
      server.resume()
    }
  })

  it('keeps the result of a routine whose server died, and hands it over at once [L19]', async () => {
    const own = await startRedis()
    try {
      const locks = await connect(own.url)
      const lock = locks.lock('died', { ttl: 400 })
      const work = async ({ signal }: Lease) => {
        await own.kill()
        await until('the signal fires', () => signal.aborted, 1_000)
        return 'done'
      }
      let ended = 0
      const outcome = lock.run(async (lease) => {
        const value = await work(lease)
        ended = performance.now()
        return value
      })
      await expect(outcome).rejects.toMatchObject({ code: 'LOCK_LOST', outcome: { value: 'done' } })
      expect(performance.now() - ended).toBeLessThan(50)
    } finally {
      await own.stop()
    }
  })

  it('reports a lock that vanished during the routine in under 50 ms, with the result [L19]', async () => {
    const locks = await connect()
    let ended = 0
    const run = locks.lock('wiped').run(async () => {
      await server.cli('DEL', keyOf('wiped'), `${keyOf('wiped')}:h`)
      ended = performance.now()
      return 'x'
    })
    await expect(run).rejects.toMatchObject({ reason: 'vanished', outcome: { value: 'x' } })
    expect(performance.now() - ended).toBeLessThan(50)
  })

  it('never returns a lock whose answer came after its end, and lets others in [L18]', async () => {
    const locks = await connect(proxy.url)
    await locks.lock('late').run(() => 1)
    proxy.latency(150)
    try {
      await expect(locks.lock('late', { ttl: 120, patience: 0 }).acquire({ wait: 0 })).rejects.toMatchObject({
        code: 'LOCK_UNAVAILABLE',
      })
    } finally {
      proxy.heal()
    }
    const others = await connect()
    const next = await others.lock('late').acquire({ wait: 2_000 })
    expect(next.remaining).toBeGreaterThan(0)
    await next.release()
  })

  it('succeeds with one and the same lease when the reply to an acquire, or a release, is lost [L24]', async () => {
    const locks = await connect(proxy.url)
    const lock = locks.lock('dropped', { patience: '3s' })
    await lock.run(() => 1)
    proxy.halfOpen('replies')
    const acquiring = lock.acquire({ wait: '5s' })
    const taken = await until('the server granted it', async () => {
      const fields = (await server.cli('HGETALL', keyOf('dropped'))) as string[]
      const at = fields.findIndex((field) => field.startsWith('h:'))
      return at >= 0 && Number(fields[at + 1]!.split(' ')[0])
    })
    proxy.heal()
    const lease = await acquiring
    expect(lease.fencingToken).toBe(taken)
    proxy.halfOpen('replies')
    const releasing = lease.release()
    await until('the server took it back', async () => !(await server.cli('EXISTS', `${keyOf('dropped')}:h`)))
    proxy.heal()
    await releasing
    const again = await lock.acquire()
    expect(again.fencingToken).toBeGreaterThan(lease.fencingToken)
    await again.release()
  })

  it('does not let an abandoned acquire take effect after the server thaws', async () => {
    const own = await startRedis()
    try {
      const locks = await connect(own.url)
      await locks.lock('zombie').run(() => 1)
      const counter = await own.cli('HGET', 'hf:test:lock:{zombie}', 'f')
      own.pause()
      await expect(
        locks.lock('zombie', { patience: 0, ttl: 300 }).acquire({ wait: 0 }),
      ).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
      own.resume()
      await until('it answers', () => own.cli('PING'))
      for (let look = 0; look < 10; look++) {
        expect(await own.cli('ZCARD', 'hf:test:lock:{zombie}:h')).toBe(0)
        expect(await own.cli('HGET', 'hf:test:lock:{zombie}', 'f')).toBe(counter)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    } finally {
      await own.stop()
    }
  })

  it('refuses within its patience while Redis is away, and works again without a restart', async () => {
    const own = await startRedis()
    try {
      const locks = await connect(own.url)
      const lock = locks.lock('away')
      await own.kill()
      const started = performance.now()
      await expect(lock.acquire({ wait: '30s' })).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
      expect(performance.now() - started).toBeLessThan(2_000)
      await own.restart()
      await until('locks work again', () => lock.run(() => true, { wait: 0 }))
    } finally {
      await own.stop()
    }
  })

  it('keeps those in line waiting through a crash and a restart of the server, and lets them in', async () => {
    const own = await startRedis()
    try {
      const locks = await connect(own.url)
      const lock = locks.lock('through', { ttl: 500 })
      const held = await lock.acquire()
      const order: number[] = []
      const waiting = [1, 2, 3].map(async (index) => {
        await lock.run(() => void order.push(index), { wait: '15s' })
      })
      await until('all are in line', async () => (await own.cli('ZCARD', 'hf:test:lock:{through}:q')) === 3)
      await own.restart()
      await aborted(held)
      await Promise.all(waiting)
      expect(order.toSorted()).toEqual([1, 2, 3])
    } finally {
      await own.stop()
    }
  })

  it('goes on through SCRIPT FLUSH without an error and without a second lease [L14]', async () => {
    const locks = await connect()
    const lock = locks.lock('flushed')
    for (let round = 0; round < 5; round++) {
      const lease = await lock.acquire()
      await server.cli('SCRIPT', 'FLUSH')
      expect(await lock.tryAcquire()).toBeUndefined()
      await server.cli('SCRIPT', 'FLUSH')
      expect(await lease.release()).toBe(true)
    }
  })

  it('gives rising tokens across the loss of all keys and across an older counter [L21]', async () => {
    const locks = await connect()
    const lock = locks.lock('fence')
    const token = () => lock.run((lease) => lease.fencingToken)
    const first = await token()
    const old = String(await server.cli('HGET', keyOf('fence'), 'f'))
    await token()
    await server.cli('DEL', keyOf('fence'))
    const second = await token()
    await server.cli('HSET', keyOf('fence'), 'f', old)
    const third = await token()
    await server.cli('HSET', keyOf('fence'), 'f', String(third + 60_000_000))
    const ahead = await token()
    expect(second).toBeGreaterThan(first)
    expect(third).toBeGreaterThan(second)
    expect(ahead).toBe(third + 60_000_001)
  })

  it('skips a waiter that was killed at the head of the line [L22]', async () => {
    const locks = await connect()
    const doomedPort = connectRedis(server.url)
    await doomedPort.ready(5_000)
    const doomed = new Locks({ redis: doomedPort, namespace: 'test' })
    const held = await locks.lock('dead-head').acquire()
    const dead = doomed.lock('dead-head').acquire({ wait: '30s' })
    dead.catch(() => {})
    await until('it listens', async () =>
      String(await server.cli('HGETALL', keyOf('dead-head'))).includes('c:p'),
    )
    // As kill -9 does: the connections end, and nobody says goodbye.
    await server.cli('CLIENT', 'KILL', 'ID', await newestSubscriber(server))
    await doomedPort.close()
    const next = locks.lock('dead-head').acquire({ wait: '5s' })
    await until('it is in line', async () => (await server.cli('ZCARD', `${keyOf('dead-head')}:q`)) === 2)
    const started = performance.now()
    await held.release()
    await (await next).release()
    expect(performance.now() - started).toBeLessThan(500)
  })

  it('decides by the clock of the server: processes an hour apart exclude each other [L9]', async () => {
    const behind = await connect(server.url, { ...systemClock, wall: () => Date.now() - 3_600_000 })
    const ahead = await connect(server.url, { ...systemClock, wall: () => Date.now() + 3_600_000 })
    const [a, b] = [behind, ahead].map((locks) => locks.lock('hours', { ttl: '5s' })) as [
      ReturnType<Locks['lock']>,
      ReturnType<Locks['lock']>,
    ]
    let last = 0
    for (const [mine, other] of [
      [a, b],
      [b, a],
      [a, b],
    ] as const) {
      const lease = await mine.acquire()
      await new Promise((resolve) => setTimeout(resolve, 40))
      expect(await other.tryAcquire()).toBeUndefined()
      expect(lease.fencingToken).toBeGreaterThan(last)
      last = lease.fencingToken
      expect(await lease.release()).toBe(true)
    }
  })

  it('renews and releases on a server that is full', async () => {
    const own = await startRedis()
    try {
      const locks = await connect(own.url)
      const lock = locks.lock('full', { ttl: '2s' })
      const lease = await lock.acquire()
      await own.cli('CONFIG', 'SET', 'maxmemory', '1')
      await expect(own.cli('SET', 'a', '1')).rejects.toThrow('OOM')
      await expect(locks.lock('other', { patience: 0 }).tryAcquire()).rejects.toMatchObject({
        code: 'LOCK_UNAVAILABLE',
      })
      const before = (await lock.inspect()).holders[0]!
      await until('it was renewed', async () => (await lock.inspect()).holders[0]!.leaseMs > before.leaseMs)
      lease.assertHeld()
      expect(await lease.release()).toBe(true)
    } finally {
      await own.stop()
    }
  })

  it('lets waiters in by polling where the ACL allows no channel', async () => {
    const own = await startRedis({ acl: ['app on >secret ~hf:* resetchannels +@all'] })
    try {
      const locks = await connect(`redis://app:secret@127.0.0.1:${own.port}`)
      const lock = locks.lock('quiet')
      const held = await lock.acquire()
      const next = lock.acquire({ wait: '5s' })
      await until('it is in line', async () => (await own.cli('ZCARD', 'hf:test:lock:{quiet}:q')) === 1)
      await held.release()
      await (await next).release()
    } finally {
      await own.stop()
    }
  })

  it('leaves nothing behind but a token counter that expires', async () => {
    const locks = await connect()
    const lock = locks.lock('tidy', { ttl: '2s' })
    const held = await lock.acquire()
    await expect(lock.acquire({ wait: 20 })).rejects.toBeInstanceOf(LockTimeout)
    await until('the waiter left', async () => !(await server.cli('EXISTS', `${keyOf('tidy')}:q`)))
    for (const suffix of ['', ':h']) {
      expect(Number(await server.cli('PTTL', keyOf('tidy') + suffix))).toBeGreaterThan(0)
    }
    await held.release()
    expect(await server.cli('EXISTS', `${keyOf('tidy')}:h`, `${keyOf('tidy')}:q`, `${keyOf('tidy')}:a`)).toBe(
      0,
    )
    const fields = (await server.cli('HKEYS', keyOf('tidy'))) as string[]
    expect(fields.toSorted()).toEqual(['f', 's'])
    expect(Number(await server.cli('PTTL', keyOf('tidy')))).toBeLessThanOrEqual(3_602_000)
  })
})

function aborted(lease: Lease): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('the lease was not aborted within 5 s')), 5_000)
    const done = () => {
      clearTimeout(late)
      resolve()
    }
    if (lease.signal.aborted) done()
    else lease.signal.addEventListener('abort', done, { once: true })
  })
}

async function newestSubscriber(server: RedisServer): Promise<string> {
  const list = String(await server.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')).trim()
  const ids = list.split('\n').map((line) => Number(/^id=(\d+)/.exec(line)?.[1]))
  return String(Math.max(...ids))
}
