import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createQueue } from '../../src/queue/create.ts'
import { EmbeddedBackend, type EmbeddedOptions } from '../../src/queue/embedded-backend.ts'
import { QueueFull, QueueMismatch, QueueUnavailable } from '../../src/queue/errors.ts'
import type { SpillOptions } from '../../src/queue/options.ts'
import { openParcelLog } from '../../src/queue/parcel-log.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { parcel } from './spill-tools.ts'

const root = mkdtempSync(join(tmpdir(), 'holdfast-embedded-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let directories = 0
const directory = (): string => join(root, String(directories++))

async function opened(options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedBackend> {
  const backend = new EmbeddedBackend({
    queue: 'test',
    partitions: 4,
    directory: undefined,
    durability: 'memory',
    dedupeMs: 60_000,
    clock: systemClock,
    random: systemRandom,
    ...options,
  })
  await backend.open()
  return backend
}

const never = new AbortController().signal
const settlement = ({ handle, count }: { handle: string; count: number }) => ({ handle, count })

describe.each([
  ['in a file', () => directory()],
  ['in memory', () => undefined],
])('the embedded backend %s', (_, place) => {
  it('hands parcels out in order, per partition, to one owner at a time', async () => {
    const backend = await opened({ directory: place() })
    const parcels = ['a', 'b', 'c', 'd'].map((text, index) => parcel(text, index % 2))
    expect(await backend.put(parcels)).toEqual([undefined, undefined, undefined, undefined])
    const lease = (await backend.lease(0))!
    expect(await backend.lease(0)).toBeUndefined()
    const first = await lease.take(1)
    const second = await lease.take(10)
    expect([...first, ...second].map(({ text }) => text)).toEqual(['a', 'c'])
    expect(second[0]!.position).toBeGreaterThan(first[0]!.position)
    expect(await lease.take(10)).toEqual([])
    const other = (await backend.lease(1))!
    expect((await other.take(10)).map(({ text }) => text)).toEqual(['b', 'd'])
    await backend.close()
  })

  it('gives what an owner held and did not settle to the next, in front, with a higher fence', async () => {
    const backend = await opened({ directory: place() })
    await backend.put(['a', 'b', 'c'].map((text) => parcel(text)))
    const lease = (await backend.lease(0))!
    const held = await lease.take(2)
    await lease.settle([settlement(held[0]!)], ['done-1'])
    await lease.note(held[1]!.handle, 'tried once')
    await lease.release()
    await expect(lease.take(1)).rejects.toThrow(QueueUnavailable)
    await backend.put([parcel('d')])
    const next = (await backend.lease(0))!
    expect(next.fence).toBeGreaterThan(lease.fence)
    const again = await next.take(10)
    expect(again.map(({ text, deliveries, note }) => [text, deliveries, note])).toEqual([
      ['b', 2, 'tried once'],
      ['c', 1, undefined],
      ['d', 1, undefined],
    ])
    expect(await next.seen(['done-1', 'done-2'])).toEqual(new Set(['done-1']))
    await backend.close()
    expect(next.lost.aborted).toBe(true)
  })

  it('counts messages, drops what waits and leaves what is held', async () => {
    const backend = await opened({ directory: place() })
    await backend.put([parcel('a', 0, 5), parcel('b', 0, 7), parcel('c', 1, 11)])
    const lease = (await backend.lease(0))!
    await lease.take(1)
    expect(await backend.stats()).toMatchObject({ depth: 23, dead: 0, paused: false })
    expect(await backend.drop()).toBe(18)
    expect(await backend.stats()).toMatchObject({ depth: 5 })
    await backend.close()
  })

  it('wakes who waits for a partition, and only then', async () => {
    const clock = new FakeClock()
    const backend = await opened({ directory: place(), clock })
    let woken = 0
    const sleep = (partitions: number[], signal = never) =>
      backend.wait(partitions, 1_000, signal).then(() => woken++)
    const first = sleep([0, 1])
    const second = sleep([2])
    await backend.put([parcel('a', 1)])
    await first
    expect(woken).toBe(1)
    await clock.advance(1_000)
    await second
    const stop = new AbortController()
    const third = sleep([2], stop.signal)
    stop.abort()
    await third
    // Something waits already: no sleep at all.
    await sleep([1])
    expect(clock.pending).toBe(0)
    await backend.close()
  })

  it('pauses: nothing is taken, adding goes on, and resuming wakes', async () => {
    const backend = await opened({ directory: place() })
    await backend.pause()
    await backend.put([parcel('a')])
    const lease = (await backend.lease(0))!
    expect(await lease.take(1)).toEqual([])
    const woken = backend.wait([0], 20_000, never)
    await backend.resume()
    await woken
    expect(await lease.take(1)).toHaveLength(1)
    await backend.close()
  })

  it('keeps dead letters by message id, until they are taken out', async () => {
    const backend = await opened({ directory: place() })
    const letter = (id: string) => ({ id, text: `{"of":"${id}"}`, partition: 1, diedAt: 5 })
    await backend.bury([letter('a'), letter('b')])
    await Promise.all([backend.bury([letter('c')]), backend.bury([letter('c'), letter('a')])])
    expect((await backend.letters(0, 10)).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    expect(await backend.letters(1, 1)).toEqual([letter('b')])
    expect(await backend.unbury(['b', 'x'])).toEqual([true, false])
    expect(await backend.letter('b')).toBeUndefined()
    expect(await backend.letter('c')).toEqual(letter('c'))
    expect(await backend.stats()).toMatchObject({ dead: 2, depth: 0 })
    await backend.close()
  })

  it('refuses in kind: full, closed, not yet open', async () => {
    const backend = await opened({ directory: place(), maxBytes: 500 })
    const verdicts = await backend.put([parcel('x'.repeat(600))])
    expect(verdicts[0]).toBeInstanceOf(QueueFull)
    await backend.close()
    expect((await backend.put([parcel('a')]))[0]).toBeInstanceOf(QueueUnavailable)
    await expect(backend.lease(0)).rejects.toThrow(QueueUnavailable)
    await backend.close()
  })
})

describe('the embedded backend in a file, over restarts', () => {
  it('has everything that was acknowledged and not settled: parcels, letters, ids, pause, fences [S1-20] [B13]', async () => {
    const place = directory()
    const backend = await opened({ directory: place })
    await backend.put([parcel('a'), parcel('b'), parcel('c', 3)])
    const lease = (await backend.lease(0))!
    const [first] = await lease.take(2)
    await lease.settle([settlement(first!)], ['id-of-a'])
    await backend.bury([{ id: 'dead', text: '{}', partition: 0, diedAt: 1 }])
    await backend.pause()
    await backend.close()

    const next = await opened({ directory: place })
    expect(await next.stats()).toMatchObject({ depth: 2, dead: 1, paused: true })
    await next.resume()
    const again = (await next.lease(0))!
    expect(again.fence).toBeGreaterThan(lease.fence)
    expect((await again.take(9)).map(({ text, deliveries }) => [text, deliveries])).toEqual([['b', 2]])
    expect(await again.seen(['id-of-a'])).toEqual(new Set(['id-of-a']))
    expect((await (await next.lease(3))!.take(9)).map(({ text }) => text)).toEqual(['c'])
    await next.close()
  })

  it('is opened with the number of partitions it was made with, by one queue at a time', async () => {
    const place = directory()
    const backend = await opened({ directory: place })
    await expect(opened({ directory: place })).rejects.toThrow(QueueUnavailable)
    await backend.close()
    await expect(opened({ directory: place, partitions: 8 })).rejects.toThrow(QueueMismatch)
    await (await opened({ directory: place })).close()
  })
})

describe('the parcel log of an outage', () => {
  const settings = () => ({
    ...{ queue: 'test', directory: directory(), clock: systemClock, random: systemRandom, maxBytes: 20_000 },
  })

  it('replays in order with the same ids, forgets what was sent, and keeps the rest when sending fails [S1-19] [S1-27]', async () => {
    const place = settings()
    const log = await openParcelLog(place)
    const parcels = Array.from({ length: 200 }, (_, n) => parcel(`${n}`, n % 3))
    for (const one of parcels) void log.append([one])
    await log.append([])
    expect([log.parcels, log.messages, log.oldestAt]).toEqual([200, 200, parcels[0]!.at])
    const sent: unknown[] = []
    const failing = log.replay(async (some) => {
      if (sent.length > 60) throw new Error('Redis is away again')
      sent.push(...some)
    })
    await expect(failing).rejects.toThrow('away again')
    await log.close()

    // Another process goes on, while more comes in.
    const next = await openParcelLog(place)
    const late = parcel('late')
    const replay = next.replay(async (some) => {
      if (sent.length < 150) await next.append([late]).then(() => {})
      sent.push(...some)
    })
    await Promise.all([replay, next.replay(async () => {})])
    const got = sent as typeof parcels
    expect(got.slice(0, 200)).toEqual(parcels)
    expect(got.slice(200).every(({ text }) => text === 'late')).toBe(true)
    expect(got.length).toBeGreaterThan(200)
    expect([next.parcels, next.bytes]).toEqual([0, 0])
    await next.close()
  })

  it('refuses in kind when it is full', async () => {
    const log = await openParcelLog(settings())
    await log.append([parcel('x'.repeat(15_000))])
    const error: unknown = await log.append([parcel('x'.repeat(15_000))]).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(QueueFull)
    expect(error).toMatchObject({ bound: 'spill' })
    await log.close()
  })
})

describe('the options of the local file', () => {
  const make = (spill: object) => () =>
    createQueue({ name: 'q', spill: { directory: directory(), ...spill } as SpillOptions })

  it('are refused where they cannot work, with the field named', () => {
    expect(make({ directory: '' })).toThrow(/spill\.directory/)
    expect(make({ maxBytes: 1_000 })).toThrow(/spill\.maxBytes/)
    expect(make({ fsync: 'sometimes' })).toThrow(/spill\.fsync/)
    expect(make({ fsink: 'os' })).toThrow(/did you mean 'fsync'/)
  })

  it('take a duration for the fsync', async () => {
    const queue = make({ fsync: '20ms' })()
    await queue.add({ n: 1 })
    await queue.close()
  })
})
