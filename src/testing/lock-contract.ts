import assert from 'node:assert/strict'
import { systemClock } from '../base/clock.ts'
import { LockLost, LockTimeout } from '../lock/errors.ts'
import type { Lease } from '../lock/lease.ts'
import type { Locks } from '../lock/locks.ts'
import { lockShapesContract } from './lock-shapes-contract.ts'
import type { TestApi } from './test-api.ts'
import { blockLoop, pause, reaches } from './waiting.ts'

/** Two views of the same locks, as two processes have them; one and the same where there is only one. */
export interface LockBackend {
  readonly first: Locks
  readonly second: Locks
  close(): Promise<void>
}

/** What every place for locks must do. Each `it` names the requirement that it proves. */
export function lockContract(api: TestApi, backend: string, open: () => Promise<LockBackend>): void {
  const { describe, it, beforeAll, afterAll } = api

  describe(`locks in ${backend}`, () => {
    let place: LockBackend
    let names = 0
    const fresh = () => `job:${++names}`
    beforeAll(async () => {
      place = await open()
    })
    afterAll(() => place.close())

    it('runs a routine alone, hands over what it returns and gives the lock back [S0-24]', async () => {
      const lock = place.first.lock(fresh())
      assert.equal(await lock.run(({ fencingToken }) => fencingToken > 0), true)
      assert.deepEqual(await lock.inspect(), { waiting: 0, holders: [] })
    })

    it('refuses 49 of 50 parallel executions that do not wait, and runs one [S0-23]', async () => {
      const name = fresh()
      let runs = 0
      const attempts = Array.from({ length: 50 }, (_, index) =>
        (index % 2 ? place.first : place.second).lock(name, { wait: 0 }).run(async () => {
          runs++
          await pause(40)
        }),
      )
      const outcomes = await Promise.allSettled(attempts)
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      assert.equal(runs, 1)
      assert.equal(refused.length, 49)
      for (const { reason } of refused) {
        assert.ok(reason instanceof LockTimeout)
        assert.equal(reason.code, 'LOCK_TIMEOUT')
        assert.ok(reason.retryAfter > 0 && reason.retryAfter <= 30_000)
      }
    })

    it('answers undefined to tryAcquire while others hold it, and a lease afterwards', async () => {
      const name = fresh()
      const held = await place.first.lock(name).acquire()
      assert.equal(await place.second.lock(name).tryAcquire(), undefined)
      assert.equal(await held.release(), true)
      const next = await place.second.lock(name).tryAcquire()
      assert.ok(next)
      await next.release()
    })

    it('gives the lock back at the end of the scope of `await using`', async () => {
      const lock = place.first.lock(fresh())
      {
        await using lease = await lock.acquire()
        lease.assertHeld()
        assert.equal((await lock.inspect()).holders.length, 1)
      }
      assert.equal((await lock.inspect()).holders.length, 0)
    })

    it('serves 50 waiters of two processes in the order of asking, never two at once [L22]', async () => {
      const name = fresh()
      const held = await place.first.lock(name).acquire()
      const order: number[] = []
      let inside = 0
      const all: Promise<void>[] = []
      for (let index = 0; index < 50; index++) {
        const lock = (index % 2 ? place.first : place.second).lock(name)
        all.push(
          lock.run(async () => {
            assert.equal(++inside, 1)
            order.push(index)
            await Promise.resolve()
            inside--
          }),
        )
        await reaches(async () => (await lock.inspect()).waiting === index + 1)
      }
      await held.release()
      await Promise.all(all)
      assert.deepEqual(
        order,
        Array.from({ length: 50 }, (_, index) => index),
      )
    })

    it('gives tokens that rise strictly over 1000 acquires [L21]', async () => {
      const name = fresh()
      let last = 0
      for (let round = 0; round < 1_000; round++) {
        const token = await (round % 2 ? place.first : place.second)
          .lock(name)
          .run((lease) => lease.fencingToken)
        assert.ok(token > last && Number.isSafeInteger(token), `${token} after ${last}`)
        last = token
      }
    })

    it('keeps a held lock far beyond its ttl by renewing it', async () => {
      const name = fresh()
      const lease = await place.first.lock(name, { ttl: 600 }).acquire()
      await pause(1_400)
      lease.assertHeld()
      assert.equal(await place.second.lock(name).tryAcquire(), undefined)
      assert.equal(await lease.release(), true)
    })

    it('ends an unrenewed lease at its ttl: signal, assertHeld and others agree [L16]', async () => {
      const name = fresh()
      const started = systemClock.mono()
      const lease = await place.first.lock(name, { ttl: 150, renew: false }).acquire()
      await aborted(lease)
      assert.ok(systemClock.mono() - started <= 400)
      assert.ok(lease.signal.reason instanceof LockLost)
      assert.equal(lease.signal.reason.reason, 'expired')
      assert.equal(lease.remaining, 0)
      assert.throws(() => lease.assertHeld(), LockLost)
      const next = await place.second.lock(name).acquire({ wait: 500 })
      assert.ok(next.fencingToken > lease.fencingToken)
      assert.equal(await lease.release(), false)
      next.assertHeld()
      assert.equal(await next.release(), true)
    })

    it('throws from assertHeld after the event loop stood still for two ttls [L23]', async () => {
      const name = fresh()
      const lease = await place.first.lock(name, { ttl: 100 }).acquire()
      blockLoop(200)
      assert.throws(() => lease.assertHeld(), LockLost)
      assert.equal(lease.signal.aborted, true)
      await lease.release()
    })

    it('never throws the result of a routine away when the lock was lost meanwhile [L19]', async () => {
      const lock = place.first.lock(fresh(), { ttl: 100, renew: false })
      const late = () => pause(160).then(() => 'x')
      await assert.rejects(lock.run(late), (error) => {
        assert.ok(error instanceof LockLost)
        assert.equal(error.code, 'LOCK_LOST')
        assert.deepEqual(error.outcome, { value: 'x' })
        return true
      })
      assert.equal(await lock.run(late, { onLost: 'return' }), 'x')
    })

    it("lets the routine's own error win, lock lost or not", async () => {
      const lock = place.first.lock(fresh(), { ttl: 100, renew: false })
      const boom = new Error('boom')
      const fail = async (ms: number) => {
        await pause(ms)
        throw boom
      }
      await assert.rejects(
        lock.run(() => fail(0)),
        boom,
      )
      await assert.rejects(
        lock.run(() => fail(160)),
        boom,
      )
      assert.equal((await lock.inspect()).holders.length, 0)
    })

    it('releases once however often it is asked, and then counts as given back [L20]', async () => {
      const lock = place.first.lock(fresh())
      const lease = await lock.acquire()
      assert.deepEqual(await Promise.all([lease.release(), lease.release()]), [true, true])
      assert.throws(() => lease.assertHeld(), { reason: 'released' })
      assert.equal(lease.signal.aborted, false)
    })

    it('lets a waiter leave the line by timeout or signal without hurting who waits behind [L22]', async () => {
      const name = fresh()
      const lock = place.second.lock(name)
      const held = await place.first.lock(name).acquire()
      const stop = new AbortController()
      const impatient = lock.acquire({ wait: 30 })
      const cancelled = lock.acquire({ signal: stop.signal })
      cancelled.catch(() => {})
      await assert.rejects(impatient, LockTimeout)
      const patient = lock.acquire()
      await reaches(async () => (await lock.inspect()).waiting === 2)
      stop.abort(new Error('changed my mind'))
      await assert.rejects(cancelled, /changed my mind/)
      await reaches(async () => (await lock.inspect()).waiting === 1)
      await held.release()
      await (await patient).release()
      await reaches(async () => (await lock.inspect()).holders.length === 0)
      assert.equal((await lock.inspect()).waiting, 0)
    })

    it('does not start to wait when the signal has fired already', async () => {
      const lock = place.first.lock(fresh())
      await assert.rejects(lock.acquire({ signal: AbortSignal.abort(new Error('too late')) }), /too late/)
      assert.equal((await lock.inspect()).holders.length, 0)
    })

    it('takes over from a holder that is gone when its lease ends, in order', async () => {
      const name = fresh()
      const order: number[] = []
      await place.first.lock(name, { ttl: 200, renew: false }).acquire()
      await Promise.all(
        [1, 2, 3].map(async (index) => {
          await pause(index * 10)
          await place.second.lock(name).run(() => void order.push(index), { wait: 2_000 })
        }),
      )
      assert.deepEqual(order, [1, 2, 3])
    })

    lockShapesContract(api, () => place, fresh)

    it('keeps names apart that look alike to Redis, and the kinds of locks too [S0-24]', async () => {
      const name = fresh()
      const alike = [
        `${name}:h`,
        `${name}}`,
        `{${name}`,
        `${name}*`,
        `${name}%7D`,
        `${name}|`,
        'ă'.repeat(400),
      ]
      const leases = await Promise.all(
        [name, ...alike].map((other) => place.first.lock(other, { wait: 0 }).acquire()),
      )
      leases.push(await place.first.semaphore(name, 1, { wait: 0 }).acquire())
      leases.push(await place.first.readWrite(name, { wait: 0 }).write.acquire())
      assert.equal(new Set(leases).size, alike.length + 3)
      await Promise.all(leases.map((lease) => lease.release()))
    })

    it('refuses names, times, permits and options that cannot work, before asking anybody', async () => {
      const locks = place.first
      for (const name of ['', 'a\nb', 'a\u0000', '\ud800']) {
        assert.throws(() => locks.lock(name), { code: 'INVALID_KEY' })
      }
      for (const ttl of [0, 99, -1, Number.NaN, 86_400_001] as const) {
        assert.throws(() => locks.lock('a', { ttl }), { code: 'INVALID_OPTION' })
      }
      for (const permits of [0, -1, 1.5, Number.NaN, 1e9]) {
        assert.throws(() => locks.semaphore('a', permits), { code: 'INVALID_OPTION' })
      }
      const misspelt: object = { tll: '5s' }
      assert.throws(() => locks.lock('a', misspelt), /did you mean 'ttl'/)
      await assert.rejects(locks.lock('a').acquire({ wait: -1 }), { code: 'INVALID_OPTION' })
    })
  })
}

function aborted(lease: Lease): Promise<void> {
  return new Promise((resolve) => {
    if (lease.signal.aborted) resolve()
    else lease.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
