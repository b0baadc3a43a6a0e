import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type RedisServer, type RedisServerOptions, startRedis } from '../support/redis-server.ts'
import { startReplica } from '../support/replica.ts'
import { until } from '../support/until.ts'
import { type Note, notes, View } from './bull-places.ts'

describe('queues while Redis is away, and how durable they are', () => {
  const open: { close?(): Promise<void>; stop?(): Promise<void> }[] = []
  const directories: string[] = []
  const start = async (options: RedisServerOptions = {}): Promise<RedisServer> => {
    const server = await startRedis(options)
    open.push(server)
    return server
  }
  const view = (server: RedisServer): View => {
    const made = new View(server.url, { handshakeMs: 5_000, deadAfterMs: 2_000, breakAfter: 1_000 })
    open.push(made)
    return made
  }
  const directory = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'holdfast-outage-'))
    directories.push(made)
    return made
  }
  afterEach(async () => {
    for (const it of open.splice(0).reverse()) await (it.close?.() ?? it.stop?.())
    for (const it of directories.splice(0)) rmSync(it, { recursive: true, force: true })
  })

  it('refuses what it cannot store, and says that it was not stored', async () => {
    const server = await start()
    const queue = view(server).queue('mail', { deadline: 1_000 })
    await queue.add({ session: 'a', n: 0 })
    await server.kill()
    await until('the loss is noticed', async () => {
      const error = await queue.add({ session: 'a', n: 1 }).catch((it) => it)
      return error.code === 'QUEUE_UNAVAILABLE'
    })
  })

  it('says that it does not know when Redis does not answer, and the same id makes two one', async () => {
    const server = await start()
    const seen: string[] = []
    const queue = view(server).queue('mail', {
      id: (note) => `${note.session}${note.n}`,
      deadline: 300,
      handle: (batch) => void seen.push(...batch.map(({ id }) => id)),
    })
    await queue.add({ session: 'a', n: 0 })
    await queue.drain()
    server.pause()
    const error = await queue.add({ session: 'a', n: 1 }).catch((it) => it)
    server.resume()
    expect(error.code).toBe('QUEUE_UNCERTAIN')
    await until('it can be added again', () => queue.add({ session: 'a', n: 1 }).then(() => true))
    await queue.drain()
    expect(seen.sort()).toEqual(['a0', 'a1'])
  })

  it('spills to its file while Redis is away, and replays in order under the same ids [S1-27] [B13]', async () => {
    const server = await start({ aof: 'always' })
    const seen: Note[] = []
    const queue = view(server).queue('mail', {
      orderBy: (note) => note.session,
      id: (note) => `${note.session}${note.n}`,
      whenDown: 'spill',
      spill: { directory: directory() },
      deadline: 1_000,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body)),
    })
    let n = 0
    const addSome = async (count: number) => {
      for (let i = 0; i < count; i++) await queue.add({ session: 'a', n: n++ })
    }
    await addSome(10)
    await server.kill()
    await addSome(25)
    await server.restart()
    await addSome(25)
    await queue.drain()
    // What was handled and not yet settled when the server died came again: at least once, in order.
    expect([...new Set(seen.map((note) => note.n))]).toEqual(notes('', 60).map((note) => note.n))
  }, 30_000)

  it('passes on what an earlier process left in the file, before anything new', async () => {
    const server = await start()
    const spill = { directory: directory() }
    const options = {
      orderBy: (note: Note) => note.session,
      whenDown: 'spill',
      spill,
      deadline: 500,
    } as const
    await server.kill()
    const before = view(server)
    const first = before.queue('mail', options)
    await first.addMany(notes('a', 8))
    await first.close()
    await server.restart()
    const seen: number[] = []
    const second = view(server).queue('mail', {
      ...options,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await second.addMany(notes('a', 8, 8))
    await second.drain()
    expect(seen).toEqual(notes('', 16).map(({ n }) => n))
  }, 30_000)

  it('survives a kill of the server where it promised to: appendfsync always', async () => {
    const server = await start({ aof: 'always' })
    const queue = view(server).queue('mail', {
      durability: 'aof',
      orderBy: (note) => note.session,
      deadline: 2_000,
    })
    let acked = 0
    const adding = (async () => {
      for (;;) {
        await queue.add({ session: 'a', n: acked })
        acked++
      }
    })().catch(() => {})
    await until('some are in', () => acked > 50)
    await server.kill()
    await adding
    await server.restart()
    const seen: number[] = []
    const reader = view(server).queue('mail', {
      orderBy: (note) => note.session,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await reader.drain()
    // The one under way when it died may be there too.
    expect(seen.slice(0, acked)).toEqual(notes('', acked).map(({ n }) => n))
    expect(seen.length - acked).toBeLessThanOrEqual(1)
  }, 30_000)

  it('refuses to promise what the server cannot keep', async () => {
    const none = view(await start()).queue('mail', { durability: 'aof' })
    await expect(none.add({ session: 'a', n: 1 })).rejects.toMatchObject({
      code: 'QUEUE_MISMATCH',
      message: expect.stringContaining('append-only'),
    })
    const evicting = await start({
      aof: 'always',
      config: { maxmemory: '50mb', 'maxmemory-policy': 'allkeys-lru' },
    })
    await expect(
      view(evicting).queue('mail', { durability: 'aof' }).add({ session: 'a', n: 1 }),
    ).rejects.toMatchObject({
      code: 'QUEUE_MISMATCH',
      message: expect.stringContaining('evict'),
    })
    const everysec = await start({ aof: 'everysec' })
    const version = String(await everysec.cli('INFO', 'server'))
    const knowsWaitaof = /redis_version:(?:7\.[2-9]|[89]|\d\d)/.test(version)
    const adding = view(everysec).queue('mail', { durability: 'aof' }).add({ session: 'a', n: 1 })
    if (knowsWaitaof) await adding
    else await expect(adding).rejects.toMatchObject({ code: 'QUEUE_MISMATCH' })
  })

  it('waits for the replicas it was told to wait for, and rejects where they are too few', async () => {
    const master = await start()
    const replica = await startReplica(master)
    open.push(replica)
    const queue = view(master).queue('mail', { durability: 'replicated', replicas: 1, deadline: 2_000 })
    await queue.add({ session: 'a', n: 1 })
    replica.pause()
    await expect(queue.add({ session: 'a', n: 2 })).rejects.toMatchObject({ code: 'QUEUE_UNCERTAIN' })
    replica.resume()
  }, 30_000)

  it('is refused by a server that is full, and loses nothing of what it has [B11]', async () => {
    const server = await start({ config: { 'maxmemory-policy': 'noeviction' } })
    const queue = view(server).queue<string>('mail', {})
    await queue.add('first')
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    const error = await queue.add('second').catch((it) => it)
    expect(error.code).toBe('QUEUE_UNAVAILABLE')
    expect(error.message).toContain('OOM')
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    expect((await queue.stats()).depth).toBe(1)
  })
})
