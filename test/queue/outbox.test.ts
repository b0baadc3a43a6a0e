import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createQueue } from '../../src/queue/create.ts'
import type { QueueOptions } from '../../src/queue/options.ts'
import { outboxTable } from '../../src/queue/outbox.ts'
import type { Queue } from '../../src/queue/queue.ts'
import { inTransaction } from '../../src/queue/sql.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { type Note, notes, View } from './bull-places.ts'
import { DATABASES, type Database } from './sql-support.ts'

for (const place of DATABASES) {
  describe.skipIf(place.skip)(`an outbox in ${place.name}`, () => {
    let database: Database
    const made: Queue<Note>[] = []
    let names = 0
    const fresh = () => `mails ${++names}`
    const make = (name: string, options: QueueOptions<Note>, relay = true): Queue<Note> => {
      const queue = createQueue<Note>({
        orderBy: (note) => note.session,
        durability: 'outbox',
        ...options,
        ...{ name, namespace: 'test', outbox: { sql: database.db, relay, poll: 20 } },
      })
      made.push(queue)
      return queue
    }
    beforeAll(async () => {
      database = await place.open()
      await database.run(outboxTable())
      await database.run(outboxTable())
      await database.run('CREATE TABLE orders (id integer PRIMARY KEY)')
    })
    afterEach(async () => {
      await Promise.all(made.splice(0).map((queue) => queue.close()))
    })
    afterAll(() => database.close())

    it('lets a message come to be with the transaction of the user, and not without it', async () => {
      const seen: number[] = []
      const queue = make(fresh(), { handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)) })
      await inTransaction(database.db, async (tx) => {
        await tx.query('INSERT INTO orders VALUES (1)')
        await queue.add({ session: 'a', n: 1 }, { tx })
      })
      await inTransaction(database.db, async (tx) => {
        await tx.query('INSERT INTO orders VALUES (2)')
        await queue.add({ session: 'a', n: 2 }, { tx })
        throw new Error('changed my mind')
      }).catch(() => {})
      await queue.add({ session: 'a', n: 3 })
      await queue.drain()
      expect(seen).toEqual([1, 3])
      expect(await database.run('SELECT id FROM orders')).toEqual([{ id: 1 }])
    })

    it('passes rows on in their order, from many transactions, and forgets them', async () => {
      const seen: number[] = []
      const queue = make(fresh(), { handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)) })
      for (let from = 0; from < 60; from += 20) await queue.addMany(notes('a', 20, from))
      await queue.drain()
      expect(seen).toEqual(notes('', 60).map(({ n }) => n))
      expect(await database.run('SELECT count(*)::int AS n FROM holdfast_outbox')).toEqual([{ n: 0 }])
    })

    it('keeps rows while nobody relays, and refuses a tx where there is no outbox', async () => {
      const name = fresh()
      const silent = make(name, {}, false)
      await silent.addMany(notes('a', 3))
      expect(await database.run('SELECT count(*)::int AS n FROM holdfast_outbox')).toEqual([{ n: 3 }])
      const seen: number[] = []
      const queue = make(name, { handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)) })
      await until('they came', () => seen.length === 3)
      const plain = createQueue<Note>({ name: fresh() })
      await expect(plain.add({ session: 'a', n: 1 }, { tx: database.db })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      })
      await plain.close()
      await queue.drain()
    })

    it('says so when its table is missing', async () => {
      const queue = createQueue<Note>({
        ...{ name: fresh(), durability: 'outbox' },
        outbox: { sql: database.db, table: 'nowhere', relay: false },
      })
      await expect(queue.add({ session: 'a', n: 1 })).rejects.toMatchObject({
        code: 'QUEUE_UNAVAILABLE',
        message: expect.stringContaining('outboxTable()'),
      })
      await queue.close()
    })
  })
}

describe('an outbox before Redis', () => {
  let server: RedisServer
  let database: Database
  beforeAll(async () => {
    server = await startRedis({ aof: 'always' })
    database = await DATABASES[0]!.open()
    await database.run(outboxTable())
  })
  afterAll(async () => {
    await database.close()
    await server.stop()
  })

  it('keeps the order where two processes relay', async () => {
    const [first, second] = [new View(server.url), new View(server.url)]
    const seen: number[] = []
    const outbox = { sql: database.db, poll: 20, batch: 7 }
    const options = { orderBy: (note: Note) => note.session, durability: 'outbox', outbox } as const
    const one = first.queue<Note>('orders', {
      ...options,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    const two = second.queue<Note>('orders', options)
    for (let n = 0; n < 30; n++) await (n % 2 ? one : two).add({ session: 'a', n })
    await two.drain()
    expect([...new Set(seen)]).toEqual(notes('', 30).map(({ n }) => n))
    await Promise.all([first.close(), second.close()])
  }, 30_000)

  it('loses nothing of what was added while Redis was away, and what is relayed twice is handled once [S1-27] [B13]', async () => {
    const view = new View(server.url, { handshakeMs: 5_000, deadAfterMs: 2_000, breakAfter: 1_000 })
    const seen: string[] = []
    const outbox = { sql: database.db, poll: 20 }
    const queue = view.queue<Note>('mails', {
      ...{ orderBy: (note) => note.session, durability: 'outbox', outbox, deadline: 1_000 },
      handle: (batch) => void seen.push(...batch.map(({ id, body }) => `${body.n} ${id}`)),
    })
    await queue.addMany(notes('a', 5))
    await queue.drain()
    await server.kill()
    const [id = ''] = await queue.addMany(notes('a', 5, 5))
    // As a relay leaves it that died between Redis and its COMMIT.
    await database.run(
      `INSERT INTO holdfast_outbox (queue, id, key, at, text)
       SELECT queue, id, key, at, text FROM holdfast_outbox WHERE id = $1`,
      [id],
    )
    await server.restart()
    await queue.drain()
    expect([...new Set(seen)].map((it) => Number(it.split(' ')[0]))).toEqual(notes('', 10).map(({ n }) => n))
    expect(seen.filter((it) => it.endsWith(id))).toHaveLength(1)
    await view.close()
  }, 30_000)
})
