import assert from 'node:assert/strict'
import { systemClock } from '../base/clock.ts'
import type { Message } from '../queue/options.ts'
import { type Note, notes, QUICK_RETRY, type QueueBackendUnderTest } from './queue-backend.ts'
import { queueFailureContract } from './queue-failure-contract.ts'
import { queueInputContract } from './queue-input-contract.ts'
import type { TestApi } from './test-api.ts'
import { pause, reaches } from './waiting.ts'

/** What every place for queues must do. */
export function queueContract(
  api: TestApi,
  backend: string,
  open: () => Promise<QueueBackendUnderTest>,
): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`a queue in ${backend}`, () => {
    let place: QueueBackendUnderTest
    let names = 0
    const fresh = () => `messages ${++names}`
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())

    it('hands every message to the handler once, in order per key [S1-4] [S1-7] [S1-8]', async () => {
      const seen = new Map<string, number[]>()
      const queue = place.create<Note>(fresh(), {
        orderBy: (note) => note.session,
        batch: 20,
        async handle(batch) {
          for (const { body } of batch) seen.set(body.session, [...(seen.get(body.session) ?? []), body.n])
        },
      })
      const sessions = Array.from({ length: 12 }, (_, i) => `s${i}`)
      await Promise.all(
        sessions.map(async (session) => {
          for (const note of notes(session, 25)) await queue.add(note)
        }),
      )
      await queue.drain()
      for (const session of sessions) {
        assert.deepEqual(
          seen.get(session),
          notes(session, 25).map(({ n }) => n),
        )
      }
    })

    it('gives each message its id, key, time, a first attempt and a rising position', async () => {
      const seen: Message<Note>[] = []
      const queue = place.create<Note>(fresh(), {
        orderBy: (note) => note.session,
        handle: (batch) => {
          seen.push(...batch)
        },
      })
      const before = systemClock.wall()
      const ids = await queue.addMany(notes('one', 30))
      await queue.drain()
      assert.deepEqual(
        seen.map(({ id }) => id),
        ids,
      )
      assert.equal(new Set(ids).size, 30)
      for (const [i, message] of seen.entries()) {
        assert.equal(message.key, 'one')
        assert.equal(message.attempt, 1)
        assert.equal(message.redelivered, false)
        assert.ok(message.at >= before - 1 && message.at <= systemClock.wall() + 1)
        assert.ok(i === 0 || message.position > seen[i - 1]!.position)
      }
    })

    it('keeps a batch within its size, and waits for company only as long as it is told', async () => {
      const sizes: number[] = []
      const queue = place.create<Note>(fresh(), {
        partitions: 1,
        batch: { size: 7, wait: 150 },
        handle: (batch) => {
          sizes.push(batch.length)
        },
      })
      await queue.addMany(notes('a', 3))
      await pause(20)
      await queue.addMany(notes('a', 4))
      await queue.drain()
      assert.deepEqual(sizes, [7])
      await queue.add({ session: 'a', n: 9 })
      await queue.drain()
      assert.deepEqual(sizes, [7, 1])
    })

    it('handles one batch of a partition at a time, and several partitions side by side', async () => {
      const running = new Map<number, number>()
      let most = 0
      let together = 0
      const queue = place.create<Note>(fresh(), {
        partitions: 4,
        orderBy: (note) => note.session,
        batch: 5,
        async handle(_batch, { partition, fence, signal }) {
          assert.ok(fence > 0)
          assert.equal(signal.aborted, false)
          running.set(partition, (running.get(partition) ?? 0) + 1)
          most = Math.max(most, running.get(partition)!)
          together = Math.max(together, [...running.values()].filter((count) => count > 0).length)
          await pause(10)
          running.set(partition, running.get(partition)! - 1)
        },
      })
      await Promise.all(Array.from({ length: 16 }, (_, i) => queue.addMany(notes(`s${i}`, 5))))
      await queue.drain()
      assert.equal(most, 1)
      assert.ok(together > 1, 'no two partitions were ever handled together')
    })

    it('takes two messages of one id for one, waiting or handled [B13]', async () => {
      const seen: string[] = []
      const queue = place.create<Note>(fresh(), {
        id: (note) => `${note.session}/${note.n}`,
        handle: (batch) => {
          seen.push(...batch.map(({ id }) => id))
        },
      })
      await queue.pause()
      await Promise.all([queue.add({ session: 'a', n: 1 }), queue.add({ session: 'a', n: 1 })])
      await queue.add({ session: 'a', n: 2 })
      await queue.resume()
      await queue.drain()
      await queue.add({ session: 'a', n: 2 })
      await queue.add({ session: 'b', n: 1 }, { id: 'of my own' })
      await queue.add({ session: 'b', n: 2 }, { id: 'of my own' })
      await queue.drain()
      assert.deepEqual([...seen].sort(), ['a/1', 'a/2', 'of my own'])
    })

    it('handles only the newest of the states of one thing that wait [S1-6]', async () => {
      const seen: Note[] = []
      const queue = place.create<Note>(fresh(), {
        coalesce: (note) => note.session,
        handle: (batch) => {
          seen.push(...batch.map(({ body }) => body))
        },
      })
      await queue.pause()
      // In one flush, and over several.
      await Promise.all(notes('open', 10).map((note) => queue.add(note)))
      for (const note of notes('closed', 10)) await queue.add(note)
      await queue.resume()
      await queue.drain()
      assert.deepEqual(
        seen.sort((a, b) => a.session.localeCompare(b.session)),
        [
          { session: 'closed', n: 9 },
          { session: 'open', n: 9 },
        ],
      )
    })

    it('handles nothing while paused, and goes on where it stood', async () => {
      const seen: number[] = []
      const queue = place.create<Note>(fresh(), {
        orderBy: (note) => note.session,
        handle: (batch) => {
          seen.push(...batch.map(({ body }) => body.n))
        },
      })
      await queue.addMany(notes('a', 3))
      await queue.drain()
      await queue.pause()
      assert.equal((await queue.stats()).paused, true)
      await queue.addMany([
        { session: 'a', n: 3 },
        { session: 'a', n: 4 },
      ])
      await pause(40)
      assert.equal((await queue.stats()).depth, 2)
      assert.deepEqual(seen, [0, 1, 2])
      await queue.resume()
      await queue.drain()
      assert.deepEqual(seen, [0, 1, 2, 3, 4])
    })

    it('says how much waits, how old it is, and who works [S1-22] [S1-25]', async () => {
      const queue = place.create<Note>(fresh(), { handle: () => undefined })
      await queue.pause()
      await queue.addMany(notes('a', 12))
      await pause(20)
      const stats = await queue.stats()
      assert.equal(stats.depth, 12)
      assert.ok(stats.oldestMs >= 15, `${stats.oldestMs} ms`)
      assert.equal(stats.dead, 0)
      await reaches(async () => (await queue.stats()).workers === 1)
      await queue.resume()
      await queue.drain()
      assert.equal((await queue.stats()).depth, 0)
      assert.equal((await queue.stats()).oldestMs, 0)
    })

    it('refuses what would make it deeper than allowed, and nothing of that is stored', async () => {
      const queue = place.create<Note>(fresh(), { pressure: { depth: 10 }, handle: () => undefined })
      await queue.pause()
      await queue.addMany(notes('a', 10))
      await assert.rejects(queue.add({ session: 'a', n: 10 }), { code: 'QUEUE_FULL', bound: 'depth' })
      assert.equal((await queue.stats()).depth, 10)
      await queue.resume()
      await queue.drain()
      // The next look sees that there is room.
      await reaches(() =>
        queue.add({ session: 'a', n: 11 }).then(
          () => true,
          () => false,
        ),
      )
    })

    it('refuses while the oldest message is older than allowed', async () => {
      const queue = place.create<Note>(fresh(), { pressure: { age: 30 }, handle: () => undefined })
      await queue.pause()
      await queue.add({ session: 'a', n: 0 })
      await reaches(async () => {
        try {
          await queue.add({ session: 'a', n: 1 })
          return false
        } catch (error) {
          assert.equal((error as { bound?: string }).bound, 'age')
          return true
        }
      })
    })

    it('lets an add wait for room where that is asked for, for a bounded time', async () => {
      const pressure = { depth: 2, whenFull: 'wait', wait: 3_000 } as const
      const queue = place.create<Note>(fresh(), { pressure, handle: () => undefined })
      await queue.pause()
      await queue.addMany(notes('a', 2))
      let isIn = false
      const adding = queue.add({ session: 'a', n: 2 }).then(() => {
        isIn = true
      })
      await pause(60)
      assert.equal(isIn, false)
      await queue.resume()
      await adding
      const short = { depth: 1, whenFull: 'wait', wait: 60 } as const
      const full = place.create<Note>(fresh(), { pressure: short })
      await full.add({ session: 'a', n: 0 })
      await assert.rejects(full.add({ session: 'a', n: 1 }), { code: 'QUEUE_FULL' })
    })

    it('lets the batch in hand end when it is closed, and accepts nothing more', async () => {
      let ended = 0
      let began = false
      const queue = place.create<Note>(fresh(), {
        async handle(batch) {
          began = true
          await pause(40)
          ended += batch.length
        },
      })
      await queue.addMany(notes('a', 3))
      await reaches(async () => began)
      await Promise.all([queue.close(), queue.close()])
      assert.ok(ended > 0)
      await assert.rejects(queue.add({ session: 'a', n: 9 }), { code: 'CLOSED' })
    })

    it('does not wait for a handler that does not end for longer than its grace', async () => {
      let began = false
      let aborted = false
      const queue = place.create<Note>(fresh(), {
        grace: 30,
        retry: QUICK_RETRY,
        handle: (_batch, { signal }) =>
          new Promise(() => {
            began = true
            signal.addEventListener('abort', () => {
              aborted = true
            })
          }),
      })
      await queue.add({ session: 'a', n: 0 })
      await reaches(async () => began)
      const started = systemClock.mono()
      await queue.close()
      assert.ok(systemClock.mono() - started < 3_000)
      assert.equal(aborted, true)
    })

    queueFailureContract(api, () => place, fresh)
    queueInputContract(api, () => place, fresh)
  })
}
