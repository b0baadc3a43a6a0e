import { HoldfastError, NotAcknowledged } from '../../src/base/errors.ts'
import { TIMER } from './event-queue.ts'
import type { Confirm, Floor, Oracle } from './oracle.ts'
import type { Prng } from './prng.ts'
import type { ReadOptions, Subject } from './subject.ts'
import type { SimProcess, World } from './world.ts'

/** Tags given with the call, or only by the loader. */
export type TagMode = 'static' | 'dynamic'

export interface WorkloadShape {
  readonly tags: TagMode
  /** Share of writes among operations. */
  readonly writes: number
  /** Longest load in ms. */
  readonly loadMs: number
  readonly loadErrors: number
  /** Longest pause between two operations of one loop, in ms. */
  readonly think: number
  readonly read: ReadOptions
  /** Which kinds of operations take part besides getOrSet, delete and invalidateTag. */
  readonly extras: boolean
  /** `expire` and `expireTag` beside the hard ones. */
  readonly soft: boolean
}

export interface Counts {
  operations: number
  loads: number
  /** Calls that ended with an error of ours, by code. */
  readonly errors: Map<string, number>
  slowest: number
  /** Old values under the stated exception E3: loads shared while the store is down. */
}

export class Violation extends Error {}

/** An error that a loader throws on purpose. */
class SourceError extends Error {}

/** Longest time that a call may take while its process runs. */
const READ_BOUND_MS = 4_000
const WRITE_BOUND_MS = 8_000

/** What held when a reader began. */
interface Asked {
  readonly subject: Subject
  readonly floor: Floor
  readonly awake: number
}

interface Call {
  readonly what: string
  readonly process: SimProcess
  readonly began: number
  readonly bound: number
}

/** The loops of one run: they read, write and invalidate, and every answer is held against the oracle. */
export class Workload {
  readonly counts: Counts = { operations: 0, loads: 0, errors: new Map(), slowest: 0 }
  readonly violations: string[] = []
  readonly #world: World
  readonly #oracle: Oracle
  readonly #shape: WorkloadShape
  readonly #prng: Prng
  readonly #calls = new Set<Call>()
  #stopped = false

  constructor(world: World, oracle: Oracle, shape: WorkloadShape) {
    this.#world = world
    this.#oracle = oracle
    this.#shape = shape
    this.#prng = world.random('workload')
  }

  get pending(): number {
    let pending = 0
    for (const call of this.#calls) if (!call.process.dead) pending++
    return pending
  }

  stop(): void {
    this.#stopped = true
  }

  violate(what: string): void {
    this.#world.note('VIOLATION', () => what)
    this.violations.push(`${this.#world.now.toFixed(3)} ${what}`)
  }

  /** Reports every call that has taken longer than it may. */
  checkLiveness(): void {
    for (const call of this.#calls) {
      if (call.process.dead) this.#calls.delete(call)
      else if (call.process.awake - call.began > call.bound) {
        this.#calls.delete(call)
        this.violate(`${call.process.name} ${call.what} did not settle within ${call.bound} ms`)
      }
    }
  }

  /** Starts a loop; it ends with its process or with the run. */
  async loop(process: SimProcess, subject: Subject): Promise<void> {
    while (!this.#stopped && !process.dead) {
      await this.#pause(process, this.#prng.between(0, this.#shape.think))
      if (this.#stopped || process.dead) return
      await this.#operation(process, subject)
    }
  }

  #pause(process: SimProcess, ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.at(this.#world.now + ms, resolve, TIMER, process))
  }

  async #operation(process: SimProcess, subject: Subject): Promise<void> {
    this.counts.operations++
    const prng = this.#prng
    if (prng.chance(this.#shape.writes)) return this.#write(process, subject)
    if (this.#shape.extras && prng.chance(0.15)) {
      return prng.chance(0.5) ? this.#readMany(process, subject) : this.#readOnly(process, subject)
    }
    return this.#read(process, subject, this.#anyKey())
  }

  /** A few keys are much hotter than the rest. */
  #anyKey(): number {
    const { keys } = this.#oracle
    return this.#prng.chance(0.5) ? this.#prng.int(Math.min(4, keys)) : this.#prng.int(keys)
  }

  async #call<T>(
    process: SimProcess,
    what: string,
    bound: number,
    run: () => Promise<T>,
  ): Promise<T | undefined> {
    const began = process.awake
    const call: Call = { what, process, began, bound }
    this.#calls.add(call)
    this.#world.note('call', () => `${process.name} ${what}`)
    try {
      return await run()
    } catch (error) {
      if (error instanceof SourceError) return undefined
      if (!(error instanceof HoldfastError)) {
        this.violate(
          `${process.name} ${what} threw ${String(error)} ${error instanceof Error ? error.stack : ''}`,
        )
        return undefined
      }
      this.counts.errors.set(error.code, (this.counts.errors.get(error.code) ?? 0) + 1)
      this.#world.note('error', () => `${process.name} ${what}: ${error.code} ${error.message}`)
      return undefined
    } finally {
      this.#calls.delete(call)
      this.counts.slowest = Math.max(this.counts.slowest, process.awake - began)
    }
  }

