import assert from 'node:assert/strict'
import { InvalidKey, InvalidOption } from '../base/errors.ts'
import { SessionRevoked } from '../session/errors.ts'
import type { SessionsOptions } from '../session/options.ts'
import type { Sessions } from '../session/sessions.ts'
import type { TestApi } from './test-api.ts'
import { pause } from './waiting.ts'

type Data = { n?: number }
type Fresh = (options?: SessionsOptions) => readonly [Sessions<Data>, Sessions<Data>]

/** The part of the session contract that is about users: login, lists, revocation. */
export function sessionUsersContract({ describe, it }: TestApi, fresh: Fresh): void {
  describe('of users', () => {
    it('makes the old id dead at once at a login, so that a planted id gains nothing', async () => {
      const [one, two] = fresh()
      const planted = await one.create({ n: 1 })
      const victim = await two.load(planted.id)
      assert.ok(victim)
      assert.equal(await two.regenerate(victim, { user: 'anna', info: { device: 'laptop' } }), true)
      assert.equal(victim.user, 'anna')
      assert.equal(await one.load(planted.id), undefined)
      assert.deepEqual((await one.load(victim.id))?.data, { n: 1 })
      assert.equal((await one.listByUser('anna')).length, 1)
      await assert.rejects(() => two.regenerate(victim, { user: 'anna', grace: '5s' }), InvalidOption)
    })

    it('lists live sessions with device and times, oldest first, and ends one by its ref', async () => {
      const [one, two] = fresh()
      const phone = await one.create({}, { user: 'bo', info: { device: 'phone' } })
      await pause(5)
      const laptop = await two.create({}, { user: 'bo', info: { device: 'laptop' } })
      await one.create({}, { user: 'other' })
      const listed = await one.listByUser('bo')
      assert.deepEqual(
        listed.map(({ info }) => info.device),
        ['phone', 'laptop'],
      )
      for (const { ref, createdAt, lastSeenAt, expiresAt } of listed) {
        assert.ok(createdAt <= lastSeenAt && lastSeenAt < expiresAt)
        assert.ok(ref !== phone.id && ref !== laptop.id)
      }
      assert.equal(await two.revokeUser('bo', { only: listed[0]?.ref }), 1)
      assert.equal(await one.load(phone.id), undefined)
      assert.ok(await one.load(laptop.id))
      assert.equal((await one.listByUser('bo')).length, 1)
    })

    it('revokes all, or all but one, and says how many', async () => {
      const [one, two] = fresh()
      const made = await Promise.all([1, 2, 3].map((n) => one.create({ n }, { user: 'cy' })))
      assert.equal(await two.revokeUser('cy', { except: made[1] }), 2)
      assert.deepEqual(await Promise.all(made.map(async (each) => (await one.load(each.id))?.data.n)), [
        undefined,
        2,
        undefined,
      ])
      assert.equal(await two.revokeUser('cy'), 1)
      assert.equal(await two.revokeUser('cy'), 0)
      assert.equal(await two.revokeUser('nobody'), 0)
      assert.deepEqual(await one.listByUser('cy'), [])
    })

    it('leaves no session from before a revoke-all that races with logins and touches [L28]', async () => {
      for (let round = 0; round < 20; round++) {
        const [one, two] = fresh({ touchEvery: 0 })
        const before = await Promise.all([1, 2].map((n) => one.create({ n }, { user: 'dee' })))
        const held = await two.load(before[0]!.id)
        assert.ok(held)
        held.data.n = 99
        const logins: Promise<{ id: string }>[] = []
        const login = (view: Sessions<Data>) => logins.push(view.create({ n: 3 }, { user: 'dee' }))
        login(one)
        const racing = [
          two.load(before[0]!.id),
          one.load(before[1]!.id),
          two.revokeUser('dee'),
          two.update(held),
          one.load(before[0]!.id),
        ]
        login(two)
        login(one)
        await Promise.all([...racing, ...logins])
        for (const { id } of before) assert.equal(await one.load(id), undefined, `round ${round}`)
        const usable: string[] = []
        for (const each of logins) {
          const { id } = await each
          if (await two.load(id)) usable.push(id)
        }
        assert.equal((await one.listByUser('dee')).length, usable.length, 'what is listed is usable')
      }
    })

    it('refuses a login whose check began before a revoke-all, and takes one that began after [L28]', async () => {
      const [one, two] = fresh()
      const mark = await one.mark('eve')
      const planted = await one.create({})
      await one.create({}, { user: 'eve', mark })
      await two.revokeUser('eve')
      await assert.rejects(() => one.create({}, { user: 'eve', mark }), SessionRevoked)
      await assert.rejects(() => one.regenerate(planted, { user: 'eve', mark }), SessionRevoked)
      assert.deepEqual(await two.listByUser('eve'), [])
      await one.create({}, { user: 'eve', mark: await two.mark('eve') })
      assert.equal((await two.listByUser('eve')).length, 1)
      // Also where there was nothing to revoke: a mark without sessions.
      const first = await one.mark('fay')
      await two.revokeUser('fay')
      await assert.rejects(() => one.create({}, { user: 'fay', mark: first }), SessionRevoked)
    })

    it('ends the oldest session when one user has too many', async () => {
      const [one, two] = fresh({ maxPerUser: 2 })
      const made = []
      for (let n = 0; n < 4; n++) {
        made.push(await (n % 2 ? two : one).create({ n }, { user: 'gil' }))
        await pause(3)
      }
      const alive = await Promise.all(made.map(async ({ id }) => (await one.load(id))?.data.n))
      assert.deepEqual(alive, [undefined, undefined, 2, 3])
      assert.equal((await one.listByUser('gil')).length, 2)
    })

    it('gives a dead session no place: those that expired or logged out do not count as one of many', async () => {
      const [one] = fresh({ maxPerUser: 2, idle: 5_000, touchEvery: 1 })
      const first = await one.create({ n: 1 }, { user: 'hal' })
      await one.create({}, { user: 'hal', idle: 20 })
      const gone = await one.create({}, { user: 'hal', idle: 20 }).then((each) => each.id)
      await pause(40)
      assert.equal(await one.load(gone), undefined)
      const kept = await one.create({ n: 2 }, { user: 'hal' })
      assert.ok(await one.load(kept.id))
      assert.equal(await one.destroy(kept), true)
      assert.ok((await one.listByUser('hal')).length <= 1)
      assert.equal(first.user, 'hal')
    })

    it('keeps users apart whose names would join alike, and takes any well-formed name', async () => {
      const [one] = fresh()
      const users = ['a', 'a:b', 'a}b', '{a', 'người dùng', '*', 'x'.repeat(5_000)]
      for (const user of users) await one.create({}, { user })
      for (const user of users) assert.equal((await one.listByUser(user)).length, 1)
      for (const user of ['', 'a\nb', 'half \ud800']) {
        await assert.rejects(() => one.create({}, { user }), InvalidKey)
      }
    })

    it('lists and revokes sessions whose ids a framework made [L28]', async () => {
      const [one, two] = fresh()
      const ids = [1, 2, 3, 4].map((n) => `framework-made-session-id-${n}-${one.store.random.id()}`)
      for (const id of ids) await one.createAs(id, { n: 1 }, { user: 'jo' })
      assert.equal((await two.listByUser('jo')).length, 4)
      assert.equal(await two.destroy(ids[0]!), true)
      assert.equal(await one.update(ids[1]!, { n: 2 }), true)
      const moved = await two.load(ids[2])
      assert.ok(moved)
      assert.equal(await two.regenerate(moved), true)
      assert.equal((await one.load(moved.id))?.user, 'jo')
      assert.equal(await one.revokeUser('jo'), 3)
      for (const id of [...ids, moved.id]) assert.equal(await two.load(id), undefined)
      assert.deepEqual(await one.listByUser('jo'), [])
    })

    it('gives a login a new absolute life, and a mere regenerate none', async () => {
      const [one] = fresh({ absolute: '1h' })
      const session = await one.create({ n: 1 })
      const { endsAt } = session
      await pause(5)
      await one.regenerate(session)
      assert.equal(session.endsAt, endsAt)
      await one.regenerate(session, { user: 'ida', absolute: '2h' })
      assert.ok(session.endsAt >= endsAt + 3_600_000)
      assert.equal((await one.load(session.id))?.endsAt, session.endsAt)
    })
  })
}
