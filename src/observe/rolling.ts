import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { InvalidOption } from '../base/errors.ts'
import { refuseUnknown } from '../base/options.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { Holdfast } from '../holdfast.ts'
import { CacheReading } from './cache-reading.ts'
import { Degraded } from './degraded.ts'
import { Fleet } from './fleet.ts'
import { busiest, overviewOf } from './overview.ts'
import type { ProcessReport } from './process-report.ts'
import { RedisLook } from './redis-look.ts'
import { RollingEar } from './rolling-ear.ts'
import type { History, Overview } from './rolling-shapes.ts'
import { RollingSlots, STEP_SECONDS } from './rolling-slots.ts'

/** What is counted, and whether the other processes see it. */
export interface RollingOptions {
  /**
   * Whether the other processes of the namespace may see this one: it writes its numbers to the data
   * role every five seconds, one round trip. @default false
   */
  share?: boolean | undefined
  /** Whether the numbers of all processes that share theirs are in this one's. @default false */
  watch?: boolean | undefined
  /**
   * Whether the times of look-ups are heard: of each below a thousand in a second, above that of those
   * in the first tenth of every second. Without, `opP50Ms` and `opP99Ms` stay null. @default true
   */
  latency?: boolean | undefined
  /** For simulation. @default the system's */
  clock?: Clock | undefined
  /** For the id under which the numbers are shared. */
  random?: Random | undefined
}

/** What went wrong behind the back of everybody, since the start. */
export interface RollingFailures {
  /** INFO without an answer. */
  readonly looks: number
  /** Exchanges with other processes without an answer, and reports that could not be read. */
  readonly exchanges: number
  readonly unread: number
  /** Listeners of `onTick` that threw. */
  readonly listeners: number
}

/** The last minute and the last hour of an instance, or of all its processes. */
export interface Rolling {
  /** The last minute, up to now. */
  overview(): Overview
  /** Steps of five seconds, the last hour at most. @throws InvalidOption for what is no number of seconds */
  history(seconds: number): History
  /** Called every second until the returned function is. */
  onTick(listener: (overview: Overview) => void): () => void
  readonly failures: RollingFailures
  /** Ends the listening and the timer, and takes this process out of the others' sums. Idempotent. */
  close(): Promise<void>
}

const OPTION_NAMES = ['share', 'watch', 'latency', 'clock', 'random']
const TICK_MS = 1_000
/** A time that is heard costs a look-up about a microsecond, six times what an answer from memory does. */
const MOST_HEARD = 1_000
const SAMPLE_MS = 100
/** A limiter that has decided without Redis counts as degraded for so many ticks. */
const BLIND_TICKS = 10
/** After a long standstill of the process, so many steps are made up for at most. */
const MOST_STEPS = 720

/**
 * Rolling windows over an instance, for a dashboard: the last minute now, the last hour in steps of
 * five seconds. Memory is bounded (under 0.5 MB) whatever the traffic; counters are read once a second,
 * and only times, decisions and locks are heard as events, those of the whole process.
 * @throws InvalidOption
 */
export function createRolling(hf: Holdfast, options: RollingOptions = {}): Rolling {
  refuseUnknown(options, OPTION_NAMES, 'createRolling()')
  if (hf === undefined) throw new InvalidOption('createRolling() got no instance', 'pass createRolling(hf)')
  return new Windows(hf, options)
}

class Windows implements Rolling {
  readonly #hf: Holdfast
  readonly #clock: Clock
  readonly #slots = new RollingSlots()
  readonly #reading: CacheReading
  readonly #ear: RollingEar
  readonly #look: RedisLook
  readonly #degraded: Degraded
  readonly #fleet: Fleet
  readonly #share: boolean
  readonly #watch: boolean
  readonly #latency: boolean
  readonly #listeners = new Set<(overview: Overview) => void>()
  readonly #began: number
  #listenerFailures = 0
  #ticks = 0
  #steps = 0
  #asked = 0
  #sampling: Timer | undefined
  #timer: Timer
  #closing: Promise<void> | undefined

  constructor(hf: Holdfast, options: RollingOptions) {
    const {
      share = false,
      watch = false,
      latency = true,
      clock = systemClock,
      random = systemRandom,
    } = options
    this.#hf = hf
    this.#clock = clock
    this.#share = share
    this.#watch = watch
    this.#latency = latency
    this.#reading = new CacheReading(hf)
    this.#ear = new RollingEar(this.#slots.times)
    this.#ear.hearLookups(latency)
    this.#look = new RedisLook(hf)
    this.#degraded = new Degraded(hf, clock)
    this.#fleet = new Fleet(hf, clock, random.id())
    this.#began = clock.mono()
    this.#timer = clock.after(TICK_MS, this.#tick)
    void this.#look.look()
  }

