import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createQueue } from '../../src/queue/create.ts'
import type { QueueOptions } from '../../src/queue/options.ts'
import type { Queue } from '../../src/queue/queue.ts'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres-server.ts'
import { until } from '../support/until.ts'
import { type Note, notes } from './bull-places.ts'

const missing = postgresMissing()

describe.skipIf(missing !== undefined)(`a queue in PostgreSQL${missing ? ` (${missing})` : ''}`, () => {
  let server: PostgresServer
  let made: Queue<Note>[] = []
  let names = 0
  const fresh = () => `mail ${++names}`
  const make = (name: string, options: QueueOptions<Note> = {}): Queue<Note> => {
    const postgres = { connectionString: server.url, max: 3 }
    const queue = createQueue<Note>({
      deadline: 5_000,
      grace: 200,
      takeover: 1_500,
      ...options,
      name,
      postgres,
    })
    made.push(queue)
    return queue
  }
  const bullName = (name: string) => `app.${name}-0`
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterEach(async () => {
    await Promise.all(made.map((queue) => queue.close()))
    made = []
  })
  afterAll(() => server?.stop())

  it('takes up what an owner before it held, before all that waits, in order [B12]', async () => {
    const name = fresh()
    const options = { partitions: 1, parcel: { size: 1 }, orderBy: (note: Note) => note.session }
    const producer = make(name, options)
    for (const note of notes('a', 12)) await producer.add(note)
    // What a worker leaves that died with five parcels in hand, and whose lease has lapsed.
    await server.query(
      `UPDATE bullmq.job SET state = 'active', lock_token = '0' WHERE queue = $1 AND id::int <= 5`,
      [bullName(name)],
    )
    const seen: number[] = []
    const queue = make(name, {
      ...options,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await queue.drain()
    expect(seen).toEqual(notes('', 12).map(({ n }) => n))
  })

  it('waits for the lease of another, and refuses another number of partitions', async () => {
    const name = fresh()
    const seen: string[] = []
    const handler = (who: string) => ({
      partitions: 1,
      handle: (batch: readonly unknown[]) => void seen.push(...batch.map(() => who)),
    })
    const first = make(name, handler('first'))
    await until('the first owns it', async () => (await first.stats()).owned === 1)
    const second = make(name, handler('second'))
    await first.addMany(notes('a', 5))
    await first.drain()
    expect((await second.stats()).owned).toBe(0)
    expect(new Set(seen)).toEqual(new Set(['first']))
    await first.close()
    await until('the second owns it', async () => (await second.stats()).owned === 1)
    await expect(make(name, { partitions: 2 }).add({ session: 'a', n: 1 })).rejects.toMatchObject({
      code: 'QUEUE_MISMATCH',
    })
  })

  it('rejects while the database is away, and goes on when it is back', async () => {
    const name = fresh()
    const seen: number[] = []
    const queue = make(name, {
      deadline: 1_000,
      handle: (batch) => void seen.push(...batch.map(({ body }) => body.n)),
    })
    await queue.add({ session: 'a', n: 1 })
    await server.kill()
    const error = await queue.add({ session: 'a', n: 2 }).catch((it) => it)
    expect(['QUEUE_UNAVAILABLE', 'QUEUE_UNCERTAIN']).toContain(error.code)
    await server.restart()
    await until('it takes messages again', () => queue.add({ session: 'a', n: 3 }).then(() => true))
    await queue.drain()
    expect(new Set(seen).has(1)).toBe(true)
    expect(new Set(seen).has(3)).toBe(true)
  }, 60_000)
})
