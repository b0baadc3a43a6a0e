import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QueueUnavailable, QueueUncertain } from '../../src/queue/errors.ts'
import type { SpillLog } from '../../src/queue/spill-log.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { CrashDisk, type Fault, type Stop } from './crash-disk.ts'
import { letterTexts, loadLog, parcel } from './spill-tools.ts'

type Step =
  | { readonly do: 'append'; readonly sizes: readonly number[] }
  | { readonly do: 'settle'; readonly picks: readonly number[] }
  | { readonly do: 'take'; readonly pick: number }
  | { readonly do: 'note'; readonly pick: number }
  | { readonly do: 'bury' }
  | { readonly do: 'unbury'; readonly pick: number }
  | { readonly do: 'wait' }

const doing = <Do extends Step['do']>(name: Do): fc.Arbitrary<Do> => fc.constant(name)
const few = { minLength: 1, maxLength: 4 }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: doing('append'), sizes: fc.array(fc.nat(180), few) }) },
  { weight: 3, arbitrary: fc.record({ do: doing('settle'), picks: fc.array(fc.nat(), few) }) },
  { weight: 1, arbitrary: fc.record({ do: doing('take'), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: doing('note'), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: doing('bury') }) },
  { weight: 1, arbitrary: fc.record({ do: doing('unbury'), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: doing('wait') }) },
)

type Fate = 'there' | 'maybe' | 'gone'

/** What must be in the log, told by what was acknowledged and nothing else. */
class Model {
  readonly parcels = new Map<string, { text: string; fate: Fate; order: number; noted?: string }>()
  readonly letters = new Map<string, { text: string; fate: Fate }>()
  #order = 0
  #letters = 0

  /** Runs a step; resolves when it is acknowledged or refused, never when the machine stops first. */
  async run(log: SpillLog, step: Step): Promise<void> {
    switch (step.do) {
      case 'append': {
        const parcels = step.sizes.map((size) => parcel('x'.repeat(size)))
        for (const { id, text } of parcels)
          this.parcels.set(id, { text, fate: 'maybe', order: this.#order++ })
        const fate = await this.#fate(log.append(parcels))
        for (const { id } of parcels) this.parcels.get(id)!.fate = fate
        return
      }
      case 'settle': {
        const waiting = [...log.parcels.values()]
        const entries = step.picks.flatMap((pick) => waiting[pick % Math.max(1, waiting.length)] ?? [])
        for (const { id } of entries) this.parcels.get(id)!.fate = 'maybe'
        await log.settle([...new Set(entries)], ['some id'])
        for (const { id } of entries) this.parcels.get(id)!.fate = 'gone'
        return
      }
      case 'take':
      case 'note': {
        const waiting = [...log.parcels.values()]
        const entry = waiting[step.pick % Math.max(1, waiting.length)]
        if (!entry) return
        if (step.do === 'take') return log.taken([entry])
        const note = `note ${step.pick}`
        await log.note(entry, note)
        this.parcels.get(entry.id)!.noted = note
        return
      }
      case 'bury': {
        const id = `letter ${this.#letters++}`
        this.letters.set(id, { text: id.repeat(9), fate: 'maybe' })
        this.letters.get(id)!.fate = await this.#fate(
          log.bury([{ id, partition: 0, text: id.repeat(9), diedAt: 1 }]),
        )
        return
      }
      case 'unbury': {
        const known = [...log.letters.values()]
        const entry = known[step.pick % Math.max(1, known.length)]
        if (!entry) return
        this.letters.get(entry.id)!.fate = 'maybe'
        await log.settle([entry], [], true)
        this.letters.get(entry.id)!.fate = 'gone'
      }
    }
  }

  /** Refused is gone, uncertain is either. */
  async #fate(work: Promise<unknown>): Promise<Fate> {
    try {
      await work
      return 'there'
    } catch (error) {
      if (error instanceof QueueUncertain) return 'maybe'
      expect(error).toBeInstanceOf(QueueUnavailable)
      return 'gone'
    }
  }

