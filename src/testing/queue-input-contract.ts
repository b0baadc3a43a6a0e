import assert from 'node:assert/strict'
import type { StandardSchema } from '../base/schema.ts'
import type { Note, QueueBackendUnderTest } from './queue-backend.ts'
import type { TestApi } from './test-api.ts'

/** What every place for queues must refuse, before anything is stored. */
export function queueInputContract(
  api: TestApi,
  place: () => QueueBackendUnderTest,
  fresh: () => string,
): void {
  const { it } = api

  it('refuses a payload that does not match the schema, and names the field', async () => {
    const queue = place().create<Note>(fresh(), { schema: noteSchema(false) })
    const bad = { session: 'a', n: 'one' } as unknown as Note // what comes off a socket has no type
    await assert.rejects(queue.add(bad), { code: 'INVALID_MESSAGE', field: 'n' })
    await assert.rejects(queue.addMany([{ session: 'a', n: 1 }, bad]), {
      code: 'INVALID_MESSAGE',
      field: 'n',
    })
    assert.equal((await queue.stats()).depth, 0)
    const slow = place().create<Note>(fresh(), { schema: noteSchema(true) })
    await assert.rejects(slow.add(bad), { code: 'INVALID_MESSAGE', field: 'n' })
  })

  it('stores what the schema returns', async () => {
    const seen: Note[] = []
    const queue = place().create<Note>(fresh(), {
      schema: noteSchema(true),
      handle: (batch) => {
        seen.push(...batch.map(({ body }) => body))
      },
    })
    await queue.add({ session: '  a ', n: 1 })
    await queue.drain()
    assert.deepEqual(seen, [{ session: 'a', n: 1 }])
  })

  it('refuses what JSON would change or choke on, and names the field', async () => {
    const queue = place().create<unknown>(fresh(), {})
    const loop: { self?: unknown } = {}
    loop.self = loop
    const cases: [unknown, string][] = [
      [{ a: { b: [1, 2n] } }, 'a.b.1'],
      [{ when: Number.NaN }, 'when'],
      [{ list: new Map() }, 'list'],
      [{ call: () => 1 }, 'call'],
      [loop, 'self'],
      [Symbol('x'), ''],
    ]
    for (const [body, field] of cases)
      await assert.rejects(queue.add(body), { code: 'INVALID_MESSAGE', field })
    assert.equal((await queue.stats()).depth, 0)
  })

  it('gives back null, false, zero, the empty string and undefined as they are', async () => {
    const seen: unknown[] = []
    const queue = place().create<unknown>(fresh(), {
      orderBy: () => 'one',
      handle: (batch) => {
        seen.push(...batch.map(({ body }) => body))
      },
    })
    const bodies = [null, false, 0, '', undefined, [], 'ă\u2028"\\', { a: null }]
    await queue.addMany(bodies)
    await queue.drain()
    assert.deepEqual(seen, bodies)
  })

  it('refuses a message that is too large', async () => {
    const queue = place().create<string>(fresh(), { maxBytes: 200 })
    await queue.add('x'.repeat(100))
    await assert.rejects(queue.add('x'.repeat(200)), { code: 'INVALID_MESSAGE' })
    await assert.rejects(queue.add('ă'.repeat(90)), { code: 'INVALID_MESSAGE' })
    assert.equal((await queue.stats()).depth, 1)
  })

  it('refuses ids and keys that are none', async () => {
    const queue = place().create<Note>(fresh(), {
      orderBy: (note) => (note.n === 1 ? '' : note.n === 2 ? '\ud800' : note.session),
    })
    await assert.rejects(queue.add({ session: 'a', n: 1 }), { code: 'INVALID_KEY' })
    await assert.rejects(queue.add({ session: 'a', n: 2 }), { code: 'INVALID_KEY' })
    await assert.rejects(queue.add({ session: 'a', n: 3 }, { id: '' }), { code: 'INVALID_KEY' })
    await assert.rejects(queue.add({ session: 'a', n: 3 }, { id: 'x'.repeat(513) }), { code: 'INVALID_KEY' })
    await queue.add({ session: 'a:b{c}*', n: 3 }, { id: '12345:67' })
    assert.equal((await queue.stats()).depth, 1)
  })

  it('refuses options that nobody reads or that contradict each other', async () => {
    const make = (options: object) => () => place().create(fresh(), options)
    assert.throws(make({ orderby: () => 'x' }), /did you mean 'orderBy'/)
    assert.throws(make({ partitions: 0 }), { code: 'INVALID_OPTION' })
    assert.throws(make({ whenDown: 'spill' }), { code: 'INVALID_OPTION' })
    assert.throws(make({ durability: 'forever' }), { code: 'INVALID_OPTION' })
    assert.throws(make({ durability: 'outbox' }), { code: 'INVALID_OPTION' })
    assert.throws(make({ handle: 'me' }), { code: 'INVALID_OPTION' })
    assert.throws(make({ batch: { size: 1.5 } }), { code: 'INVALID_OPTION' })
  })
}

/** A schema by the standard's own interface, that trims the session. */
function noteSchema(isSlow: boolean): StandardSchema<Note> {
  const validate = (value: unknown) => {
    const { session, n } = value as Record<string, unknown>
    if (typeof session !== 'string') return { issues: [{ message: 'no string', path: ['session'] }] }
    if (typeof n !== 'number') return { issues: [{ message: 'no number', path: [{ key: 'n' }] }] }
    return { value: { session: session.trim(), n } }
  }
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: isSlow ? async (value: unknown) => validate(value) : validate,
    },
  }
}
