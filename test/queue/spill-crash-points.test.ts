import { describe, expect, it } from 'vitest'
import type { SpillLog } from '../../src/queue/spill-log.ts'
import { CrashDisk } from './crash-disk.ts'
import { loadLog, parcel, textsOf } from './spill-tools.ts'

/** Every kind of record, and how many bytes the one file has after each step. */
async function history(): Promise<{ name: string; bytes: Buffer; ends: number[] }> {
  const disk = new CrashDisk()
  const log = await loadLog(disk)
  const name = (): string => [...disk.images.keys()][0]!
  const ends: number[] = []
  const steps: ((log: SpillLog) => Promise<unknown>)[] = [
    () => log.append([parcel('{"n":1}')]),
    () => log.append([parcel('{"n":2,"text":"größer als ein Byte"}', 1), parcel('{"n":3}')]),
    () => log.taken([...log.parcels.values()].slice(0, 2)),
    () => log.note([...log.parcels.values()][1]!, '{"halved":true}'),
    () => log.settle([[...log.parcels.values()][0]!], ['id-1']),
    () => log.bury([{ id: 'id-2', partition: 1, text: '{"reason":"x"}', diedAt: 1_700_000_000_000 }]),
    () => log.setState({ paused: true, fence: 7, partitions: 4 }),
    () => log.append([parcel('{"n":4}', 2)]),
    () => log.append([parcel('')]),
  ]
  for (const step of steps) {
    await step(log)
    ends.push((await disk.readFile(name())).length)
  }
  return { name: name(), bytes: await disk.readFile(name()), ends }
}

/** All that a log knows, as plain data. */
async function view(log: SpillLog) {
  const texts = await textsOf(log)
  return {
    parcels: [...log.parcels.values()].map(({ seq, id, partition, count, at, deliveries, note }, index) => ({
      ...{ seq, id, partition, count, at, deliveries, note },
      text: texts[index],
    })),
    letters: [...log.letters.keys()],
    state: log.state,
    seen: log.seen('id-1'),
  }
}

const open = (name: string, bytes: Buffer) => loadLog(CrashDisk.of({ [name]: Buffer.from(bytes) }))