  /** `again`: whether what was settled may come back, as marks are not fsynced by themselves. */
  async check(log: SpillLog, again: boolean): Promise<void> {
    const entries = [...log.parcels.values()]
    const texts = await log.read(entries)
    let last = -1
    entries.forEach(({ id }, index) => {
      const known = this.parcels.get(id)
      expect(known, 'nothing is there that was never added').toBeDefined()
      expect(texts[index]).toBe(known!.text)
      expect(known!.order, 'in the order of the adds').toBeGreaterThan(last)
      last = known!.order
      if (!again) expect(known!.fate, 'what is settled stays settled').not.toBe('gone')
    })
    const there = new Set(entries.map(({ id }) => id))
    for (const [id, { fate }] of this.parcels) {
      if (fate === 'there') expect(there.has(id), 'what was acknowledged is there').toBe(true)
    }
    const letters = await letterTexts(log)
    for (const [id, { text, fate }] of this.letters) {
      if (fate === 'there') expect(letters[id]).toBe(text)
      // Letters are removed by people, and durably.
      if (fate === 'gone') expect(letters[id]).toBeUndefined()
    }
    if (again) return
    for (const { id, note } of entries) {
      const { noted } = this.parcels.get(id)!
      if (noted !== undefined) expect(note).toBe(noted)
    }
  }
}

const OPTIONS = { segmentBytes: 130, memoryBytes: 300, dedupeMs: 0 }

/** Runs steps, several at once between two `wait`s, as callers do. */
async function runSteps(log: SpillLog, model: Model, steps: readonly Step[]): Promise<void> {
  let running: Promise<void>[] = []
  for (const step of steps) {
    if (step.do !== 'wait') running.push(model.run(log, step))
    else {
      await Promise.all(running)
      running = []
    }
  }
  await Promise.all(running)
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the local file, whatever happens to it', () => {
  for (const stop of ['kill', 'power', 'power-reordered'] as const satisfies Stop[]) {
    it(`holds what was acknowledged when the machine stops at any call: ${stop} [S1-20] [B13]`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 5, maxLength: 50 }),
          fc.nat(120),
          fc.array(fc.nat(), { minLength: 8, maxLength: 8 }),
          fc.array(step, { minLength: 0, maxLength: 10 }),
          async (steps, stopAt, dice, more) => {
            const disk = new CrashDisk()
            const model = new Model()
            const log = await loadLog(disk, OPTIONS)
            disk.stopAt = disk.made + 1 + stopAt
            const run = runSteps(log, model, steps)
            const done = run.then(() => true)
            while (!(await Promise.race([done, settled().then(() => disk.stopped)])));
            await settled()
            let thrown = 0
            const found = disk.afterStop(stop, (most) => dice[thrown++ % dice.length]! % (most + 1))
            const next = await loadLog(found, OPTIONS)
            await model.check(next, stop !== 'kill')
            if (stop !== 'power-reordered') expect(next.found.damage).toEqual([])
            // And it goes on: more of the same, a clean end, and another look.
            await runSteps(next, model, more)
            await model.check(next, stop !== 'kill')
            await next.close()
            await model.check(await loadLog(found, OPTIONS), stop !== 'kill')
          },
        ),
        { numRuns: 300 },
      )
    })
  }

  it('answers a disk that fails with a typed error, and keeps what it had acknowledged [S1-20]', async () => {
    const fault = fc.record<{ at: number; long: number; fault: Fault }>({
      at: fc.nat(40),
      long: fc.integer({ min: 1, max: 3 }),
      fault: fc.record({ code: fc.constantFrom('ENOSPC', 'EIO'), written: fc.nat(400) }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 40 }),
        fc.array(fault, { minLength: 1, maxLength: 3 }),
        async (steps, faults) => {
          const disk = new CrashDisk()
          const clock = new FakeClock()
          const model = new Model()
          const log = await loadLog(disk, { ...OPTIONS, clock })
          const begun = disk.made
          disk.fault = (_, number) =>
            faults.find(({ at, long }) => number > begun + at && number <= begun + at + long)?.fault
          const run = runSteps(log, model, steps).then(() => true)
          // Marks that were refused are tried again after a second.
          while (!(await Promise.race([run, clock.advance(1_000).then(() => false)])));
          await model.check(log, false)
          disk.fault = () => undefined
          await log.append([parcel('the disk is well again')]).then(
            ([entry]) => log.settle([entry!]),
            (error: unknown) => expect.unreachable(String(error)),
          )
          await log.close()
          const next = await loadLog(disk, OPTIONS)
          await model.check(next, false)
          expect(next.found.damage).toEqual([])
        },
      ),
      { numRuns: 400 },
    )
  })
})
