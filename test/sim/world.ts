import type { Clock, Timer } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { AFTER_INPUT, EventQueue, INPUT, type Phase, type SimEvent, TIMER } from './event-queue.ts'
import { Prng } from './prng.ts'

/** Wall clock at virtual time 0. */
export const EPOCH_MS = 1_800_000_000_000

/** Macrotasks queued at once: real I/O gets a turn only after so many events. */
const BATCH = 256

/**
 * Virtual time. Events run one by one, each as a macrotask of its own: Node drains its microtasks
 * and next-ticks between two immediates, so promises of the shipped code settle as they would after
 * a real timer or packet, and nothing else ever runs.
 */
export class World {
  readonly seed: string
  now = 0
  events = 0
  readonly #queue = new EventQueue()
  #seq = 0
  #trace: string[] | undefined
  #digest = 0

  constructor(seed: string, options: { trace?: boolean } = {}) {
    this.seed = seed
    if (options.trace) this.#trace = []
  }

  random(label: string): Prng {
    return new Prng(this.seed, label)
  }

  /** Runs `run` at `time`, or later when its process is frozen then; never when it is dead. */
  at(time: number, run: () => void, phase: Phase = TIMER, process?: SimProcess): SimEvent {
    const due = Math.max(time, this.now)
    const event: SimEvent = { time: due, phase, due, seq: ++this.#seq, run: undefined }
    event.run = process ? () => process.perform(event, run) : run
    this.#queue.push(event)
    return event
  }

  /** Puts an event off; its place among others of that time stays as it was due. */
  postpone(event: SimEvent, until: number): void {
    event.time = until
    this.#queue.push(event)
  }

  /** Runs events until `done`, `until`, or until nothing is left to happen. */
  drive(done: () => boolean, until: number): Promise<'done' | 'late' | 'empty'> {
    return new Promise((resolve, reject) => {
      let queued = 0
      let finished = false
      const finish = (outcome: 'done' | 'late' | 'empty') => {
        finished = true
        resolve(outcome)
      }
      const turn = (): void => {
        queued--
        if (finished) return
        try {
          if (done()) {
            finish('done')
            return
          }
          const event = this.#queue.pop()
          if (event === undefined || event.time > until) {
            finish(event ? 'late' : 'empty')
            return
          }
          if (event.time > this.now) this.now = event.time
          this.events++
          event.run?.()
        } catch (error) {
          finished = true
          reject(error)
        }
        if (queued === 0) refill()
      }
      const refill = (): void => {
        for (; queued < BATCH; queued++) setImmediate(turn)
      }
      refill()
    })
  }

  get tracing(): boolean {
    return this.#trace !== undefined
  }

  /** Notes a fact: always into the digest that compares two runs, into the trace where wanted. */
  note(what: string, detail: () => string): void {
    this.#digest = (Math.imul(this.#digest ^ what.length, 0x01000193) + Math.floor(this.now * 1_000)) | 0
    if (!this.#trace) return
    this.#trace.push(`${this.now.toFixed(3).padStart(10)}  ${what.padEnd(10)} ${detail()}`)
  }

  get trace(): readonly string[] {
    return this.#trace ?? []
  }

  get digest(): number {
    return this.#digest
  }
}

/** One application process: its clocks, its timers, its randomness, its mishaps. */
export class SimProcess {
  readonly name: string
  readonly world: World
  readonly clock: Clock
  readonly random: Random
  dead = false
  /** When its wall clock last jumped. */
  steppedAt = Number.NEGATIVE_INFINITY
  #frozenUntil = 0
  #wallOffset: number
  #suspended = 0
  #asleepUntil = 0
  #frozenTotal = 0

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    const prng = world.random(`process ${name}`)
    this.#wallOffset = prng.between(-3, 3)
    this.random = {
      float: () => prng.float(),
      id: () => Buffer.from(prng.hex(24), 'hex').toString('base64url'),
    }
    this.clock = {
      wall: () => Math.floor(EPOCH_MS + world.now + this.#wallOffset),
      mono: () => this.mono(),
      after: (ms, fn) => this.#after(ms, fn),
      endOfTick: (fn) => {
        process.nextTick(() => {
          if (!this.dead) fn()
        })
      },
      afterInput: (fn) => void world.at(world.now, fn, AFTER_INPUT, this),
    }
  }

  mono(): number {
    return 1_000 + this.world.now - this.#suspended
  }

  /** Frozen with its monotonic clock. */
  get asleep(): boolean {
    return this.#asleepUntil > this.world.now
  }

  /** Milliseconds in which it could run: what bounds are counted in. */
  get awake(): number {
    return this.world.now - this.#frozenTotal
  }

  /**
   * Stops the process for a while. `suspend`: its monotonic clock stops too, as when a virtual
   * machine or a laptop sleeps; else both clocks go on (SIGSTOP, a blocked event loop).
   */
  freeze(ms: number, suspend: boolean): void {
    const from = Math.max(this.#frozenUntil, this.world.now)
    const until = Math.max(this.#frozenUntil, this.world.now + ms)
    if (suspend) {
      this.#suspended += until - from
      this.#asleepUntil = until
    }
    this.#frozenTotal += until - from
    this.#frozenUntil = until
  }

  stepWallClock(ms: number): void {
    this.#wallOffset += ms
    this.steppedAt = this.world.now
  }

  /** Socket input at `time`. */
  input(time: number, run: () => void): SimEvent {
    return this.world.at(time, run, INPUT, this)
  }

  perform(event: SimEvent, run: () => void): void {
    if (this.dead) return
    if (this.#frozenUntil > this.world.now) this.world.postpone(event, this.#frozenUntil)
    else run()
  }

  /** Like setTimeout: whole milliseconds, at least one, never early by more than the cut fraction. */
  #after(ms: number, fn: () => void): Timer {
    const whole = Math.max(1, Math.trunc(ms))
    const dueMono = this.mono() + whole
    let cancelled = false
    const fire = (): void => {
      if (cancelled) return
      const early = dueMono - this.mono()
      if (early > 1e-6) this.world.at(this.world.now + early, fire, TIMER, this)
      else fn()
    }
    const event = this.world.at(this.world.now + whole, fire, TIMER, this)
    return {
      cancel: () => {
        cancelled = true
        event.run = undefined
      },
    }
  }
}