  overview(): Overview {
    this.#take()
    return overviewOf({
      hf: this.#hf,
      now: this.#clock.wall(),
      window: this.#slots.window(),
      ear: this.#ear,
      redis: this.#look.known,
      degraded: this.#degraded.parts(this.#ear.blindLimiters.keys()),
      isMember: this.#share || !this.#watch,
      others: this.#watch ? this.#fleet.alive() : [],
    })
  }

  history(seconds: number): History {
    if (!Number.isFinite(seconds) || seconds <= 0) {
      throw new InvalidOption('history() got no number of seconds', 'give 1 to 3600')
    }
    return this.#slots.history(seconds)
  }

  onTick(listener: (overview: Overview) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get failures(): RollingFailures {
    const { failures: exchanges, unread } = this.#fleet
    return { looks: this.#look.failures, exchanges, unread, listeners: this.#listenerFailures }
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    this.#timer.cancel()
    this.#sampling?.cancel()
    this.#ear.close()
    this.#listeners.clear()
    if (this.#share) await this.#fleet.leave()
  }

  readonly #tick = (): void => {
    const elapsed = this.#clock.mono() - this.#began
    this.#ticks = Math.max(this.#ticks + 1, Math.floor(elapsed / TICK_MS))
    this.#timer = this.#clock.after(Math.max(1, (this.#ticks + 1) * TICK_MS - elapsed), this.#tick)
    this.#take()
    this.#sample()
    this.#ear.tick(this.#ticks, BLIND_TICKS)
    this.#degraded.look(this.#ear.blindLimiters.keys())
    const due = Math.floor(this.#ticks / STEP_SECONDS)
    if (due > this.#steps) this.#step(due)
    if (this.#listeners.size === 0) return
    const overview = this.overview()
    for (const listener of this.#listeners) {
      try {
        listener(overview)
      } catch {
        this.#listenerFailures++
      }
    }
  }

  /** So that a busy cache pays for a tenth of its look-ups, and a quiet one is heard in full. */
  #sample(): void {
    if (!this.#latency) return
    const { asked } = this.#reading
    const isBusy = asked - this.#asked > MOST_HEARD
    this.#asked = asked
    this.#ear.hearLookups(true)
    if (isBusy) this.#sampling = this.#clock.after(SAMPLE_MS, () => this.#ear.hearLookups(false))
  }

  /** Moves what was counted since the last look into the current slot. */
  #take(): void {
    this.#reading.into(this.#slots)
    const { counts } = this.#slots
    const ear = this.#ear
    counts.allowed += ear.allowed
    counts.denied += ear.denied
    counts.lost += ear.lost
    ear.allowed = 0
    ear.denied = 0
    ear.lost = 0
  }

  #step(due: number): void {
    const redis = this.#look.known
    const { l1Entries, l1Bytes } = this.#hf.cache.stats().store
    const standing =
      this.#hf.redis === undefined
        ? { usedMemory: l1Bytes, keys: l1Entries }
        : { usedMemory: redis?.usedMemory ?? null, keys: redis?.keys ?? null }
    const now = this.#clock.wall()
    // What was counted during a standstill belongs to its end: its other steps stay empty.
    const missed = Math.min(MOST_STEPS, due - this.#steps) - 1
    for (let i = missed; i > 0; i--) this.#slots.skip(now - i * STEP_SECONDS * 1_000)
    this.#slots.close(now, standing)
    this.#steps = due
    void this.#look.look()
    if (this.#share || this.#watch) void this.#exchange()
  }

  async #exchange(): Promise<void> {
    const fresh = await this.#fleet.exchange(this.#share ? this.#report() : undefined, this.#watch)
    for (const { last } of fresh) this.#slots.addToLast(last.counts, last.opsP99Ms, last.loadsP99Ms)
  }

  #report(): ProcessReport {
    const { counts, ops, loads, namespaces } = this.#slots.window()
    const { held, waiting, inHand } = this.#ear
    const queues = this.#hf.health().queues
    return {
      seq: this.#steps,
      at: this.#clock.wall(),
      counts,
      ops: ops.toSparse(),
      loads: loads.toSparse(),
      held,
      waiting,
      inHand,
      degraded: this.#degraded.parts(this.#ear.blindLimiters.keys()).slice(0, 50),
      queues: queues
        .slice(0, 100)
        .map(({ queue, depth, dead, oldestMs, asOf }) => ({ queue, depth, dead, oldestMs, asOf })),
      namespaces: busiest(namespaces),
      last: this.#slots.last,
    }
  }
}