  async #load(process: SimProcess, key: number): Promise<unknown> {
    this.counts.loads++
    const whole = this.#prng.between(0, this.#shape.loadMs)
    const before = whole * this.#prng.float()
    await this.#pause(process, before)
    const row = this.#oracle.read(key, process.name, process.awake)
    this.#world.note('load', () => `${process.name} ${name(key)} reads version ${row.version}`)
    await this.#pause(process, whole - before)
    if (this.#prng.chance(this.#shape.loadErrors)) throw new SourceError('the source failed')
    return row
  }

  #judge(process: SimProcess, how: string, key: number, value: unknown, asked: Asked): void {
    this.#world.note('answer', () => `${process.name} ${how} ${name(key)} -> ${JSON.stringify(value)}`)
    const wrong = this.#oracle.judge(key, value, asked.floor, this.#shape.read.stale > 0)
    if (!wrong) return
    this.violate(`${process.name} ${how}: ${wrong}`)
  }

  #ask(process: SimProcess, subject: Subject, key: number): Asked {
    return {
      subject,
      floor: this.#oracle.floor(key, process.name),
      awake: process.awake,
    }
  }

  async #read(process: SimProcess, subject: Subject, key: number): Promise<void> {
    const asked = this.#ask(process, subject, key)
    const names = this.#tagNames(key)
    const dynamic = this.#shape.tags === 'dynamic'
    const loaded = await this.#call(process, `getOrSet ${name(key)}`, READ_BOUND_MS, async () => ({
      value: await subject.getOrSet(
        name(key),
        dynamic ? [] : names,
        async (tag) => {
          const row = await this.#load(process, key)
          if (dynamic) tag(...names)
          return row
        },
        this.#shape.read,
      ),
    }))
    if (loaded) this.#judge(process, 'getOrSet', key, loaded.value, asked)
  }

  async #readMany(process: SimProcess, subject: Subject): Promise<void> {
    // One list of tags for the whole batch: keys that carry exactly the same.
    const first = this.#anyKey()
    const tags = this.#tagNames(first)
    const keys = Array.from({ length: this.#oracle.keys }, (_, k) => k).filter(
      (k) => k === first || (String(this.#tagNames(k)) === String(tags) && this.#prng.chance(0.6)),
    )
    const asked = keys.map((key) => this.#ask(process, subject, key))
    const loaded = await this.#call(process, `getOrSetMany ${keys.map(name)}`, READ_BOUND_MS, () =>
      subject.getOrSetMany(
        keys.map((key) => name(key)),
        (key) => this.#load(process, indexOf(key)),
        tags,
        this.#shape.read,
      ),
    )
    for (const [i, value] of loaded?.entries() ?? []) {
      this.#judge(process, 'getOrSetMany', keys[i]!, value, asked[i]!)
    }
  }

  async #readOnly(process: SimProcess, subject: Subject): Promise<void> {
    const key = this.#anyKey()
    const asked = this.#ask(process, subject, key)
    const value = await this.#call(process, `get ${name(key)}`, READ_BOUND_MS, () => subject.get(name(key)))
    if (value !== undefined) this.#judge(process, 'get', key, value, asked)
  }

  #tagNames(key: number): string[] {
    return this.#oracle.tagsOf(key).map(tagName)
  }

  async #write(process: SimProcess, subject: Subject): Promise<void> {
    const prng = this.#prng
    const dice = prng.float()
    if (this.#shape.extras && dice < 0.3) return this.#rareWrite(process, subject, dice / 0.3)
    const soft = this.#shape.soft && prng.chance(0.4)
    const byTag = prng.chance(0.48)
    const keys = byTag ? [] : [this.#anyKey()]
    const tags = byTag ? [prng.int(this.#oracle.tags)] : []
    const confirm = this.#oracle.write({ keys, tags, soft })
    const what = `${soft ? 'expire' : 'invalidate'} ${[...keys.map(name), ...tags.map(tagName)]}`
    await this.#call(process, what, WRITE_BOUND_MS, async () => {
      try {
        await subject.invalidate({ keys: keys.map(name), tags: tags.map(tagName), soft })
      } catch (error) {
        if (error instanceof NotAcknowledged && !soft) confirm(process.name)
        throw error
      }
      this.#world.note('acked', () => `${process.name} ${what}`)
      confirm()
    })
  }

  async #rareWrite(process: SimProcess, subject: Subject, dice: number): Promise<void> {
    const oracle = this.#oracle
    if (dice < 0.1) {
      const confirm = oracle.write({ all: true })
      await this.#call(process, 'clear', WRITE_BOUND_MS, () => subject.clear().then(() => confirm()))
    } else if (dice < 0.25) {
      const group = this.#prng.int(4)
      const keys = Array.from({ length: oracle.keys }, (_, k) => k).filter((k) => k % 4 === group)
      const confirm = oracle.write({ keys })
      await this.#call(process, `deletePattern g${group}`, WRITE_BOUND_MS, () =>
        subject.deletePattern(`g${group}-*`).then(() => confirm()),
      )
    } else if (dice < 0.6) {
      await this.#writeThrough(process, subject)
    } else {
      const keys = [this.#anyKey()]
      const tags = this.#prng.chance(0.5) ? [] : [this.#prng.int(oracle.tags)]
      let confirm: Confirm | undefined
      await this.#call(
        process,
        `mutate ${[...keys.map(name), ...tags.map(tagName)]}`,
        WRITE_BOUND_MS,
        async () => {
          await subject.mutate({ keys: keys.map(name), tags: tags.map(tagName) }, async () => {
            await this.#pause(process, this.#prng.between(0, 20))
            confirm = oracle.write({ keys, tags })
            await this.#pause(process, this.#prng.between(0, 20))
          })
          confirm?.()
        },
      )
    }
  }

  /** Commits, then stores what it reads back: with a mark, a racing write must not be undone. */
  async #writeThrough(process: SimProcess, subject: Subject): Promise<void> {
    const key = this.#anyKey()
    const what = `write-through ${name(key)}`
    let confirm: Confirm | undefined
    await this.#call(process, what, WRITE_BOUND_MS, async () => {
      await subject.writeThrough(name(key), this.#tagNames(key), async () => {
        confirm = this.#oracle.write({ keys: [key] })
        return this.#load(process, key)
      })
      this.#world.note('acked', () => `${process.name} ${what}`)
      confirm?.()
    })
  }
}

/** Keys fall into four groups, so that patterns have something to match. */
export const name = (key: number): string => `g${key % 4}-k${key}`
const indexOf = (key: string): number => Number(key.slice(key.indexOf('-') + 2))
const tagName = (tag: number): string => `t${tag}`