describe('the crash points of the local file', () => {
  it('cut at every byte, it holds exactly what was whole before the cut, and goes on from there [S1-20] [B13]', async () => {
    const { name, bytes, ends } = await history()
    // Records of one write are each whole or not; where a record ends is where a cut loses nothing.
    for (let cut = 0; cut <= bytes.length; cut++) {
      const end = Math.max(...ends.filter((size) => size <= cut), 0)
      const log = await open(name, bytes.subarray(0, cut))
      const before = await open(name, bytes.subarray(0, end))
      const got = await view(log)
      const acknowledged = await view(before)
      expect(log.found.damage, `cut at ${cut}`).toEqual([])
      // A write of two parcels that was cut between them may show the first.
      const extra = got.parcels.slice(acknowledged.parcels.length)
      expect(extra.length, `cut at ${cut}`).toBeLessThanOrEqual(1)
      if (extra.length === 0) expect(withoutSeen(got), `cut at ${cut}`).toEqual(withoutSeen(acknowledged))
      await log.append([parcel('{"after":"the crash"}')])
      const texts = await textsOf(log)
      expect(texts.at(-1)).toBe('{"after":"the crash"}')
    }
  })

  it('what is written after a cut is found again by the next process [S1-20]', async () => {
    const { name, bytes } = await history()
    for (let cut = bytes.length - 60; cut <= bytes.length; cut++) {
      const disk = CrashDisk.of({ [name]: Buffer.from(bytes.subarray(0, cut)) })
      const log = await loadLog(disk)
      await log.append([parcel('{"after":1}'), parcel('{"after":2}')])
      const next = await loadLog(disk)
      expect(await view(next)).toEqual(await view(log))
      expect(next.found).toMatchObject({ damage: [], tornBytes: 0 })
    }
  })

  it('with any one byte changed, it says so, keeps a copy, and loses that record only [S1-20]', async () => {
    const { name, bytes } = await history()
    const whole = await view(await open(name, bytes))
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(bytes)
        changed[at]! ^= mask
        const disk = CrashDisk.of({ [name]: changed })
        const log = await loadLog(disk)
        const label = `byte ${at} xor ${mask}`
        expect(log.found.damage.length, label).toBe(1)
        expect(log.found.tornBytes, label).toBe(0)
        const { offset, bytes: length } = log.found.damage[0]!
        expect(offset <= at && at < offset + length, label).toBe(true)
        const kept = [...disk.images.keys()].find((file) => file.startsWith('damaged-'))!
        expect(await disk.readFile(kept), label).toEqual(changed.subarray(offset, offset + length))
        const got = await view(log)
        const missing = whole.parcels.filter(({ seq }) => !got.parcels.some((other) => other.seq === seq))
        expect(missing.length, label).toBeLessThanOrEqual(1)
        // Order is kept, and what was settled can only come back, never something that was not there.
        const seqs = got.parcels.map(({ seq }) => seq)
        expect(seqs, label).toEqual([...seqs].sort((a, b) => a - b))
        for (const { seq, text } of got.parcels) {
          const known = whole.parcels.find((other) => other.seq === seq)
          if (known) expect(text, label).toBe(known.text)
          else expect(text, label).toBe('{"n":1}')
        }
      }
    }
  })

  it('a damaged segment is never written on, and its damage is reported until it is gone', async () => {
    const { name, bytes } = await history()
    const changed = Buffer.from(bytes)
    changed[bytes.length - 40]! ^= 0xff
    const disk = CrashDisk.of({ [name]: changed })
    const log = await loadLog(disk)
    await log.append([parcel('{"new":true}')])
    expect((await disk.readFile(name)).equals(changed)).toBe(true)
    const next = await loadLog(disk, { dedupeMs: 0 })
    expect(next.found.damage).toEqual(log.found.damage)
    await next.settle([...next.parcels.values(), ...next.letters.values()])
    await next.close()
    expect(disk.images.has(name)).toBe(false)
    expect((await loadLog(disk)).found.damage).toEqual([])
  })

  it('zeros at the end, as a power cut leaves them, are a torn write and no damage', async () => {
    const { name, bytes } = await history()
    const log = await open(name, Buffer.concat([bytes, Buffer.alloc(4_096)]))
    expect(log.found).toMatchObject({ damage: [], tornBytes: 4_096 })
    expect(await view(log)).toEqual(await view(await open(name, bytes)))
  })

  it('a payload that looks like records is a payload', async () => {
    const { bytes } = await history()
    const disk = new CrashDisk()
    const log = await loadLog(disk)
    await log.append([parcel(bytes.toString('latin1')), parcel('{"n":2}')])
    const name = [...disk.images.keys()][0]!
    const changed = Buffer.from(await disk.readFile(name))
    const header = changed.indexOf('HF', 80)
    for (const at of [header, header + 4, header + 13]) {
      const bad = Buffer.from(changed)
      bad[at]! ^= 0x10
      const found = await loadLog(CrashDisk.of({ [name]: bad }))
      expect(found.found.damage.length).toBe(1)
      expect((await textsOf(found)).filter((text) => text !== '{"n":2}')).toEqual([])
    }
  })

  it('a file that is missing in the row is reported', async () => {
    const disk = new CrashDisk()
    const log = await loadLog(disk, { segmentBytes: 200 })
    for (let n = 0; n < 12; n++) await log.append([parcel(`{"n":${n}}`)])
    const names = [...disk.images.keys()].sort()
    expect(names.length).toBeGreaterThan(3)
    disk.images.delete(names[1]!)
    expect((await loadLog(disk)).found.missingSegments).toBe(1)
  })
})

function withoutSeen<T extends { seen: boolean }>(all: T): Omit<T, 'seen'> {
  const { seen: _, ...rest } = all
  return rest
}
