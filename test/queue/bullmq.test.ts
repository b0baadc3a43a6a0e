import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { ExpressAdapter } from '@bull-board/express'
import { Queue as BullQueue, Worker as BullWorker, FlowProducer } from 'bullmq'
import express from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { holdfast } from '../../src/index.ts'
import { queuePlace } from '../../src/queue/bullmq/layout.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { type Note, notes, View } from './bull-places.ts'

describe('queues on BullMQ', () => {
  let server: RedisServer
  let views: View[] = []
  let names = 0
  const fresh = () => `mail ${++names}`
  const view = () => {
    const made = new View(server.url)
    views.push(made)
    return made
  }
  beforeAll(async () => {
    server = await startRedis()
  })
  afterEach(async () => {
    await Promise.all(views.map((it) => it.close()))
    views = []
  })
  afterAll(() => server.stop())

  it('shares the partitions among the processes that work, and keeps the order while they come and go', async () => {
    const name = fresh()
    const seen = new Map<string, number[]>()
    const handle = async (batch: readonly { body: Note }[]) => {
      for (const { body } of batch) seen.set(body.session, [...(seen.get(body.session) ?? []), body.n])
    }
    const options = { orderBy: (note: Note) => note.session, batch: 5, grace: 10_000, handle }
    const [first, second] = [view(), view()]
    const one = first.queue(name, options)
    await until('the first owns all', async () => (await one.stats()).owned === 8)
    const adding = (async () => {
      for (let n = 0; n < 150; n++)
        await Promise.all(['a', 'b', 'c', 'd', 'e'].map((s) => one.add({ session: s, n })))
    })()
    const two = second.queue(name, options)
    await until('each owns half', async () => {
      const owned = [(await one.stats()).owned, (await two.stats()).owned]
      return owned.join() === '4,4'
    })
    await adding
    await two.close()
    await until('the first owns all again', async () => (await one.stats()).owned === 8)
    await one.addMany(['a', 'b', 'c', 'd', 'e'].map((session) => ({ session, n: 150 })))
    await one.drain()
    const all = notes('', 151).map(({ n }) => n)
    for (const session of ['a', 'b', 'c', 'd', 'e']) expect(seen.get(session)).toEqual(all)
  })

  it('takes over from a process that died, within seconds, in order, and says that it is a redelivery [B12]', async () => {
    const name = fresh()
    const seen: number[] = []
    const redelivered: number[] = []
    const hung = view()
    const dying = hung.queue(name, {
      partitions: 1,
      orderBy: (note) => note.session,
      batch: 5,
      handle: () => new Promise(() => {}),
    })
    await dying.addMany(notes('a', 20))
    await until(
      'it has work in hand',
      async () => (await server.cli('LLEN', queuePlace('test', name, 1).partitions[0]!.active)) !== 0,
    )
    const started = performance.now()
    await hung.crash()
    const queue = view().queue(name, {
      partitions: 1,
      orderBy: (note) => note.session,
      handle: (batch) => {
        for (const { body, redelivered: again } of batch) {
          seen.push(body.n)
          if (again) redelivered.push(body.n)
        }
      },
    })
    await queue.drain()
    expect(seen).toEqual(notes('', 20).map(({ n }) => n))
    expect(redelivered.length).toBeGreaterThan(0)
    expect(performance.now() - started).toBeLessThan(15_000)
  })

  it('gives a parcel that a late command took away its place in the order back', async () => {
    const name = fresh()
    const seen: number[] = []
    const place = queuePlace('test', name, 1).partitions[0]!
    const queue = view().queue(name, {
      partitions: 1,
      parcel: { size: 1 },
      orderBy: (note) => note.session,
      batch: 3,
      handle: async (batch) => {
        seen.push(...batch.map(({ body }) => body.n))
        await new Promise((resolve) => setTimeout(resolve, 3))
      },
    })
    await queue.pause()
    for (const note of notes('a', 40)) await queue.add(note)
    // What a process does whose command was on its way when it lost the partition.
    await server.cli('LMOVE', place.wait, place.active, 'RIGHT', 'LEFT')
    await queue.resume()
    await until('half is handled', () => seen.length > 20)
    await server.cli('LMOVE', place.wait, place.active, 'RIGHT', 'LEFT')
    await queue.drain()
    expect(seen).toEqual(notes('', 40).map(({ n }) => n))
  })

  it('handles nothing any more once its lease is gone, whoever took it', async () => {
    const name = fresh()
    const place = queuePlace('test', name, 1).partitions[0]!
    let isFree = false
    const seen: number[] = []
    const fences: number[] = []
    const queue = view().queue(name, {
      partitions: 1,
      orderBy: (note) => note.session,
      batch: 1,
      handle: async ([message], { fence, signal }) => {
        fences.push(fence)
        while (!isFree && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5))
        if (!signal.aborted) seen.push(message!.body.n)
      },
    })
    await queue.addMany(notes('a', 3))
    await until('the first is in hand', () => fences.length === 1)
    await server.cli('SET', place.lease, 'somebody else', 'PX', '400')
    await until('the handler was told', () => fences.length > 1)
    isFree = true
    await queue.drain()
    expect(seen).toEqual([0, 1, 2])
    expect(fences.at(-1)).toBeGreaterThan(fences[0]!)
  })

  it('gives up the message that kills the workers that try it, and no other', async () => {
    const name = fresh()
    const seen: number[] = []
    const options = {
      partitions: 1,
      takeover: 500,
      orderBy: (note: Note) => note.session,
      parcel: { size: 10 },
    }
    const producer = view().queue(name, options)
    await producer.addMany(notes('a', 6))
    for (let life = 0; life < 12 && (await producer.stats()).dead === 0; life++) {
      const process = view()
      let died: () => void = () => {}
      const death = new Promise<void>((resolve) => {
        died = resolve
      })
      process.queue(name, {
        ...options,
        handle: (batch) => {
          if (!batch.some(({ body }) => body.n === 3)) {
            seen.push(...batch.map(({ body }) => body.n))
            return undefined
          }
          void process.crash().then(died)
          return new Promise(() => {})
        },
      })
      await Promise.race([
        death,
        until('it is over', async () => (await producer.stats()).depth === 0, 15_000),
      ])
    }
    const last = view().queue(name, {
      ...options,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await last.drain()
    const letters = await last.dead.list()
    expect(letters.map(({ body }) => body)).toEqual([{ session: 'a', n: 3 }])
    expect(letters[0]?.reason).toMatch(/workers died/)
    expect([...new Set(seen)].sort()).toEqual([0, 1, 2, 4, 5])
  })

  it('keeps a job that is none of its parcels as a dead letter, and goes on', async () => {
    const name = fresh()
    const seen: number[] = []
    const owner = view()
    const queue = owner.queue(name, {
      partitions: 1,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await queue.stats()
    const [partition] = queue.bullQueues()
    const bull = new BullQueue(partition!.name, partition!.options as never)
    await bull.add('by hand', { hello: 'there' })
    await queue.add({ session: 'a', n: 1 })
    await queue.drain()
    expect(seen).toEqual([1])
    expect((await queue.dead.list())[0]?.reason).toBe('the stored text is no parcel')
    await bull.close()
  })

  it('refuses to open a queue with another number of partitions than it was made with', async () => {
    const name = fresh()
    await view().queue(name, { partitions: 4 }).add({ session: 'a', n: 1 })
    await expect(view().queue(name, { partitions: 8 }).add({ session: 'a', n: 1 })).rejects.toMatchObject({
      code: 'QUEUE_MISMATCH',
      message: expect.stringContaining('4 partitions'),
    })
  })

  it('opens in bull-board as it is: parcels, and dead letters with their reasons [S1-22]', async () => {
    const name = fresh()
    const queue = view().queue(name, {
      partitions: 2,
      handle: (batch) => batch.map(() => ({ dead: 'no address' })),
    })
    await queue.add({ session: 'a', n: 7 })
    await queue.drain()
    await queue.pauseHere()
    await queue.addMany(notes('b', 3))
    const bulls = queue.bullQueues().map(({ name, options }) => new BullQueue(name, options as never))
    // Its two packages bring a copy each of one type.
    const board = new ExpressAdapter()
    createBullBoard({ queues: bulls.map((bull) => new BullMQAdapter(bull)), serverAdapter: board as never })
    const app = express().use(board.getRouter()).listen(0, '127.0.0.1')
    await once(app, 'listening')
    try {
      const { port } = app.address() as AddressInfo
      const dead = encodeURIComponent(bulls.at(-1)!.name)
      const reply = await fetch(
        `http://127.0.0.1:${port}/api/queues?activeQueue=${dead}&page=1&jobsPerPage=10`,
      )
      const { queues } = (await reply.json()) as {
        queues: { name: string; counts: Record<string, number>; jobs: { data: unknown }[] }[]
      }
      expect(queues.map((it) => it.name)).toEqual(bulls.map((it) => it.name))
      expect(queues.slice(0, 2).reduce((sum, it) => sum + it.counts.waiting!, 0)).toBe(1)
      expect(queues[2]!.counts.waiting).toBe(1)
      expect(JSON.stringify(queues[2]!.jobs[0]!.data)).toContain('no address')
    } finally {
      app.close()
      await Promise.all(bulls.map((bull) => bull.close()))
    }
  })

  it('shows in health how deep it is and how old the oldest message [S1-25]', async () => {
    const hf = holdfast({ redis: server.url, namespace: 'health' })
    const queue = hf.queue<Note>('messages')
    await queue.addMany(notes('a', 5))
    await until('health knows', () => hf.health().queues[0]?.depth === 5)
    expect(hf.health().queues[0]).toMatchObject({ queue: 'messages', backend: 'bullmq', dead: 0, workers: 0 })
    expect(() => hf.queue('messages', { partitions: 3 })).toThrow(/partitions/)
    expect(hf.queue('messages')).toBe(queue)
    await hf.close()
    await expect(queue.add({ session: 'a', n: 1 })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('hands out its connection for schedules, delays and flows of BullMQ', async () => {
    const hf = holdfast({ redis: server.url, namespace: 'jobs' })
    const seen: string[] = []
    // The types of BullMQ ask for one of the clients that it names; it takes whatever has their verbs.
    const options = hf.bullmq() as never
    const worker = new BullWorker('reports', async (job) => void seen.push(job.name), options)
    const queue = new BullQueue('reports', options)
    const flows = new FlowProducer(options)
    const failed: Error[] = []
    worker.on('error', (error) => failed.push(error))
    await queue.add('now', {})
    await queue.add('later', {}, { delay: 60 })
    await queue.upsertJobScheduler('nightly', { every: 100, limit: 1 }, { name: 'scheduled' })
    await flows.add({
      name: 'parent',
      queueName: 'reports',
      children: [{ name: 'child', queueName: 'reports' }],
    })
    await until('all ran', () =>
      ['now', 'later', 'scheduled', 'child', 'parent'].every((it) => seen.includes(it)),
    )
    expect(seen.indexOf('child')).toBeLessThan(seen.indexOf('parent'))
    await Promise.all([worker.close(), queue.close(), flows.close()])
    await hf.close()
    expect(failed).toEqual([])
    expect(() => holdfast().bullmq()).toThrow(/needs Redis/)
  })

  it('works for a user who may touch nothing but our prefix', async () => {
    const guarded = await startRedis({
      acl: [
        'app on >secret ~hf:* &hf:* +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous +info +time +role',
      ],
    })
    const restricted = new View(`redis://app:secret@127.0.0.1:${guarded.port}`)
    try {
      const seen: number[] = []
      const queue = restricted.queue('mail', {
        id: (note) => `${note.n}`,
        handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
      })
      await queue.addMany(notes('a', 5))
      await queue.drain()
      expect(seen.sort()).toEqual([0, 1, 2, 3, 4])
    } finally {
      await restricted.close()
      await guarded.stop()
    }
  })
})
