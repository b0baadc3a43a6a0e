import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freshNamespace, type LiveCache, openCache } from '../support/live-cache.ts'
import { countCommands } from '../support/monitor.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

/** Two processes, each behind a wire of its own. */
describe('what one process writes, the others converge to', () => {
  let redis: RedisServer
  let namespace: string
  const wires: TestProxy[] = []
  let a: LiveCache
  let b: LiveCache

  beforeEach(async () => {
    redis = await startRedis({ aof: 'always' })
    namespace = freshNamespace()
    for (let i = 0; i < 2; i++) wires.push(await startProxy(redis.port))
    const deadlines = { invalidate: 400, read: 400, write: 400 }
    a = await openCache(wires[0]!.url, { namespace, deadlines })
    b = await openCache(wires[1]!.url, { namespace, deadlines })
  })
  afterEach(async () => {
    for (const wire of wires) wire.heal()
    await a.close()
    await b.close()
    for (const wire of wires.splice(0)) await wire.stop()
    await redis.stop()
  })

  async function warm(live: LiveCache, key: string): Promise<void> {
    await until('a copy is served from process memory', async () => {
      await live.cache.get(key)
      return live.store.peek(key)
    })
  }

  const outages: [string, (restore: (() => unknown)[]) => Promise<void>][] = [
    [
      'the server is dead',
      async (restore) => {
        await redis.kill()
        restore.push(() => redis.restart())
      },
    ],
    [
      'the writer alone is cut off',
      async (restore) => {
        wires[1]!.refuse(true)
        wires[1]!.cut()
        restore.push(() => wires[1]!.heal())
      },
    ],
    [
      'both are cut off, and the reader comes back first',
      async (restore) => {
        for (const wire of wires) {
          wire.refuse(true)
          wire.cut()
        }
        restore.push(
          () => wires[0]!.heal(),
          () => wires[1]!.heal(),
        )
      },
    ],
  ]
  it.each(outages)(
    'a set while %s reaches all once everything is back [P15]',
    async (_, begin) => {
      let row = 'old'
      await a.cache.getOrSet('k', () => row)
      await warm(a, 'k')
      await warm(b, 'k')
      const restore: (() => unknown)[] = []
      await begin(restore)
      row = 'new'
      await expect(b.cache.set('k', 'new')).rejects.toMatchObject({ code: 'NOT_ACKNOWLEDGED' })
      // The writer itself does not fall back behind its own write.
      expect(await b.cache.getOrSet('k', () => row)).toBe('new')
      for (const step of restore) await step()
      await until('the write is made good', () => b.store.counters().journal === 0)
      for (const { cache } of [a, b]) {
        await until('the new value is seen', async () => (await cache.getOrSet('k', () => row)) === 'new')
        // And stays: nothing brings the old one back.
        for (let i = 0; i < 20; i++) expect(await cache.getOrSet('k', () => row)).toBe('new')
      }
    },
    30_000,
  )

  it('who hears of a change confirms it to the one who waits, and repeats it to nobody [P16]', async () => {
    await a.cache.set('k', 1)
    await warm(b, 'k')
    const strict = await countCommands(redis, () => a.cache.delete('k'))
    const toAll = strict.commands.filter(({ name, args }) => name === 'PUBLISH' && args[0]?.endsWith(':inv'))
    expect(toAll).toEqual([])
    // One message to all, from inside the script; one answer to the sender alone.
    expect(strict.inScripts.PUBLISH).toBe(1)
    expect(strict.byName.PUBLISH).toBe(1)
    await a.cache.set('k', 1)
    await warm(b, 'k')
    const relaxed = await countCommands(redis, async () => {
      await a.cache.set('k', 2, { wait: 'commit' })
      await until('the other heard', async () => (await b.cache.get('k')) === 2)
    })
    expect(relaxed.inScripts.PUBLISH).toBe(1)
    expect(relaxed.byName.PUBLISH).toBeUndefined()
  }, 30_000)

  it('its own message takes nothing away from a process that has moved on [P16]', async () => {
    for (let i = 0; i < 20; i++) {
      await a.cache.set('k', i, { wait: 'commit' })
      expect(await a.cache.get('k')).toBe(i)
    }
    await warm(a, 'k')
    // By the next heartbeat every earlier message has arrived.
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(a.store.peek('k')).toBeDefined()
  })

  it('a set that is refused or does not fit tells nobody its value [P17]', async () => {
    const heard: string[] = []
    const listener = await redis.connect()
    listener.onLine = (line) => heard.push(JSON.stringify(line))
    await listener.send('PSUBSCRIBE', '*')
    const mark = await a.cache.mark()
    await a.cache.delete('k')
    expect(await a.cache.set('k', 'VALUE-refused', { mark })).toBe(false)
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1mb')
    expect(await a.cache.set('k', 'VALUE-too-much')).toBe(false)
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    for (const { cache } of [a, b]) expect(await cache.get('k')).toBeUndefined()
    await until('the listener heard something', () => heard.some((line) => line.includes(':inv')))
    expect(heard.join()).not.toContain('VALUE')
    // Not even a set that is stored sends its value around.
    expect(await a.cache.set('k', 'VALUE-stored')).toBe(true)
    expect(await b.cache.get('k')).toBe('VALUE-stored')
    expect(heard.join()).not.toContain('VALUE')
    listener.close()
  })

  it('a value that another process replaced is never served as fresh from memory [P18]', async () => {
    await a.cache.set('k', 0, { stale: '1m' })
    for (let i = 1; i <= 50; i++) {
      await warm(b, 'k')
      await a.cache.set('k', i, { stale: '1m' })
      const copy = b.store.peek('k')
      expect(copy === undefined || copy.freshUntil === 0).toBe(true)
      expect(await b.cache.getOrSet('k', () => 'loaded')).toBe(i)
    }
  }, 30_000)

  it('an overwrite reaches who holds a copy, and the end of the ttl takes all copies away [P21]', async () => {
    await a.cache.getOrSet('k', () => 'first', { ttl: 1_500 })
    await warm(a, 'k')
    await warm(b, 'k')
    await b.cache.set('k', 'second', { ttl: 1_500 })
    expect(await a.cache.get('k')).toBe('second')
    await warm(a, 'k')
    await warm(b, 'k')
    await until('the ttl is over', async () => (await redis.cli('EXISTS', `hf:{${namespace}:0}:e:k`)) === 0)
    for (const live of [a, b]) {
      await until('it is gone', async () => (await live.cache.get('k')) === undefined, 1_000)
      expect(live.store.peek('k')).toBeUndefined()
    }
  }, 30_000)
})
