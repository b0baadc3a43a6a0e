import assert from 'node:assert/strict'
import { HoldfastError, InvalidKey, InvalidOption, InvalidValue } from '../base/errors.ts'
import { SessionConflict, SessionRevoked } from '../session/errors.ts'
import type { SessionsOptions } from '../session/options.ts'
import type { Sessions } from '../session/sessions.ts'
import { sessionUsersContract } from './session-users-contract.ts'
import type { TestApi } from './test-api.ts'
import { pause } from './waiting.ts'

/** Makes two views of the same sessions, as two processes have them. */
export interface SessionBackend {
  open<T extends object>(options: SessionsOptions): readonly [Sessions<T>, Sessions<T>]
  close(): Promise<void>
}

type Cart = { a?: number | undefined; b?: number; list?: number[]; [more: string]: unknown }

/** What every place for sessions must do. Each `it` names the requirement that it proves. */
export function sessionContract(api: TestApi, backend: string, open: () => Promise<SessionBackend>): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`sessions in ${backend}`, () => {
    let place: SessionBackend
    let names = 0
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())
    const fresh = <T extends object = Cart>(options: SessionsOptions = {}) =>
      place.open<T>({ name: `s${++names}`, ...options })

    it('creates, loads, updates and destroys, seen by the other process at once [S0-20]', async () => {
      const [one, two] = fresh()
      const created = await one.create({ a: 1, list: [1, 2] })
      const loaded = await two.load(created.id)
      assert.deepEqual(loaded?.data, { a: 1, list: [1, 2] })
      loaded.data.list?.push(3)
      assert.equal(await two.update(loaded, { a: undefined }), true)
      assert.deepEqual((await one.load(created.id))?.data, { list: [1, 2, 3] })
      assert.equal(await one.destroy(created.id), true)
      assert.equal(await two.load(created.id), undefined)
      assert.equal(await two.destroy(created.id), false)
    })

    it('keeps null, zero, false and the empty text as values, and removes undefined [S0-22]', async () => {
      const [one, two] = fresh()
      const session = await one.create({ none: null, zero: 0, no: false, empty: '', gone: undefined })
      const expected = { none: null, zero: 0, no: false, empty: '' }
      assert.deepEqual((await two.load(session.id))?.data, expected)
      assert.equal(await two.update(session.id, { none: undefined, zero: undefined, text: 'x' }), true)
      assert.deepEqual((await one.load(session.id))?.data, { no: false, empty: '', text: 'x' })
    })

    it('keeps two parallel changes of different fields [L27] [S0-21]', async () => {
      const [one, two] = fresh()
      const { id } = await one.create({ a: 0, b: 0 })
      const [slow, fast] = [await one.load(id), await two.load(id)]
      assert.ok(slow && fast)
      slow.data.a = 1
      fast.data.b = 1
      assert.equal(await two.update(fast), true)
      assert.equal(await one.update(slow), true)
      assert.deepEqual((await one.load(id))?.data, { a: 1, b: 1 })
    })

    it('does not bring a destroyed session back by a late update, patch or regenerate [L27]', async () => {
      const [one, two] = fresh()
      const { id } = await one.create({ a: 0 })
      const late = await two.load(id)
      assert.ok(late)
      await one.destroy(id)
      late.data.a = 1
      assert.equal(await two.update(late), false)
      assert.equal(await two.update(id, { a: 2 }), false)
      assert.equal(await two.regenerate(late), false)
      assert.equal(await one.load(id), undefined)
      assert.equal(await one.load(late.id), undefined)
    })

    it('writes nothing when nothing changed, whatever was read or rewritten alike [L27]', async () => {
      const [one, two] = fresh()
      const { id } = await one.create({ a: 1, list: [1] })
      const session = await two.load(id)
      assert.ok(session)
      session.data = { list: [1], a: 1 }
      assert.equal(await two.update(session), true)
      assert.equal(two.counters().saved, 0)
      assert.equal(two.counters().unchanged, 1)
    })

    it('settles a field that both changed as told: last write, reject, or merge', async () => {
      const both = async (options: SessionsOptions) => {
        const [one, two] = fresh(options)
        const { id } = await one.create({ a: 1, b: 1 })
        const [mine, theirs] = [await one.load(id), await two.load(id)]
        assert.ok(mine && theirs)
        theirs.data.a = 10
        mine.data.a = 100
        mine.data.b = 2
        await two.update(theirs)
        const outcome = await one.update(mine).catch((error: unknown) => error)
        return { outcome, stored: (await two.load(id))?.data }
      }
      assert.deepEqual(await both({}), { outcome: true, stored: { a: 100, b: 2 } })
      const rejected = await both({ conflict: 'reject' })
      assert.ok(rejected.outcome instanceof SessionConflict)
      assert.deepEqual(rejected.outcome.fields, ['a'])
      assert.deepEqual(rejected.stored, { a: 10, b: 1 })
      const merged = await both({
        conflict: (_, { mine, theirs, base }) => Number(mine) + Number(theirs) - Number(base),
      })
      assert.deepEqual(merged, { outcome: true, stored: { a: 109, b: 2 } })
    })

    it('ends when it was idle for too long, lives on while it is used, and ends absolutely [S1-3]', async () => {
      const [one, two] = fresh({ idle: 600, absolute: 2_000, touchEvery: 1 })
      const idle = await one.create({ a: 1 })
      const used = await one.create({ a: 1 })
      for (let i = 1; i <= 14; i++) {
        await pause(50)
        assert.ok(await two.load(used.id), `gone after ${i * 50} ms of use`)
      }
      assert.equal(await one.load(idle.id), undefined)
      assert.ok(used.endsAt > used.createdAt)
      const start = performanceNow(one)
      while (await two.load(used.id)) {
        await pause(30)
        assert.ok(performanceNow(one) - start < 5_000, 'ends absolutely although it is used')
      }
    })

    it('looks without extending when told so', async () => {
      const [one] = fresh({ idle: 120, touchEvery: 1 })
      const { id } = await one.create({ a: 1 })
      const start = performanceNow(one)
      while (await one.load(id, { touch: false })) {
        await pause(10)
        assert.ok(performanceNow(one) - start < 1_000, 'looking kept it alive')
      }
    })

    it('lets all of three parallel regenerates end on one new id, and the old one lead there [L28]', async () => {
      const [one, two] = fresh({ grace: 1_000 })
      const { id } = await one.create({ a: 1 }, { user: 'u1' })
      const three = await Promise.all([one.load(id), two.load(id), one.load(id)])
      const done = await Promise.all(three.map((each, i) => each && (i % 2 ? two : one).regenerate(each)))
      assert.deepEqual(done, [true, true, true])
      const ids = new Set(three.map((each) => each?.id))
      assert.equal(ids.size, 1)
      assert.equal(ids.has(id), false)
      const parallel = await two.load(id)
      assert.equal(parallel?.id, three[0]?.id)
      assert.ok(parallel)
      parallel.data.b = 2
      assert.equal(await two.update(parallel), true)
      assert.deepEqual((await one.load(three[0]?.id))?.data, { a: 1, b: 2 })
      assert.equal((await one.listByUser('u1')).length, 1)
      await pause(1_010)
      assert.equal(await one.load(id), undefined)
      assert.ok(await one.load(three[0]?.id))
    })

    it('carries a change over that was made under the old id while it was replaced', async () => {
      const [one, two] = fresh()
      const { id } = await one.create({ a: 1 })
      const [slow, other] = [await one.load(id), await two.load(id)]
      assert.ok(slow && other)
      await two.regenerate(other)
      slow.data.b = 5
      assert.equal(await one.update(slow), true)
      assert.equal(slow.id, other.id)
      assert.deepEqual((await two.load(other.id))?.data, { a: 1, b: 5 })
    })

    it('ends the new session when the old id logs out within the grace', async () => {
      const [one, two] = fresh()
      const session = await one.create({ a: 1 })
      const old = session.id
      await one.regenerate(session)
      assert.equal(await two.destroy(old), true)
      assert.equal(await one.load(session.id), undefined)
      assert.equal(await one.load(old), undefined)
    })

    it('refuses what is no session data, too large, or has too many fields', async () => {
      const [one] = fresh({ maxBytes: 1_000, maxFields: 3 })
      const session = await one.create({ a: 1 })
      const refusals: [string, () => Promise<unknown>][] = [
        ['an array', () => one.create([] as unknown as Cart)], // as from untyped code
        ['large', () => one.create({ text: 'x'.repeat(1_000) })],
        ['wide', () => one.create({ a: 1, b: 2, c: 3, d: 4 })],
        ['a function', () => one.create({ f: () => 1 })],
        ['a cycle', () => one.create(cyclic())],
        ['a large patch', () => one.update(session.id, { text: 'x'.repeat(1_000) })],
        ['a wide patch', () => one.update(session.id, { b: 1, c: 1, d: 1 })],
        ['a field that poisons', () => one.create(JSON.parse('{"__proto__":{"x":1}}'))],
      ]
      for (const [what, attempt] of refusals) {
        await assert.rejects(attempt, InvalidValue, what)
      }
      await assert.rejects(() => one.create({ 'a\u0000b': 1 }), InvalidKey)
      assert.deepEqual((await one.load(session.id))?.data, { a: 1 })
      assert.equal(await one.update(session.id, { b: 1, c: 1 }), true)
    })

    it('bounds the sum of what parallel requests add', async () => {
      const [one, two] = fresh({ maxBytes: 1_000 })
      const { id } = await one.create({})
      const outcomes = await Promise.allSettled(
        ['p', 'q', 'r', 's'].map((name, i) => (i % 2 ? two : one).update(id, { [name]: 'x'.repeat(400) })),
      )
      assert.equal(outcomes.filter((each) => each.status === 'fulfilled').length, 2)
    })

    it('takes no id that cannot be one, and makes ids that differ', async () => {
      const [one] = fresh()
      for (const id of [
        undefined,
        '',
        'short',
        'x'.repeat(300),
        'with space in the id!',
        'línea-nó-ascii-xx',
      ]) {
        assert.equal(await one.load(id), undefined)
        assert.equal(await one.destroy(id ?? ''), false)
        assert.equal(await one.update(id ?? '', { a: 1 }), false)
      }
      const made = await Promise.all(Array.from({ length: 200 }, () => one.create({})))
      const ids = new Set(made.map((each) => each.id))
      assert.equal(ids.size, 200)
      for (const id of ids) assert.match(id, /^[\w-]{34}$/)
    })

    it('works under the id of a framework, and refuses an id that is taken', async () => {
      const [one, two] = fresh()
      const id = 'an-id-that-a-framework-made-0001'
      await one.createAs(id, { a: 1 })
      assert.deepEqual((await two.load(id))?.data, { a: 1 })
      await assert.rejects(() => two.createAs(id, { a: 2 }), InvalidValue)
      await assert.rejects(() => two.createAs('short', {}), InvalidValue)
    })

    it('shows neither id nor data in JSON', async () => {
      const [one] = fresh()
      const session = await one.create({ text: 'secret-value' }, { user: 'u' })
      const shown = JSON.stringify(session)
      assert.ok(!shown.includes(session.id) && !shown.includes('secret-value'))
    })

    it('hides a session that does not match the schema, upgrades it by migrate, refuses to write it', async () => {
      const schema = countSchema()
      const [raw] = fresh({ name: 'schema' })
      const { id } = await raw.create({ count: 'seven' })
      const [strict] = fresh({ name: 'schema', schema })
      assert.equal(await strict.load(id), undefined)
      assert.equal(strict.counters().corrupt, 1)
      const [upgrading] = fresh({ name: 'schema', schema, migrate: () => ({ count: 7 }) })
      const session = await upgrading.load(id)
      assert.deepEqual(session?.data, { count: 7 })
      assert.ok(session)
      assert.equal(await upgrading.update(session), true)
      assert.deepEqual((await strict.load(id))?.data, { count: 7 })
      await assert.rejects(() => strict.create({ count: 'x' }), InvalidValue)
      await assert.rejects(() => strict.update(id, { count: 'x' }), InvalidValue)
      assert.deepEqual((await raw.load(id))?.data, { count: 7 })
    })

    it('reads with every listed key and writes with the current one, and no other key reads [S0-19]', async () => {
      const k1 = Buffer.alloc(32, 1).toString('base64')
      const k2 = Buffer.alloc(32, 2).toString('base64')
      const name = 'sealed'
      const [old] = fresh({ name, encryption: { keys: { k1 } } })
      const [rotated] = fresh({ name, encryption: { keys: { k1, k2 } } })
      const [newest] = fresh({ name, encryption: { keys: { k2 } } })
      const session = await old.create({ a: 1, b: 1 }, { user: 'u', info: { device: 'phone' } })
      assert.equal(await newest.load(session.id), undefined)
      assert.equal(newest.counters().corrupt, 1)
      const seen = await rotated.load(session.id)
      assert.deepEqual(seen?.data, { a: 1, b: 1 })
      assert.equal(seen?.user, 'u')
      assert.ok(seen)
      const before = seen.id
      assert.equal(await rotated.regenerate(seen), true)
      assert.deepEqual((await newest.load(seen.id))?.data, { a: 1, b: 1 })
      assert.equal((await newest.load(before))?.id, seen.id)
      assert.deepEqual((await newest.listByUser('u'))[0]?.info, { device: 'phone' })
    })

    it('keeps encrypted changes of others through a regenerate', async () => {
      const encryption = { keys: { k: Buffer.alloc(32, 3).toString('base64') } }
      const [one, two] = fresh({ encryption })
      const { id } = await one.create({ a: 1 })
      const mine = await one.load(id)
      assert.ok(mine)
      assert.equal(await two.update(id, { b: 2 }), true)
      assert.equal(await one.regenerate(mine), true)
      assert.deepEqual((await two.load(mine.id))?.data, { a: 1, b: 2 })
      assert.deepEqual(mine.data, { a: 1, b: 2 })
    })

    it('refuses options that cannot be meant', async () => {
      const bad: SessionsOptions[] = [
        { idle: 0 },
        { idle: -1 },
        { idle: Number.NaN },
        { absolute: 0.2 },
        { maxBytes: 0 },
        { maxPerUser: 1.5 },
        { idle: '10s', touchEvery: '10s' },
        { deadline: 0 },
      ]
      for (const options of bad) assert.throws(() => fresh(options), InvalidOption, JSON.stringify(options))
      assert.throws(() => fresh({ name: 'a\nb' }), HoldfastError)
      assert.ok(new SessionRevoked() instanceof HoldfastError)
    })

    sessionUsersContract(api, fresh)
  })
}

const performanceNow = (sessions: Sessions<Cart>): number => sessions.store.clock.mono()

function cyclic(): Cart {
  const data: Cart = {}
  data.self = data
  return data
}

function countSchema(): NonNullable<SessionsOptions['schema']> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        typeof value === 'object' && value !== null && 'count' in value && typeof value.count === 'number'
          ? { value: { count: value.count } }
          : { issues: [{ message: 'count is no number', path: ['count'] }] },
    },
  }
}
