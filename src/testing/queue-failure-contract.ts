import assert from 'node:assert/strict'
import { systemClock } from '../base/clock.ts'
import type { Outcome } from '../queue/options.ts'
import { type Note, notes, QUICK_RETRY, type QueueBackendUnderTest } from './queue-backend.ts'
import type { TestApi } from './test-api.ts'
import { pause, reaches } from './waiting.ts'

/** What every place for queues must do when handlers fail. */
export function queueFailureContract(
  api: TestApi,
  place: () => QueueBackendUnderTest,
  fresh: () => string,
): void {
  const { it } = api

  it('tries again in place: later messages of the key wait, other keys do not [S1-7]', async () => {
    const seen: string[] = []
    let failures = 3
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      orderBy: (note) => note.session,
      retry: { first: 20, most: 40, attempts: 4 },
      handle: (batch) => {
        let isWaiting = false
        return batch.map(({ body }): Outcome => {
          if (body.session === 'slow' && body.n === 0 && failures-- > 0) isWaiting = true
          // Said of all the rest of the key: only the first of them is heard, and counted.
          if (body.session === 'slow' && isWaiting) return { retry: true }
          seen.push(`${body.session}${body.n}`)
          return { ok: true }
        })
      },
    })
    await queue.addMany([...notes('slow', 3), ...notes('quick', 3)])
    await queue.drain()
    assert.deepEqual(
      seen.filter((it) => it.startsWith('slow')),
      ['slow0', 'slow1', 'slow2'],
    )
    assert.deepEqual(seen.slice(0, 3), ['quick0', 'quick1', 'quick2'])
  })

  it('counts the attempts of a message, and waits as long as the handler asks', async () => {
    const attempts: number[] = []
    const times: number[] = []
    const queue = place().create<Note>(fresh(), {
      retry: QUICK_RETRY,
      handle: ([message]) => {
        attempts.push(message!.attempt)
        times.push(systemClock.mono())
        return [attempts.length < 3 ? { retry: true, after: 60 } : { ok: true }]
      },
    })
    await queue.add({ session: 'a', n: 0 })
    await queue.drain()
    assert.deepEqual(attempts, [1, 2, 3])
    assert.ok(times[1]! - times[0]! >= 58)
  })

  it('puts what the handler calls dead among the dead letters, with its reason, at once', async () => {
    const seen: number[] = []
    const queue = place().create<Note>(fresh(), {
      orderBy: (note) => note.session,
      handle: (batch) =>
        batch.map(({ body }): Outcome => {
          if (body.n === 1) return { dead: 'no such customer' }
          seen.push(body.n)
          return { ok: true }
        }),
    })
    const ids = await queue.addMany(notes('a', 3))
    await queue.drain()
    assert.deepEqual(seen, [0, 2])
    const [letter, ...more] = await queue.dead.list()
    assert.equal(more.length, 0)
    assert.equal(letter?.id, ids[1])
    assert.deepEqual(letter?.body, { session: 'a', n: 1 })
    assert.equal(letter?.key, 'a')
    assert.equal(letter?.reason, 'no such customer')
    assert.equal((await queue.stats()).dead, 1)
    assert.deepEqual(await queue.dead.get(ids[1]!), letter)
    assert.equal(await queue.dead.get('nobody'), undefined)
  })

  it('replays and drops dead letters: the same id comes to the handler again', async () => {
    let isMended = false
    const seen: string[] = []
    const queue = place().create<Note>(fresh(), {
      id: (note) => `${note.session}:${note.n}`,
      handle: (batch) =>
        batch.map(({ id }): Outcome => {
          if (!isMended) return { dead: 'broken' }
          seen.push(id)
          return { ok: true }
        }),
    })
    await queue.addMany(notes('a', 5))
    await queue.drain()
    assert.equal((await queue.stats()).dead, 5)
    isMended = true
    assert.equal(await queue.dead.drop(['a:0', 'nobody']), 1)
    assert.equal(await queue.dead.replay(['a:1']), 1)
    await queue.drain()
    assert.deepEqual(seen, ['a:1'])
    assert.equal(await queue.dead.replay('all'), 3)
    await queue.drain()
    assert.deepEqual([...seen].sort(), ['a:1', 'a:2', 'a:3', 'a:4'])
    assert.equal((await queue.stats()).dead, 0)
    assert.equal(await queue.dead.drop('all'), 0)
  })

  it('finds the one message that makes the handler throw, and handles all others once', async () => {
    const seen: number[] = []
    let calls = 0
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      batch: 64,
      retry: { ...QUICK_RETRY, attempts: 3 },
      handle(batch) {
        calls++
        if (batch.some(({ body }) => body.n === 37)) throw new Error('cannot read 37')
        seen.push(...batch.map(({ body }) => body.n))
      },
    })
    await queue.pause()
    await queue.addMany(notes('a', 64))
    await queue.resume()
    await queue.drain()
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      notes('a', 64)
        .map(({ n }) => n)
        .filter((n) => n !== 37),
    )
    const [letter] = await queue.dead.list()
    assert.equal(letter?.body.n, 37)
    assert.equal(letter?.attempts, 3)
    assert.equal(letter?.reason, 'Error: cannot read 37')
    assert.ok(calls < 64, `${calls} calls`)
  })

  it('lets nobody die while nothing at all succeeds: that is the fault of the target', async () => {
    let isDown = true
    const seen: number[] = []
    const queue = place().create<Note>(fresh(), {
      orderBy: (note) => note.session,
      retry: { first: 2, most: 10, attempts: 2, outage: 60_000 },
      async handle(batch) {
        if (isDown) throw new Error('the database is away')
        seen.push(...batch.map(({ body }) => body.n))
      },
    })
    await queue.addMany(notes('a', 20))
    await pause(250)
    assert.equal((await queue.stats()).dead, 0)
    isDown = false
    await queue.drain()
    assert.deepEqual(
      seen,
      notes('a', 20).map(({ n }) => n),
    )
  })

  it('lets several poisoned messages at the head of the line block nobody but their keys', async () => {
    const seen = new Set<string>()
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      orderBy: (note) => note.session,
      batch: 50,
      // An outage is believed for as long as it is by default: none is seen here.
      retry: { first: 2, most: 20, attempts: 3 },
      handle(batch) {
        if (batch.some(({ body }) => body.n === 0 && body.session < 's4')) throw new Error('poison')
        for (const { body } of batch) seen.add(`${body.session}/${body.n}`)
      },
    })
    await queue.pause()
    for (let n = 0; n < 5; n++) {
      await queue.addMany(Array.from({ length: 10 }, (_, s) => ({ session: `s${s}`, n })))
    }
    await queue.resume()
    await queue.drain()
    assert.equal(seen.size, 46)
    assert.deepEqual((await queue.dead.list()).map(({ body }) => `${body.session}/${body.n}`).sort(), [
      's0/0',
      's1/0',
      's2/0',
      's3/0',
    ])
  })

  it('gives up a call that hangs, aborts its signal, and goes on with the others', async () => {
    const seen: number[] = []
    let aborted = 0
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      timeout: 60,
      retry: { ...QUICK_RETRY, attempts: 2 },
      handle(batch, { signal }) {
        if (batch.some(({ body }) => body.n === 2)) {
          signal.addEventListener('abort', () => aborted++)
          return new Promise(() => {})
        }
        seen.push(...batch.map(({ body }) => body.n))
        return undefined
      },
    })
    await queue.addMany(notes('a', 6))
    await queue.drain()
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [0, 1, 3, 4, 5],
    )
    assert.ok(aborted >= 2)
    const [letter] = await queue.dead.list()
    assert.equal(letter?.reason, 'the handler did not settle within 60 ms')
  })

  it('takes nonsense for a failure: of the whole call, or of the one message', async () => {
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      retry: { ...QUICK_RETRY, attempts: 2 },
      handle(batch) {
        const nonsense = batch.map(({ body }) =>
          body.session === 'strange' ? { well: 'yes' } : { ok: true },
        )
        if (batch.some(({ body }) => body.session === 'short')) nonsense.pop()
        // A handler in JavaScript can return anything.
        return nonsense as unknown as Outcome[]
      },
    })
    await queue.addMany([...notes('good', 3), ...notes('strange', 1), ...notes('short', 1)])
    await queue.drain()
    const letters = await queue.dead.list()
    assert.deepEqual(letters.map(({ body, reason }) => [body.session, reason]).sort(), [
      ['short', 'the handler returned 0 outcomes for 1 messages'],
      ['strange', 'the handler returned an outcome that is none'],
    ])
  })

  it('keeps the order of a key through failures of any kind', async () => {
    const seen = new Map<string, number[]>()
    let rolls = 0
    const queue = place().create<Note>(fresh(), {
      partitions: 3,
      orderBy: (note) => note.session,
      batch: 7,
      retry: { ...QUICK_RETRY, attempts: 1_000 },
      handle: (batch) => {
        if (++rolls % 3 === 0) throw new Error('bad day')
        const waiting = new Set<string>()
        return batch.map(({ body }): Outcome => {
          if ((++rolls * 7919) % 11 === 0) waiting.add(body.session)
          // What it says of the rest of the key does not matter, as long as it leaves it alone.
          const isFirst = (rolls * 7919) % 11 === 0
          if (waiting.has(body.session))
            return isFirst || rolls % 2 ? { retry: true, after: rolls % 5 } : { ok: true }
          seen.set(body.session, [...(seen.get(body.session) ?? []), body.n])
          return { ok: true }
        })
      },
    })
    await Promise.all(Array.from({ length: 6 }, (_, i) => queue.addMany(notes(`s${i}`, 20))))
    await queue.drain()
    for (let i = 0; i < 6; i++) {
      // A call may fail before any of it took effect; what took effect did so in order, once.
      assert.deepEqual(
        seen.get(`s${i}`),
        notes('', 20).map(({ n }) => n),
      )
    }
  })

  it('blocks nobody of another key for ever, however long one key fails', async () => {
    const seen = new Set<string>()
    const queue = place().create<Note>(fresh(), {
      partitions: 1,
      orderBy: (note) => note.session,
      retry: { first: 5, most: 5, attempts: 1_000_000 },
      handle: (batch) =>
        batch.map(({ body }): Outcome => {
          if (body.session === 'never') return { retry: true }
          seen.add(`${body.session}${body.n}`)
          return { ok: true }
        }),
    })
    await queue.addMany(notes('never', 20))
    await queue.addMany(notes('always', 50))
    await reaches(async () => seen.size === 50)
    assert.equal((await queue.stats()).depth > 0, true)
    await queue.close()
  })
}
