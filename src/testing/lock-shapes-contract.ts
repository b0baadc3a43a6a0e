import assert from 'node:assert/strict'
import type { Locks } from '../lock/locks.ts'
import type { TestApi } from './test-api.ts'
import { pause, reaches } from './waiting.ts'

/** The part of the lock contract about semaphores and read-write locks. */
export function lockShapesContract(
  { it }: TestApi,
  here: () => { readonly first: Locks; readonly second: Locks },
  fresh: () => string,
): void {
  it('lets no more holders into a semaphore than it has permits, and the rest in order [L15]', async () => {
    const name = fresh()
    const semaphore = here().first.semaphore(name, 3, { ttl: 200, renew: false })
    const three = await Promise.all([1, 2, 3].map(() => semaphore.acquire()))
    const fourth = here().second.semaphore(name, 3)
    assert.equal(await fourth.tryAcquire(), undefined)
    await three[0]!.release()
    await three[0]!.release()
    const taken = await fourth.tryAcquire()
    assert.ok(taken)
    assert.equal(await fourth.tryAcquire(), undefined, 'released twice, freed once')
    // The other two never come back: their permits do, when their leases end.
    const [a, b] = await Promise.all([fourth.acquire(), fourth.acquire()])
    assert.equal((await fourth.inspect()).holders.length, 3)
    await Promise.all([a, b, taken].map((lease) => lease.release()))
  })

  it('drains a line before a semaphore, never over its permits', async () => {
    const name = fresh()
    let inside = 0
    let most = 0
    let done = 0
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 ? here().first : here().second).semaphore(name, 4).run(async () => {
          most = Math.max(most, ++inside)
          await pause(2)
          inside--
          done++
        }),
      ),
    )
    assert.equal(done, 40)
    assert.equal(most, 4)
  })

  it('lets readers in together and a writer alone', async () => {
    const { read, write } = here().first.readWrite(fresh())
    const readers = await Promise.all([read.acquire(), read.acquire()])
    assert.equal(await write.tryAcquire(), undefined)
    await Promise.all(readers.map((lease) => lease.release()))
    const writer = await write.acquire()
    assert.equal(await read.tryAcquire(), undefined)
    assert.equal(await write.tryAcquire(), undefined)
    await writer.release()
  })

  it('does not let a stream of readers keep a writer out', async () => {
    const name = fresh()
    const first = here().first.readWrite(name)
    const second = here().second.readWrite(name)
    const order: string[] = []
    const early = await first.read.acquire()
    const writer = second.write.run(() => void order.push('writer'))
    await reaches(async () => (await first.read.inspect()).waiting === 1)
    assert.equal(await first.read.tryAcquire(), undefined, 'a writer waits: new readers stand behind it')
    const late = [first.read, second.read].map((read) =>
      read.run(async () => {
        order.push('reader')
        await pause(20)
      }),
    )
    await reaches(async () => (await first.read.inspect()).waiting === 3)
    await early.release()
    await Promise.all([writer, ...late])
    assert.deepEqual(order, ['writer', 'reader', 'reader'])
  })
}
