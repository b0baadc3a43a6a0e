import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { QueueFull, QueueUnavailable } from '../../src/queue/errors.ts'
import { type SpillEvent, spillEvents } from '../../src/queue/spill-events.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { CrashDisk } from './crash-disk.ts'
import { loadLog, parcel, textsOf } from './spill-tools.ts'

describe('the log of parcels', () => {
  it('lets many appends share one write and one fsync', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk)
    await log.append([parcel('first')])
    const { write, sync } = { ...disk.calls }
    await Promise.all(Array.from({ length: 500 }, (_, n) => log.append([parcel(`${n}`)])))
    expect(disk.calls.write - write).toBe(1)
    expect(disk.calls.sync - sync).toBe(1)
    expect((await textsOf(log)).slice(1)).toEqual(Array.from({ length: 500 }, (_, n) => `${n}`))
  })

  it("leaves the fsync to the system with 'os', and does it in time with a duration", async () => {
    const lazy = new CrashDisk()
    await (await loadLog(lazy, { fsync: 'os' })).append([parcel('x')])
    expect(lazy.calls.sync).toBe(0)

    const timed = new CrashDisk()
    const clock = new FakeClock()
    const log = await loadLog(timed, { fsync: 500, clock })
    await log.append([parcel('a')])
    await log.append([parcel('b')])
    expect(timed.calls.sync).toBe(0)
    await clock.advance(500)
    expect(timed.calls.sync).toBe(1)
    await clock.advance(5_000)
    expect(timed.calls.sync).toBe(1)
  })

  it('writes anew what a background fsync did not confirm', async () => {
    const disk = new CrashDisk()
    const clock = new FakeClock()
    const events = await heard(async () => {
      const log = await loadLog(disk, { fsync: 500, clock })
      await log.append([parcel('acknowledged before the fsync')])
      disk.fault = (call) => (call === 'sync' ? { code: 'EIO' } : undefined)
      await clock.advance(500)
      disk.fault = () => undefined
      await clock.advance(500)
      // What the first file lost at the power cut is in the second.
      const next = await loadLog(disk.afterStop('power', () => 0))
      expect(await textsOf(next)).toEqual(['acknowledged before the fsync'])
    })
    expect(events.map(({ kind, code }) => [kind, code])).toEqual([['unsynced', 'EIO']])
  })

  it('refuses more bytes than it may hold, and takes more once some are settled [S1-20]', async () => {
    const log = await loadLog(new CrashDisk(), { maxBytes: 1_000 })
    const [entry] = await log.append([parcel('x'.repeat(600))])
    await expect(log.append([parcel('x'.repeat(600))])).rejects.toThrow(QueueFull)
    // Those on their way count too.
    const both = await Promise.allSettled([
      log.append([parcel('y'.repeat(150))]),
      log.append([parcel('z'.repeat(150))]),
    ])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await log.settle([entry!])
    await log.append([parcel('x'.repeat(600))])
    // A dead letter was a parcel before: it is never refused.
    await log.bury([{ id: 'm', partition: 0, text: 'x'.repeat(900), diedAt: 1 }])
  })

  it('removes files whose parcels are settled, and none that is needed', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk, { segmentBytes: 1_000, dedupeMs: 0 })
    for (let n = 0; n < 60; n++) await log.append([parcel(`${n}`.padStart(100))])
    const most = disk.images.size
    expect(most).toBeGreaterThan(7)
    const entries = [...log.parcels.values()]
    await log.settle(entries.slice(10))
    expect(disk.images.size).toBeGreaterThanOrEqual(most - 1)
    await log.settle(entries.slice(0, 10))
    await log.close()
    expect(disk.images.size).toBeLessThanOrEqual(2)
    expect((await loadLog(disk)).found).toMatchObject({ parcels: 0, damage: [], missingSegments: 0 })
  })

  it('copies forward what keeps an old file alive, with its place in the order and all that is known of it', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk, { segmentBytes: 1_000, dedupeMs: 0 })
    const [old] = await log.append([parcel('the one that stays', 3, 7)])
    await log.taken([old!])
    await log.note(old!, 'words')
    await log.bury([{ id: 'dead', partition: 2, text: 'a letter', diedAt: 5 }])
    let peak = 0
    for (let n = 0; n < 400; n++) {
      const entries = await log.append([parcel(`${n}`.padStart(100))])
      await log.settle(entries)
      peak = Math.max(peak, log.diskBytes)
    }
    expect(peak).toBeLessThan(8_000)
    await log.append([parcel('a new one')])
    await log.close()
    const next = await loadLog(disk)
    expect(await textsOf(next)).toEqual(['the one that stays', 'a new one'])
    const [entry] = next.parcels.values()
    expect(entry).toMatchObject({ seq: old!.seq, partition: 3, count: 7, deliveries: 1, note: 'words' })
    expect([...next.letters.keys()]).toEqual(['dead'])
  })

  it('keeps a copy that is being made from reviving what is settled meanwhile', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk, { segmentBytes: 500, dedupeMs: 0, memoryBytes: 0 })
    for (let round = 0; round < 30; round++) {
      const [kept] = await log.append([parcel(`kept ${round}`)])
      const filler = await log.append(Array.from({ length: 30 }, () => parcel('filler'.repeat(10))))
      // The copy starts while this settles; both go on at the same time.
      await Promise.all([
        log.settle(filler),
        new Promise((r) => setImmediate(r)).then(() => log.settle([kept!])),
      ])
    }
    await log.close()
    expect((await loadLog(disk)).found.parcels).toBe(0)
  })

  it('remembers handled ids for the window, over restarts, and forgets them after it', async () => {
    const disk = new CrashDisk()
    const clock = new FakeClock()
    const log = await loadLog(disk, { clock, dedupeMs: 10_000, segmentBytes: 300 })
    const entries = await log.append([parcel('x')])
    await log.settle(entries, ['order-1'])
    for (let n = 0; n < 20; n++) await log.settle(await log.append([parcel('x'.repeat(100))]))
    expect(log.seen('order-1')).toBe(true)
    await log.close()
    const next = await loadLog(disk, { clock, dedupeMs: 10_000, segmentBytes: 300 })
    expect([next.seen('order-1'), next.seen('order-2')]).toEqual([true, false])
    const files = disk.images.size
    await clock.advance(10_000)
    expect(next.seen('order-1')).toBe(false)
    await next.settle(await next.append([parcel('y')]))
    await next.close()
    expect(disk.images.size).toBeLessThan(files)
  })

  it('keeps marks that the disk refused and writes them when it can', async () => {
    const disk = new CrashDisk()
    const clock = new FakeClock()
    const log = await loadLog(disk, { clock })
    const entries = await log.append([parcel('a'), parcel('b')])
    disk.fault = () => ({ code: 'ENOSPC' })
    const settling = log.settle([entries[0]!])
    await clock.advance(100)
    await expect(log.append([parcel('c')])).rejects.toThrow(QueueUnavailable)
    disk.fault = () => undefined
    await clock.advance(1_000)
    await settling
    expect(await textsOf(await loadLog(disk))).toEqual(['b'])
  })

  it('counts and tells what had rotted when it is read, and goes on without it', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk, { memoryBytes: 0 })
    await log.append([parcel('first'), parcel('second'), parcel('third')])
    const [image] = disk.images.values()
    image!.durable[image!.durable.indexOf('second')]! ^= 1
    const events = await heard(async () => {
      expect(await textsOf(log)).toEqual(['first', undefined, 'third'])
    })
    expect(events).toMatchObject([{ queue: 'test', kind: 'damage' }])
    expect(log.damagedEntries).toBe(1)
    expect(await textsOf(log)).toEqual(['first', 'third'])
  })

  it('tells of torn ends and damage when it is opened', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk)
    await log.append([parcel('first'), parcel('second'), parcel('third')])
    const [image] = disk.images.values()
    image!.durable[image!.durable.indexOf('first')]! ^= 1
    image!.durable = image!.durable.subarray(0, -3)
    const events = await heard(() => loadLog(disk))
    expect(events.map(({ kind }) => kind).sort()).toEqual(['damage', 'torn'])
  })
})

async function heard(work: () => Promise<unknown>): Promise<SpillEvent[]> {
  const events: SpillEvent[] = []
  const listen = (event: unknown): void => void events.push(event as SpillEvent)
  subscribe(spillEvents.name, listen)
  try {
    await work()
  } finally {
    unsubscribe(spillEvents.name, listen)
  }
  return events
}
